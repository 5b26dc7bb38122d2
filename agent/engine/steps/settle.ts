/** After an apply: wait until what was changed is well, or will not become so. */
import { requirements } from '../../core/graph.ts';
import { kindOf } from '../../core/id.ts';
import { traitsOf } from '../../core/kind.ts';
import { patienceOf, type SettleTimes } from '../../core/patience.ts';
import type { Health } from '../../core/provider.ts';
import type { Desired, ResourceId, Seen } from '../../core/types.ts';
import { asAgentError } from '../../errors.ts';
import type { Run } from '../types.ts';
import { indexed, observe } from './observe.ts';

const FIRST_PAUSE_MS = 50;
const LAST_PAUSE_MS = 1_000;
/** A run that the schedule asks for waits at least this long. */
const LEAST_MS = 15_000;
/** An outage that lasts longer is not waited out by the run that met it. */
const OUTAGE_MS = 15_000;
const OK: Health = { state: 'ok', message: '' };

export interface Settling {
  /** The wait ends early if somebody asks for another run. */
  givesWay: boolean;
  settle: SettleTimes;
  /** An outage is under way: nobody's patience runs out in it, and nothing is waited for. */
  isOutage: boolean;
  /** This one is lost for good, and with it what is being waited for. */
  decides(id: ResourceId, health: Health): boolean;
}

export interface Settlement {
  health: Map<ResourceId, Health>;
  /** Anything had to be waited for. */
  paused: boolean;
  /** The wait was broken off: by a stop, for another run, or because of an outage. */
  brokenOff: boolean;
}

/**
 * Waits as long as each one's patience lasts, which is counted over all runs since its last start.
 * @returns the last health of each: what is still unwell when its patience is at an end is `bad`, what had to be left is `wait`
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
      const now = run.providers.get(kind)?.health(want, seen.get(want.id)) ?? OK;
      health.set(want.id, away ? { state: 'wait', message: away.message } : now);
    }
    const isOutage = how.isOutage || unreachable.size > 0;
    const outageMs = clocks.tick(open, { seen, health, isOutage });
    const left = open.filter((want) => isOnItsWay(health.get(want.id)));
    // The time of what judges the others begins when these are in place.
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

/** For good. */
const isUnwell = (health: Health): boolean => health.state === 'bad' && health.heals !== true;

/** How long each was waited for since its last start. It is kept in the store: neither a restart nor another run begins it again. */
function createClocks(run: Run, wants: readonly Desired[], times: SettleTimes) {
  const began = run.clock.now().getTime();
  const known = run.store.facts.get('patience') ?? {};
  const clocks = new Map(wants.map(({ id }) => [id, { waitedMs: 0, since: began, ...known[id], limitMs: 0 }]));
  const needed = requirements(wants);
  /** What it said last when it was unwell: that it runs again for a moment says nothing. */
  const evidence = new Map<ResourceId, Health>();
  const begunAt = run.clock.monotonic();
  let last = begunAt;
  let outageMs = 0;
  return {
    /**
     * Of those that may still become well: what has waited for too long is `bad` from now on. Clocks stand still in an outage.
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
        // Whoever needs something that is on its way itself has not begun to wait.
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
    /** Since when it is waited for, and until when at most. */
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
