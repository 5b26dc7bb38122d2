/** Maintenance windows (host.yaml, `window`): cron opens them, they stay open for a duration, in a time zone. */
import { Cron } from 'croner';
import { durationMs } from '../../../manifests-schema/duration.ts';
import { type ResourcePause, resourcePausesNow } from '../../core/plan/resource-pause.ts';
import { pauseNow } from '../../core/plan/target.ts';
import type { HostSettings } from '../../core/render/render.ts';
import type { EngineDeps } from '../types.ts';

export interface WindowState {
  open: boolean;
  /** While it is closed: when it opens next, ISO 8601; null if never. */
  until: string | null;
}

/** The state of a host's window now. While the date is doubted the window counts as closed, because the time is unknown. */
export async function windowNow(
  { clock, clockDoubt }: Pick<EngineDeps, 'clock' | 'clockDoubt'>,
  window: NonNullable<HostSettings['window']>,
): Promise<WindowState & { doubt: string | null }> {
  const doubt = (await clockDoubt?.()) ?? null;
  if (doubt !== null) return { open: false, until: null, doubt: doubt.message };
  return { ...windowAt(window, clock.now()), doubt: null };
}

/** The current pauses of single resources. A pause with a limit does not end while the date is doubted. */
export async function resourcePausesInForce({
  store,
  clock,
  clockDoubt,
  isAlive = () => true,
}: Pick<EngineDeps, 'store' | 'clock' | 'clockDoubt' | 'isAlive'>): Promise<ResourcePause[]> {
  const pauses = store.commits.get().resourcePauses ?? [];
  if (pauses.length === 0) return [];
  const now = pauses.some(({ until }) => until !== null) && (await clockDoubt?.()) ? new Date(0) : clock.now();
  return resourcePausesNow(pauses, now, isAlive);
}

/** The current pause of the host. A pause with a limit does not end while the date is doubted. */
export async function pauseInForce({ store, clock, clockDoubt }: Pick<EngineDeps, 'store' | 'clock' | 'clockDoubt'>) {
  const { pause } = store.commits.get();
  if (pause?.until && (await clockDoubt?.())) return pause;
  return pauseNow(pause, clock.now());
}

/** croner computes in the wall clock of the time zone, so days with a clock change are right. */
export function windowAt(window: NonNullable<HostSettings['window']>, now: Date): WindowState {
  const cron = new Cron(window.schedule, { timezone: window.timezone ?? 'UTC', paused: true });
  // The window opened at the first match after (now - duration), if that is not in the future.
  const opened = cron.nextRun(new Date(now.getTime() - durationMs(window.duration)));
  if (opened !== null && opened.getTime() <= now.getTime()) return { open: true, until: null };
  return { open: false, until: cron.nextRun(now)?.toISOString() ?? null };
}
