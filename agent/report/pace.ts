/**
 * Limits how often a retained document is published: when it has changed, but not too often, and now and then even without a
 * change. Pure.
 */
import type { StatusDocument } from '../../manifests-schema/payloads.ts';

export interface Pace {
  /** Milliseconds until it may be checked again; 0 for now. */
  waitMs(now: number): number;
  /** Milliseconds until it is published again although nothing is new. */
  restMs(now: number): number;
  /** @returns whether to publish now. @param digest of the document */
  isDue(digest: string, now: number): boolean;
  /** The far end has it. */
  said(digest: string, now: number): void;
  /** The broker refused the document. */
  refused(now: number): void;
  /** The far end may have lost it. */
  forget(): void;
}

export interface PaceOptions {
  /** Minimum time between two publications, in ms. */
  everyMs: number;
  /** Time after which an unchanged document is published again, in ms. */
  beatMs?: number;
}

export function createPace({ everyMs, beatMs = Number.POSITIVE_INFINITY }: PaceOptions): Pace {
  let kept: string | null = null;
  let at = Number.NEGATIVE_INFINITY;
  return {
    waitMs: (now) => Math.max(0, at + everyMs - now),
    restMs: (now) => Math.max(everyMs, at + beatMs - now),
    isDue: (digest, now) => digest !== kept || now - at >= beatMs,
    said(digest, now) {
      kept = digest;
      at = now;
    },
    refused(now) {
      at = now;
    },
    forget() {
      kept = null;
    },
  };
}

/** A change is published at once, but at most one in a second. */
export const STATUS_EVERY_MS = 1_000;
/** `at` of a connected host is never older than this and a second; an older one means that the host does not report. */
export const STATUS_BEAT_MS = 600_000;
export const RESOURCES_EVERY_MS = 1_000;
/** Tens of kilobytes: a host that repairs all the time says it six times a minute. */
export const HISTORY_EVERY_MS = 10_000;

/**
 * The part of a status that counts as a change: not its time, nor the next run, nor a run that found nothing to do. A
 * healthy host runs once a minute, and would publish a status each time.
 */
export function newsOf({ at: _at, next: _next, run, ...news }: StatusDocument): unknown {
  const isQuiet = run && run.trigger !== 'manual' && run.changed + run.failed + run.repaired === 0;
  return isQuiet ? news : { ...news, run };
}
