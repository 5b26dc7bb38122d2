/** After an apply: wait until what was changed is well, or will not become so. */
import { kindOf } from '../../core/id.ts';
import { traitsOf } from '../../core/kind.ts';
import type { Health } from '../../core/provider.ts';
import type { Desired, ResourceId } from '../../core/types.ts';
import { asAgentError } from '../../errors.ts';
import type { Run } from '../types.ts';
import { indexed, observe } from './observe.ts';

const FIRST_PAUSE_MS = 50;
const LAST_PAUSE_MS = 1_000;
const OK: Health = { state: 'ok', message: '' };

/**
 * @param givesWay the wait ends early if somebody asks for another run
 * @returns the last health of each; `wait` after `timeoutMs` becomes `bad`, unless its kind is out of reach; whether
 *   anything had to be waited for; and whether the wait was broken off, by a stop or for another run
 */
export async function settle(
  run: Run,
  wants: readonly Desired[],
  { timeoutMs, givesWay }: { timeoutMs: number; givesWay: boolean },
): Promise<{ health: Map<ResourceId, Health>; tookMs: number; paused: boolean; brokenOff: boolean }> {
  const health = new Map<ResourceId, Health>();
  const began = run.clock.monotonic();
  const deadline = began + timeoutMs;
  for (const want of wants)
    if (traitsOf(run.kinds, want.id).judgesEveryRun)
      await run.providers.get(kindOf(want.id))?.refresh?.(want, run.io.signal);
  let open = wants;
  let paused = false;
  let brokenOff = false;
  for (let pause = FIRST_PAUSE_MS; open.length > 0; pause = Math.min(pause * 2, LAST_PAUSE_MS)) {
    const { seen, unreachable } = await observe(
      run.providers,
      open.map((w) => w.id),
      run.io.signal,
      indexed(open),
      { healthAlone: true },
    );
    for (const want of open) {
      const kind = kindOf(want.id);
      const away = unreachable.get(kind);
      health.set(
        want.id,
        away
          ? { state: 'wait', message: away.message }
          : (run.providers.get(kind)?.health(want, seen.get(want.id)) ?? OK),
      );
    }
    open = open.filter((want) => health.get(want.id)?.state === 'wait');
    if (open.length === 0) break;
    brokenOff = run.io.signal.aborted || (givesWay && run.io.superseded());
    if (brokenOff) break;
    if (run.clock.monotonic() >= deadline) {
      for (const { id } of open.filter((want) => !unreachable.has(kindOf(want.id)))) {
        const message = `not settled after ${Math.round(timeoutMs / 1000)} s: ${health.get(id)?.message ?? ''}`;
        health.set(id, { state: 'bad', message });
      }
      break;
    }
    const waiting = open.map(({ id }) => ({ id, message: health.get(id)?.message ?? '' }));
    run.io.emit({ type: 'phase', phase: 'settle', detail: open.map((w) => w.id).join(', '), waiting });
    paused = true;
    await run.io.yielding(run.clock.sleep(pause, run.io.signal));
  }
  return { health, tookMs: run.clock.monotonic() - began, paused, brokenOff };
}

/**
 * What was changed and is well lets go of what came before it. What is not well may be taken back, where that is asked
 * for, by a new commit alone: repairs never go back. What came of that is put into `health`.
 * @returns whether anybody was asked
 */
export async function concludeSettled(
  run: Run,
  wants: readonly Desired[],
  health: Map<ResourceId, Health>,
  { isNew }: { isNew: boolean },
): Promise<boolean> {
  let asked = false;
  for (const [kind, members] of Map.groupBy(wants, (w) => kindOf(w.id))) {
    const conclude = run.providers.get(kind)?.conclude;
    if (conclude === undefined) continue;
    const settled = members
      .map((want) => ({ want, health: health.get(want.id) ?? OK }))
      .filter((s) => s.health.state === 'ok' || (s.health.state === 'bad' && isNew));
    if (settled.length === 0) continue;
    asked = true;
    try {
      for (const [id, said] of await conclude(settled, run.io.signal)) health.set(id, said);
    } catch (thrown) {
      // What is left over is seen, and taken away, by the next run.
      const { message } = asAgentError(thrown, { code: 'ApplyFailed', phase: 'apply' });
      run.log.warn({ kind }, message);
    }
  }
  return asked;
}
