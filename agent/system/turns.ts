/** Long work in slices: the event loop turns between them, so that everybody else is served. */
import { setImmediate } from 'node:timers/promises';

/** Longest slice of work, in milliseconds. */
const SLICE_MS = 20;

/** @returns what is called between two steps: it lets others go first once this slice is used up */
export function createTurns(sliceMs = SLICE_MS): () => Promise<void> {
  let began = performance.now();
  return async () => {
    if (performance.now() - began < sliceMs) return;
    await setImmediate();
    began = performance.now();
  };
}
