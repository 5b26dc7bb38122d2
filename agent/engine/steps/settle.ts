/** After an apply: waits until everything that was changed is well, or will not become so. */

import { kindOf } from '../../core/id.ts';
import { traitsOf } from '../../core/kind.ts';
import { requirements } from '../../core/order/graph.ts';
import { patienceOf, type SettleTimes } from '../../core/plan/patience.ts';
import type { Health } from '../../core/provider.ts';
import type { Desired, ResourceId, Seen } from '../../core/types.ts';
import { asAgentError } from '../../errors.ts';
import type { Run } from '../types.ts';
import { awayOf, indexed, observe } from './observe.ts';

const FIRST_PAUSE_MS = 50;
const LAST_PAUSE_MS = 1_000;
/** Minimum wait before a run that the schedule requested may end the wait. */
const LEAST_MS = 15_000;
/** The run that met an outage does not wait longer than this for its end. */
const OUTAGE_MS = 15_000;
const OK: Health = { state: 'ok', message: '' };

export interface Settling {
  /** Waiting ends early if another run is requested. */
  givesWay: boolean;
  settle: SettleTimes;
  /** There is an outage: nobody's patience runs out, and the run does not wait. */
  isOutage: boolean;
  /** This resource failed for good, so the wait can end. */
  decides(id: ResourceId, health: Health): boolean;
}

export interface Settlement {
  health: Map<ResourceId, Health>;
  /** Whether the run had to wait for anything. */
  paused: boolean;
  /** The wait was interrupted: by a stop, for another run, or because of an outage. */
  brokenOff: boolean;
}

/**
 * Waits until each resource's patience ends, counted over all runs since its last start.
 * @returns the last health of each resource: `bad` if it was unwell when its patience ended, `wait` if the wait was interrupted
 */
export async function settle(run: Run, wants: readonly Desired[], how: Settling): Promise<Settlement> {
  const health = new Map<ResourceId, Health>();
  const isJudge = ({ id }: Desired) => traitsOf(run.kinds, id).judgesEveryRun;
  const restart = async (judges: readonly Desired[]) => {
    for (const want of judges) await run.providers.get(kindOf(want.id))?.refresh?.(want, run.io.signal);
  };
  await restart(wants.filter(isJudge));
  const clocks = createClocks(run, wants, how.settle);
  let open = wants;
  let paused = false;
  let brokenOff = false;
  for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(pause * 2, LAST_PAUSE_MS)) {
    const observed = await observe(
      run.providers,
      open.map((w) => w.id),
      run.io.signal,
      indexed(open),
      { healthAlone: true },
    );
    const { seen } = observed;
    for (const want of open) {
      const away = awayOf(observed, want.id);
      const now = run.providers.get(kindOf(want.id))?.health(want, seen.get(want.id)) ?? OK;
      health.set(want.id, away ? { state: 'wait', message: away.message, code: away.code } : now);
    }
    const isOutage = how.isOutage || observed.unreachable.size > 0;
    const outageMs = clocks.tick(open, { seen, health, isOutage });
    const left = open.filter((want) => isOnItsWay(health.get(want.id)));
    // The time limit of a check starts when the resources that it judges are in place.
    const judges = open.filter((want) => isJudge(want) && health.get(want.id)?.state === 'bad');
    if (judges.length > 0 && left.some((want) => !isJudge(want))) {
      await restart(judges);
      for (const { id } of judges) health.set(id, { state: 'wait', message: health.get(id)?.message ?? '' });
      left.push(...judges);
    }
    open = left;
    const isLost = [...health].some(([id, one]) => isUnwell(one) && how.decides(id, one));
    if (open.length === 0 || isLost) break;
    const isWanted = run.io.superseded() || (run.io.hasNext() && clocks.ranMs() > LEAST_MS);
    brokenOff = run.io.signal.aborted || (how.givesWay && isWanted) || how.isOutage || outageMs > OUTAGE_MS;
    if (brokenOff) break;
    const waiting = open.map(({ id }) => ({ id, message: health.get(id)?.message ?? '', ...clocks.of(id) }));
    run.io.emit({ type: 'phase', phase: 'settle', detail: open.map((w) => w.id).join(', '), waiting });
    paused = true;
    await run.io.yielding(run.clock.sleep(pause, run.io.signal));
  }
  for (const { id } of open) health.set(id, { ...(health.get(id) ?? OK), state: 'wait' });
  clocks.store(health);
  return { health, paused, brokenOff };
}

const isOnItsWay = (health: Health | undefined): boolean =>
  health?.state === 'wait' || (health?.state === 'bad' && health.heals === true);

/** Whether the resource is unwell for good. */
const isUnwell = (health: Health): boolean => health.state === 'bad' && health.heals !== true;

/**
 * How long the run has waited for each resource since its last start. Stored, so that neither a restart nor another run starts
 * the count again.
 */
function createClocks(run: Run, wants: readonly Desired[], times: SettleTimes) {
  const began = run.clock.now().getTime();
  const known = run.store.facts.get('patience') ?? {};
  const clocks = new Map(wants.map(({ id }) => [id, { waitedMs: 0, since: began, ...known[id], limitMs: 0 }]));
  const needed = requirements(wants);
  /** The last failure that a resource reported: running again for a moment does not refute it. */
  const evidence = new Map<ResourceId, Health>();
  const begunAt = run.clock.monotonic();
  let last = begunAt;
  let outageMs = 0;
  return {
    /**
     * Updates the clocks of resources that may still become well; those whose patience ended are `bad` from now on. Clocks stop
     * during an outage.
     * @returns how long the outage has lasted, in ms
     */
    tick(
      open: readonly Desired[],
      {
        seen,
        health,
        isOutage,
      }: { seen: ReadonlyMap<ResourceId, Seen>; health: Map<ResourceId, Health>; isOutage: boolean },
    ): number {
      const now = run.clock.monotonic();
      const passed = now - last;
      last = now;
      outageMs = isOutage ? outageMs + passed : 0;
      if (isOutage) return outageMs;
      const waiting = new Set(open.filter(({ id }) => isOnItsWay(health.get(id))).map(({ id }) => id));
      for (const want of open) {
        const { id } = want;
        const clock = clocks.get(id);
        const one = health.get(id);
        if (clock === undefined || one === undefined || !waiting.has(id)) continue;
        if (one.state === 'bad') evidence.set(id, one);
        const own = [want.patienceMs, run.providers.get(kindOf(id))?.patienceMs?.(want, seen.get(id))];
        clock.limitMs = patienceOf(
          times,
          clock.isFirst === true,
          own.filter((ms) => typeof ms === 'number'),
        );
        // A resource that needs another one which is progressing has not begun to wait.
        if (![...(needed.get(id) ?? [])].some((other) => waiting.has(other))) clock.waitedMs += passed;
        if (clock.waitedMs < clock.limitMs) continue;
        const seenBad = evidence.get(id);
        if (seenBad === undefined && one.steadies) continue;
        const { message, code } = seenBad ?? one;
        const late = seenBad ? '' : `not settled after ${Math.round(clock.limitMs / 1_000)} s: `;
        health.set(id, { state: 'bad', message: `${late}${message}`, ...(code ? { code } : {}) });
      }
      return 0;
    },
    ranMs: (): number => run.clock.monotonic() - begunAt,
    /** Since when the run waits for it, and until when at most. */
    of(id: ResourceId): { since: string; until: string | null } {
      const { since = began, limitMs = 0, waitedMs = 0 } = clocks.get(id) ?? {};
      const until = limitMs === 0 ? null : new Date(run.clock.now().getTime() + limitMs - waitedMs).toISOString();
      return { since: new Date(since).toISOString(), until };
    },
    store(health: ReadonlyMap<ResourceId, Health>) {
      const left = Object.entries(known).filter(([id]) => !clocks.has(id as ResourceId));
      const open = [...clocks]
        .filter(([id]) => health.get(id)?.state !== 'ok')
        .map(([id, { waitedMs, since, isFirst }]) => [id, { waitedMs, since, ...(isFirst ? { isFirst } : {}) }]);
      const patience = Object.fromEntries([...left, ...open]);
      if (JSON.stringify(patience) !== JSON.stringify(known)) run.store.facts.set({ patience });
    },
  };
}

/**
 * Resources that were changed and are well release what came before them. Resources that are not well may be reverted if their
 * declaration asks for it, but only for a new commit: a repair reverts nothing. Writes the results into `health`.
 * @returns whether a provider had anything to conclude
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
      // The next run finds and removes leftovers.
      const { message } = asAgentError(thrown, { code: 'ApplyFailed', phase: 'apply' });
      run.log.warn({ kind }, message);
    }
  }
  return asked;
}
