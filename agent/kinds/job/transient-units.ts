/** Commands in transient units of systemd, one at a time for each unit name. */
import { LONGEST_TIMER_MS } from '../../system/clock.ts';
import type { Exec, ExecResult } from '../../system/exec.ts';
import type { JobSpec } from './spec.ts';

/** Seconds between SIGTERM and SIGKILL. */
const STOP_SECONDS = 5;

type UnitSpec = Pick<JobSpec, 'user' | 'cwd' | 'env' | 'timeoutMs'>;

export interface UnitResult extends ExecResult {
  /** It was stopped because it exceeded its time limit. */
  late: boolean;
  /** It was stopped, or not started, because its signal aborted. */
  stopped: boolean;
}

/** @param name `job-NAME` or `unless-NAME`, so that a job and a condition never share a unit name */
type RunUnit = (name: string, argv: readonly string[], spec: UnitSpec, signal: AbortSignal) => Promise<UnitResult>;

export interface TransientUnits {
  /** Runs the command when no other one has this name; several callers wait for each other. */
  run: RunUnit;
  /** The same, but takes the result of the same command if it runs now. */
  share: RunUnit;
}

export function createTransientUnits(exec: Exec): TransientUnits {
  /** Name → what runs under it now. A plan observes while a run applies, so that one name may be wanted twice. */
  const running = new Map<string, { command: string; result: Promise<UnitResult> }>();
  const begin: RunUnit = (name, argv, spec, signal) => {
    const result = runUnit(exec, name, argv, spec, signal).finally(() => running.delete(name));
    running.set(name, { command: commandOf(argv, spec), result });
    return result;
  };
  return {
    async run(name, argv, spec, signal) {
      for (let other = running.get(name); other !== undefined; other = running.get(name))
        await other.result.catch(() => undefined);
      return begin(name, argv, spec, signal);
    },
    async share(name, argv, spec, signal) {
      for (let other = running.get(name); other !== undefined; other = running.get(name)) {
        const result = await other.result.catch(() => null);
        // One that was stopped for somebody else has no answer.
        if (other.command === commandOf(argv, spec) && result?.stopped === false) return result;
      }
      return begin(name, argv, spec, signal);
    },
  };
}

const commandOf = (argv: readonly string[], { user, cwd, env, timeoutMs }: UnitSpec): string =>
  JSON.stringify([argv, user, cwd, env, timeoutMs]);

/**
 * Runs systemd-run(1): with its own cgroup, so that every process it starts can be stopped; with a clean environment; output by
 * pipe. A unit that a killed agent left is stopped first, so that two never run at once.
 */
async function runUnit(
  exec: Exec,
  name: string,
  argv: readonly string[],
  spec: UnitSpec,
  signal: AbortSignal,
): Promise<UnitResult> {
  const unit = `fairlead-${name}.service`;
  const stop = () => exec(['systemctl', 'stop', unit], { timeoutMs: (STOP_SECONDS + 15) * 1_000 });
  if ((await exec(['systemctl', 'is-active', '--quiet', unit], { timeoutMs: 10_000 })).code === 0) await stop();
  if (signal.aborted) return { code: 1, stdout: '', stderr: '', late: false, stopped: true };
  const properties = [
    `User=${spec.user}`,
    `WorkingDirectory=${spec.cwd}`,
    `TimeoutStopSec=${STOP_SECONDS}`,
    'KillMode=control-group',
    // A limit in case the agent itself dies meanwhile.
    `RuntimeMaxSec=${Math.ceil(spec.timeoutMs / 1_000) + 30}`,
  ];
  const environment = { LANG: 'C.UTF-8', ...spec.env };
  let late = false;
  const timer = setTimeout(
    () => {
      late = true;
      void stop();
    },
    Math.min(spec.timeoutMs, LONGEST_TIMER_MS),
  );
  const aborted = () => void stop();
  signal.addEventListener('abort', aborted, { once: true });
  try {
    const result = await exec(
      [
        ...['systemd-run', '--quiet', '--wait', '--pipe', '--collect', '--service-type=exec', `--unit=${unit}`],
        ...[`--description=fairlead ${name}`, ...properties.flatMap((p) => ['-p', p])],
        ...Object.entries(environment).map(([key, value]) => `--setenv=${key}=${value}`),
        '--',
        // systemd would expand variables.
        ...argv.map((arg) => arg.replaceAll('$', '$$$$')),
      ],
      { timeoutMs: spec.timeoutMs + (STOP_SECONDS + 25) * 1_000 },
    );
    const stopped = signal.aborted;
    // systemd reports a stopped unit as a clean exit.
    return { ...result, code: (late || stopped) && result.code === 0 ? 1 : result.code, late, stopped };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', aborted);
  }
}
