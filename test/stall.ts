/**
 * Detects a blocked event loop: the processor time of this thread between two ticks of a timer. Wall time means nothing on a busy
 * machine. A tick runs in the first turn after its time, so at most one long turn lies between two.
 */
import { afterEach, beforeEach, expect } from 'vitest';
import { STALL_MS } from './stall-limit.ts';

const BEAT_MS = 5;

export interface TurnWatch {
  /** Processor time of the longest turn so far, in milliseconds. */
  longestMs(): number;
  stop(): void;
}

/** Starts to watch this thread. */
export function watchTurns(): TurnWatch {
  let longest = 0;
  let last = process.threadCpuUsage();
  const beat = () => {
    const { user, system } = process.threadCpuUsage(last);
    longest = Math.max(longest, (user + system) / 1_000);
    last = process.threadCpuUsage();
  };
  const timer = setInterval(beat, BEAT_MS);
  timer.unref();
  return {
    longestMs() {
      beat();
      return longest;
    },
    stop: () => clearInterval(timer),
  };
}

/** Fails each test of the file in which one turn took `limitMs` of this thread's processor time. */
export function failOnStalls(limitMs = STALL_MS): void {
  let watch: TurnWatch;
  beforeEach(() => {
    watch = watchTurns();
  });
  afterEach(() => {
    watch.stop();
    expect(watch.longestMs(), 'processor time of the longest turn of the event loop, in ms').toBeLessThan(limitMs);
  });
}
