/** After an apply: wait until what was changed is well, or will not become so. */
import { kindOf } from '../../core/graph.ts';
import { traitsOf } from '../../core/kind.ts';
import type { Health } from '../../core/provider.ts';
import type { Desired, ResourceId } from '../../core/types.ts';
import { asAgentError } from '../../errors.ts';
import type { EngineDeps, RunRequest } from '../types.ts';
import { indexed, observe } from './observe.ts';

const FIRST_PAUSE_MS = 50;
const LAST_PAUSE_MS = 1_000;
const OK: Health = { state: 'ok', message: '' };

/**
 * @returns the last health of each; `wait` after `timeoutMs` becomes `bad`, unless its kind is out of reach; whether
 *   anything had to be waited for; and whether the wait was broken off, by a stop or for another run
 */
export async function settle(
  deps: EngineDeps,
  wants: readonly Desired[],
  timeoutMs: number,
  request: RunRequest,
): Promise<{ health: Map<ResourceId, Health>; tookMs: number; paused: boolean; brokenOff: boolean }> {
  const health = new Map<ResourceId, Health>();
  const began = deps.clock.monotonic();
  const deadline = began + timeoutMs;
  for (const want of wants)
    if (traitsOf(deps.kinds, want.id).judgesEveryRun)
      await deps.providers.get(kindOf(want.id))?.refresh?.(want, request.signal);
  let open = wants;
  let paused = false;
  let brokenOff = false;
  for (let pause = FIRST_PAUSE_MS; open.length > 0; pause = Math.min(pause * 2, LAST_PAUSE_MS)) {
    const { seen, unreachable } = await observe(
      deps.providers,
      open.map((w) => w.id),
      request.signal,
      indexed(open),
      true,
    );
    for (const want of open) {
      const kind = kindOf(want.id);
      const away = unreachable.get(kind);
      health.set(
        want.id,
        away
          ? { state: 'wait', message: away.message }
          : (deps.providers.get(kind)?.health(want, seen.get(want.id)) ?? OK),
      );
    }
    open = open.filter((want) => health.get(want.id)?.state === 'wait');
    if (open.length === 0) break;
    brokenOff = request.signal.aborted || request.superseded();
    if (brokenOff) break;
    if (deps.clock.monotonic() >= deadline) {
      for (const { id } of open.filter((want) => !unreachable.has(kindOf(want.id)))) {
        const message = `not settled after ${Math.round(timeoutMs / 1000)} s: ${health.get(id)?.message ?? ''}`;
        health.set(id, { state: 'bad', message });
      }
      break;
    }
    const waiting = open.map(({ id }) => ({ id, message: health.get(id)?.message ?? '' }));
    request.emit({ type: 'phase', phase: 'settle', detail: open.map((w) => w.id).join(', '), waiting });
    paused = true;
    await request.aside(deps.clock.sleep(pause, request.signal));
  }
  return { health, tookMs: deps.clock.monotonic() - began, paused, brokenOff };
}

/**
 * What was changed and is well lets go of what came before it. What is not well may be taken back, where that is asked
 * for, by a new commit alone: repairs never go back. What came of that is put into `health`.
 * @returns whether anybody was asked
 */
export async function concludeSettled(
  deps: EngineDeps,
  wants: readonly Desired[],
  health: Map<ResourceId, Health>,
  { isNew }: { isNew: boolean },
  request: RunRequest,
): Promise<boolean> {
  let asked = false;
  for (const [kind, members] of Map.groupBy(wants, (w) => kindOf(w.id))) {
    const conclude = deps.providers.get(kind)?.conclude;
    if (conclude === undefined) continue;
    const settled = members
      .map((want) => ({ want, health: health.get(want.id) ?? OK }))
      .filter((s) => s.health.state === 'ok' || (s.health.state === 'bad' && isNew));
    if (settled.length === 0) continue;
    asked = true;
    try {
      for (const [id, said] of await conclude(settled, request.signal)) health.set(id, said);
    } catch (thrown) {
      // What is left over is seen, and taken away, by the next run.
      const { message } = asAgentError(thrown, { code: 'ApplyFailed', phase: 'apply' });
      deps.log.warn({ kind }, message);
    }
  }
  return asked;
}
