/** Jobs: commands that run when their inputs change. Each runs in a transient unit of its own, outside the agent's limits. */

import type { ReasonCode } from '../../../manifests-schema/reasons.ts';
import { withoutCredentials } from '../../core/credentials.ts';
import { eachWork } from '../../core/each.ts';
import { TRY_AGAIN } from '../../core/exit-codes.ts';
import type { Provider, Work } from '../../core/provider.ts';
import type { Change, Desired, Reason, ResourceId, Seen } from '../../core/types.ts';
import { AgentError } from '../../errors.ts';
import type { Exec, ExecResult } from '../../system/exec.ts';
import type { JobSpec } from './spec.ts';

export interface JobFact {
  /** What `unless` said, where it was asked: the job need not run. */
  satisfied: boolean | null;
}

export interface JobProviderOptions {
  exec: Exec;
  /** Takes secrets out of what a job printed. */
  redact(text: string): string;
}

/** Most of a job's output that history keeps: its end, which says how it ended. */
const KEPT_OUTPUT = 4_096;
const SHOWN_LINES = 6;
const UNLESS_TIMEOUT_MS = 60_000;
/** Between SIGTERM and SIGKILL. */
const STOP_SECONDS = 5;

type Report = Work['report'];

export function createJobProvider({ exec, redact }: JobProviderOptions): Provider<JobSpec, JobFact> {
  /** @returns `unknown` where `unless` says that it cannot tell now */
  const needless = async (spec: JobSpec, signal: AbortSignal): Promise<boolean | 'unknown'> => {
    if (spec.unless === undefined) return false;
    const timeoutMs = Math.min(spec.timeoutMs, UNLESS_TIMEOUT_MS);
    const { code, late } = await runUnit(exec, `unless-${spec.name}`, spec.unless, { ...spec, timeoutMs }, signal);
    return late || code === TRY_AGAIN ? 'unknown' : code === 0;
  };
  const run = async (want: Desired<JobSpec>, signal: AbortSignal, report: Report) => {
    const { spec, id: resource } = want;
    const holds = await needless(spec, signal);
    if (holds === 'unknown') throw undecided(want);
    if (holds) {
      report?.({ field: 'unless', to: 'holds already; not run' });
      return;
    }
    const result = await runUnit(exec, `job-${spec.name}`, spec.run, spec, signal);
    const output = redact(`${result.stdout}${result.stderr}`).trimEnd();
    if (output !== '') report?.({ field: 'output', to: tail(output) });
    if (result.code === 0) return;
    const lines = output.split('\n').filter(Boolean).slice(-SHOWN_LINES).join(' | ');
    const how = result.late
      ? `did not end within ${spec.timeoutMs / 1000} s and was stopped, with all it had started`
      : signal.aborted
        ? 'was stopped, since the agent stops'
        : `ended with exit status ${result.code}`;
    throw new AgentError({
      code: codeOf(result),
      phase: 'apply',
      resource,
      message: `\`${spec.run.join(' ')}\` ${how}${lines ? `; it said: ${lines.slice(-1_000)}` : ''}`,
    });
  };
  /** Run in this run: a changed input of the same run asks for nothing more. */
  const fresh = new Set<string>();
  return {
    kind: 'job',
    claims: ({ name }) => [`job:${name}`],
    diff,
    health: () => ({ state: 'ok', message: '' }),
    lastsMs: ({ timeoutMs }) => timeoutMs,
    waits: () => true,
    async observe(ids, signal, wants) {
      const seen = new Map<ResourceId, Seen<JobFact>>();
      fresh.clear();
      for (const id of ids) {
        const spec = wants?.get(id)?.spec;
        // One that is declared no longer has left nothing behind.
        if (spec === undefined) continue;
        const asks = spec.when === 'always' && spec.unless !== undefined;
        seen.set(id, { fact: { satisfied: asks ? (await needless(spec, signal)) === true : null } });
      }
      return seen;
    },
    apply: (work, signal) =>
      eachWork(work, async ({ change, want, report }) => {
        if (change.op === 'none') return;
        await run(want, signal, report);
        fresh.add(want.spec.name);
      }),
    async refresh(want, signal, _verb, report) {
      if (!fresh.delete(want.spec.name)) await run(want, signal, report);
    },
    remove: async () => new Map(),
  };
}

const undecided = ({ id, spec }: Desired<JobSpec>) =>
  new AgentError({
    code: 'TemporaryFailure',
    phase: 'apply',
    resource: id,
    message: `whether the job is needed cannot be told now: \`${spec.unless?.join(' ')}\`, its \`unless\`, ended with exit status ${TRY_AGAIN} or did not end in time; it is asked again`,
  });

/** USER and GROUP of systemd.exec(5), "Process Exit Codes". */
function codeOf({ late, code }: UnitResult): ReasonCode {
  if (late) return 'JobTimeout';
  if (code === TRY_AGAIN) return 'TemporaryFailure';
  return code === 216 || code === 217 ? 'UnknownOwner' : 'JobFailed';
}

/** Pure. The inventory alone knows whether a job has run. */
function diff({ spec, hash }: Desired<JobSpec>, seen: Seen<JobFact> | undefined): Change {
  const ran = seen?.mark?.hash ?? null;
  const because = (field: string, from: string): Change => {
    const why: Reason[] = [{ field, from, to: withoutCredentials(spec.run).join(' ').slice(0, 200) }];
    return { op: ran === null ? 'create' : 'update', why };
  };
  if (spec.when === 'always') return seen?.fact.satisfied === true ? { op: 'none' } : because('when', 'always');
  if (ran === null) return because('run', 'never');
  if (spec.when === 'once' || ran === hash) return { op: 'none' };
  return because('run', 'another declaration');
}

interface UnitResult extends ExecResult {
  /** It was stopped because its time was up. */
  late: boolean;
}

/**
 * systemd-run(1): a cgroup of its own, so that all it started can be stopped; a clean environment; output by pipe.
 * A unit left over by an agent that was killed is stopped first: never two at once.
 * @param name `job-NAME` or `unless-NAME`, so that no job has the unit of another one's condition
 */
async function runUnit(
  exec: Exec,
  name: string,
  argv: readonly string[],
  spec: Pick<JobSpec, 'user' | 'cwd' | 'env' | 'timeoutMs'>,
  signal: AbortSignal,
): Promise<UnitResult> {
  const unit = `fairlead-${name}.service`;
  const stop = () => exec(['systemctl', 'stop', unit], { timeoutMs: (STOP_SECONDS + 15) * 1_000 });
  if ((await exec(['systemctl', 'is-active', '--quiet', unit], { timeoutMs: 10_000 })).code === 0) await stop();
  const properties = [
    `User=${spec.user}`,
    `WorkingDirectory=${spec.cwd}`,
    `TimeoutStopSec=${STOP_SECONDS}`,
    'KillMode=control-group',
    // Should the agent itself be gone by then.
    `RuntimeMaxSec=${Math.ceil(spec.timeoutMs / 1_000) + 30}`,
  ];
  const environment = { LANG: 'C.UTF-8', ...spec.env };
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    void stop();
  }, spec.timeoutMs);
  const aborted = () => void stop();
  signal.addEventListener('abort', aborted, { once: true });
  try {
    const result = await exec(
      [
        ...['systemd-run', '--quiet', '--wait', '--pipe', '--collect', '--service-type=exec', `--unit=${unit}`],
        ...[`--description=fairlead ${name}`, ...properties.flatMap((p) => ['-p', p])],
        ...Object.entries(environment).map(([key, value]) => `--setenv=${key}=${value}`),
        '--',
        // systemd would put variables in.
        ...argv.map((arg) => arg.replaceAll('$', '$$$$')),
      ],
      { timeoutMs: spec.timeoutMs + (STOP_SECONDS + 25) * 1_000 },
    );
    // Being stopped counts as a clean end with systemd.
    const stopped = late || signal.aborted;
    return { ...result, code: stopped && result.code === 0 ? 1 : result.code, late };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', aborted);
  }
}

const tail = (text: string): string =>
  text.length <= KEPT_OUTPUT ? text : `… (${text.length - KEPT_OUTPUT} more before) ${text.slice(-KEPT_OUTPUT)}`;
