/** Maintenance windows (host.yaml, `window`): cron opens them, they stay open for a duration, in a time zone. */
import { Cron } from 'croner';
import { durationMs } from '../../../manifests-schema/duration.ts';
import type { HostSettings } from '../../core/render.ts';
import { type ResourcePause, resourcePausesNow } from '../../core/resource-pause.ts';
import { pauseNow } from '../../core/target.ts';
import type { EngineDeps } from '../types.ts';

export interface WindowState {
  open: boolean;
  /** While it is closed: when it opens next, ISO 8601; null where it never does. */
  until: string | null;
}

/** As it is now for a host. While the date is doubted the window is closed, whatever it says: who knows what time it is? */
export async function windowNow(
  { clock, clockDoubt }: Pick<EngineDeps, 'clock' | 'clockDoubt'>,
  window: NonNullable<HostSettings['window']>,
): Promise<WindowState & { doubt: string | null }> {
  const doubt = (await clockDoubt?.()) ?? null;
  if (doubt !== null) return { open: false, until: null, doubt: doubt.message };
  return { ...windowAt(window, clock.now()), doubt: null };
}

/** Single resources that are held now. A pause that has a limit does not end by a date that is doubted. */
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

/** A pause that has a limit does not end by a date that is doubted. */
export async function pauseInForce({ store, clock, clockDoubt }: Pick<EngineDeps, 'store' | 'clock' | 'clockDoubt'>) {
  const { pause } = store.commits.get();
  if (pause?.until && (await clockDoubt?.())) return pause;
  return pauseNow(pause, clock.now());
}

/** croner counts in the zone's own wall clock, so that days on which clocks change are right. */
export function windowAt(window: NonNullable<HostSettings['window']>, now: Date): WindowState {
  const cron = new Cron(window.schedule, { timezone: window.timezone ?? 'UTC', paused: true });
  // It opened at the first match after (now - duration), if that has come already.
  const opened = cron.nextRun(new Date(now.getTime() - durationMs(window.duration)));
  if (opened !== null && opened.getTime() <= now.getTime()) return { open: true, until: null };
  return { open: false, until: cron.nextRun(now)?.toISOString() ?? null };
}
