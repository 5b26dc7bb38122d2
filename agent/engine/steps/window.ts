/** Maintenance windows (host.yaml, `window`): cron opens them, they stay open for a duration, in a time zone. */
import { Cron } from 'croner';
import { durationMs } from '../../../manifests-schema/duration.ts';
import type { HostSettings } from '../../core/render.ts';

export interface WindowState {
  open: boolean;
  /** While it is closed: when it opens next, ISO 8601; null where it never does. */
  until: string | null;
}

/** croner counts in the zone's own wall clock, so that days on which clocks change are right. */
export function windowAt(window: NonNullable<HostSettings['window']>, now: Date): WindowState {
  const cron = new Cron(window.schedule, { timezone: window.timezone ?? 'UTC', paused: true });
  // It opened at the first match after (now - duration), if that has come already.
  const opened = cron.nextRun(new Date(now.getTime() - durationMs(window.duration)));
  if (opened !== null && opened.getTime() <= now.getTime()) return { open: true, until: null };
  return { open: false, until: cron.nextRun(now)?.toISOString() ?? null };
}
