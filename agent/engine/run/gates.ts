/** Gates that depend on the date: a pause with a limit, a closed maintenance window. */
import { traitsOf } from '../../core/kind.ts';
import type { pauseNow } from '../../core/plan/target.ts';
import type { Checkout, Gate } from '../../core/types.ts';
import { TRY } from '../decide/mode.ts';
import { windowNow } from '../steps/window.ts';
import type { Loaded, Run } from '../types.ts';
import { converges, planFor } from './plan-for.ts';

export const pauseGate = ({ until, reason }: NonNullable<ReturnType<typeof pauseNow>>): Gate => ({
  kind: 'pause',
  reason: `paused${reason ? `: ${reason}` : ''}; \`fairlead resume\` ends it`,
  until,
});

/** A window holds new commits that would disturb something; drift from the accepted commit is repaired at any time. */
export async function windowGate(run: Run, loaded: Loaded, head: Checkout): Promise<Gate | null> {
  const { window } = loaded.host;
  if (window === undefined || run.asked.force || !converges(head, loaded)) return null;
  const state = await windowNow(run, window);
  if (state.open) return null;
  const { plan } = await planFor(run, loaded, { given: null, mode: TRY, countsRemovals: true });
  const work = plan.steps.filter((s) => s.change.op !== 'none' || s.refreshFor.length > 0);
  const gone = plan.removals.filter((r) => r.seen !== undefined);
  if (work.length + gone.length === 0) return null;
  // New files that restart nothing cannot disturb what runs.
  const harmless = work.every(
    (s) =>
      traitsOf(run.kinds, s.want.id).harmlessWhenNew &&
      s.change.op === 'create' &&
      s.want.notify.length + (s.want.reload?.length ?? 0) === 0,
  );
  if (window.harmless === 'allow' && harmless && gone.length === 0) return null;
  const reason = `commit ${head.info.commit.slice(0, 7)} waits for the maintenance window (${window.schedule}, ${window.timezone ?? 'UTC'})`;
  return { kind: 'window', reason: state.doubt === null ? reason : `${reason}: ${state.doubt}`, until: state.until };
}
