/** Jobs: commands that run when their inputs change. Each runs in its own transient unit, outside the agent's limits. */

import type { ReasonCode } from '../../../manifests-schema/reasons.ts';
import { withoutCredentials } from '../../core/credentials/credentials.ts';
import { eachWork } from '../../core/each.ts';
import { TRY_AGAIN } from '../../core/exit-codes.ts';
import type { Provider, Work } from '../../core/provider.ts';
import type { Change, Desired, Reason, ResourceId, Seen } from '../../core/types.ts';
import { AgentError } from '../../errors.ts';
import type { Exec } from '../../system/exec.ts';
import type { JobSpec } from './spec.ts';
import { createTransientUnits, type UnitResult } from './transient-units.ts';

export interface JobFact {
  /** The result of `unless`, if it was run: true if the job need not run. */
  satisfied: boolean | null;
}

export interface JobProviderOptions {
  exec: Exec;
  /** Removes secrets from the output of a job. */
  redact(text: string): string;
}

/** Maximum length of a job's output in history; the end is kept, because it says how the job ended. */
const KEPT_OUTPUT = 4_096;
const SHOWN_LINES = 6;
const UNLESS_TIMEOUT_MS = 60_000;

type Report = Work['report'];

export function createJobProvider({ exec, redact }: JobProviderOptions): Provider<JobSpec, JobFact> {
  const units = createTransientUnits(exec);
  /**
   * @param how `share` takes the answer of one that runs now; `run` asks again, since an apply may have changed what it asks for
   * @returns `unknown` if `unless` reports that it cannot decide now, or was stopped
   */
  const needless = async (spec: JobSpec, signal: AbortSignal, how: 'share' | 'run'): Promise<boolean | 'unknown'> => {
    if (spec.unless === undefined) return false;
    const limited = { ...spec, timeoutMs: Math.min(spec.timeoutMs, UNLESS_TIMEOUT_MS) };
    const name = `unless-${spec.name}`;
    const { code, late, stopped } = await units[how](name, spec.unless, limited, signal);
    return late || stopped || code === TRY_AGAIN ? 'unknown' : code === 0;
  };
  const run = async (want: Desired<JobSpec>, signal: AbortSignal, report: Report) => {
    const { spec, id: resource } = want;
    const holds = await needless(spec, signal, 'run');
    if (holds === 'unknown') throw undecided(want);
    if (holds) {
      report?.({ field: 'unless', to: 'holds already; not run' });
      return;
    }
    const result = await units.run(`job-${spec.name}`, spec.run, spec, signal);
    const output = redact(`${result.stdout}${result.stderr}`).trimEnd();
    if (output !== '') report?.({ field: 'output', to: tail(output) });
    if (result.code === 0) return;
    const lines = output.split('\n').filter(Boolean).slice(-SHOWN_LINES).join(' | ');
    const how = result.late
      ? `did not end within ${spec.timeoutMs / 1000} s and was stopped, with all it had started`
      : result.stopped
        ? 'was stopped, since the agent stops'
        : `ended with exit status ${result.code}`;
    throw new AgentError({
      code: codeOf(result),
      phase: 'apply',
      resource,
      message: `\`${spec.run.join(' ')}\` ${how}${lines ? `; it said: ${lines.slice(-1_000)}` : ''}`,
    });
  };
  /** Jobs that ran in this run: a changed input of the same run does not run them again. */
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
        // A job that is no longer declared leaves nothing behind.
        if (spec === undefined) continue;
        const asks = spec.when === 'always' && spec.unless !== undefined;
        seen.set(id, { fact: { satisfied: asks ? (await needless(spec, signal, 'share')) === true : null } });
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
    message: `cannot decide now whether the job is needed: \`${spec.unless?.join(' ')}\`, its \`unless\`, ended with exit status ${TRY_AGAIN} or did not end in time; it is run again later`,
  });

/** USER and GROUP of systemd.exec(5), "Process Exit Codes". */
function codeOf({ late, code }: UnitResult): ReasonCode {
  if (late) return 'JobTimeout';
  if (code === TRY_AGAIN) return 'TemporaryFailure';
  return code === 216 || code === 217 ? 'UnknownOwner' : 'JobFailed';
}

/** Pure. Only the inventory knows whether a job has run. */
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

const tail = (text: string): string =>
  text.length <= KEPT_OUTPUT ? text : `… (${text.length - KEPT_OUTPUT} more before) ${text.slice(-KEPT_OUTPUT)}`;
