/** `post_start` and `pre_stop`: commands that run in a container after its start and before its stop. */

import type { HookSpec, ServiceSpec } from '../../compose/stack/model.ts';
import { withoutCredentials } from '../../core/credentials/credentials.ts';
import { isOutage } from '../../core/plan/target.ts';
import type { Work } from '../../core/provider.ts';
import { AgentError } from '../../errors.ts';
import type { Clock } from '../../system/clock.ts';
import type { ContainerInfo, Docker } from '../../system/docker/docker.ts';
import { HASH, HOOKS } from '../docker/labels.ts';
import { nameOf } from './fact.ts';

type Hooks = Pick<ServiceSpec, 'preStart' | 'postStart' | 'preStop'>;
type Report = NonNullable<Work['report']>;

export interface HookTools {
  docker: Docker;
  clock: Clock;
}

const LIMIT_MS = 300_000;
const NONE: Hooks = { preStart: [], postStart: [], preStop: [] };

/**
 * The hooks that the container was created with, which may differ from the declared ones; for a foreign container, the declared
 * ones.
 */
export function hooksOf({ Config: { Labels: labels } }: ContainerInfo, declared: Hooks = NONE): Hooks {
  if (labels?.[HASH] === undefined) return declared;
  try {
    return { ...NONE, ...(JSON.parse(labels[HOOKS] ?? '{}') as Partial<Hooks>) };
  } catch {
    return NONE;
  }
}

/** @throws AgentError `HookFailed` with what the command printed */
export async function runPostStart(tools: HookTools, id: string, hooks: readonly HookSpec[]): Promise<void> {
  for (const [i, hook] of hooks.entries()) {
    const failure = await run(tools, id, hook);
    if (failure !== null)
      throw new AgentError({
        code: 'HookFailed',
        phase: 'apply',
        message: `post_start[${i}] (${withoutCredentials(hook.command).join(' ')}) ${failure}`,
      });
  }
}

/** A failure is reported, but does not prevent the stop. */
export async function runPreStop(
  tools: HookTools,
  info: ContainerInfo,
  declared: Hooks | undefined,
  report?: Report,
): Promise<void> {
  if (!info.State.Running || info.State.Restarting || info.State.Paused) return;
  for (const [i, hook] of hooksOf(info, declared).preStop.entries()) {
    const failure = await run(tools, info.Id, hook).catch((thrown: unknown) => {
      // Nothing is left to stop.
      if (thrown instanceof AgentError && thrown.code === 'ContainerMissing') return null;
      throw thrown;
    });
    if (failure !== null)
      report?.({
        field: `pre_stop[${i}]`,
        to: `${withoutCredentials(hook.command).join(' ')} ${failure} in ${nameOf(info)}`,
      });
  }
}

/** @returns why it failed; null if it succeeded */
async function run({ docker, clock }: HookTools, id: string, hook: HookSpec): Promise<string | null> {
  const command = {
    Cmd: hook.command,
    Env: Object.entries(hook.environment).map(([key, value]) => `${key}=${value}`),
    ...(hook.user ? { User: hook.user } : {}),
    ...(hook.workingDir ? { WorkingDir: hook.workingDir } : {}),
    ...(hook.privileged ? { Privileged: true } : {}),
  };
  const ended = new AbortController();
  const late = clock.sleep(LIMIT_MS, ended.signal).then(() => null);
  try {
    const result = await Promise.race([docker.run(id, command, LIMIT_MS), late]);
    if (result === null) return `did not end within ${LIMIT_MS / 1000} s`;
    if (result.exitCode === 0) return null;
    return `ended with exit code ${result.exitCode}${result.output ? `: ${result.output}` : ' and printed nothing'}`;
  } catch (thrown) {
    if (thrown instanceof AgentError && isOutage(thrown.code)) throw thrown;
    return `could not be run: ${thrown instanceof Error ? thrown.message : String(thrown)}`;
  } finally {
    ended.abort();
  }
}
