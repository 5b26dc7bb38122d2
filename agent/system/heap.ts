/** Gives back what a run needed and the time between two runs does not: V8 alone keeps most of it for the next one. */
import { getHeapStatistics } from 'node:v8';

export interface HeapOptions {
  /** Collects garbage, and returns the freed memory to the system; null if Node was started without `--expose-gc`. */
  collect: (() => void) | null;
  /** Size of the heap, garbage included. */
  bytes(): number;
  /** Whether a run is under way. */
  busy(): boolean;
}

export interface Heap {
  /** To be called after each run. */
  rest(): void;
  stop(): void;
}

/** By then the caller of the run has its answer, and most of its events are sent. */
const REST_MS = 10_000;
/** Growth since the last collection that is worth the tens of milliseconds that a collection takes. */
const SLACK = 4 * 1024 * 1024;

export function createHeap({ collect, bytes, busy }: HeapOptions): Heap {
  let timer: NodeJS.Timeout | null = null;
  let least = 0;
  const later = (act: () => void) => {
    timer = setTimeout(() => {
      timer = null;
      if (busy()) later(act);
      else act();
    }, REST_MS).unref();
  };
  return {
    rest() {
      if (collect === null || timer !== null || bytes() < least + SLACK) return;
      later(() => {
        collect();
        least = bytes();
      });
    },
    stop() {
      if (timer !== null) clearTimeout(timer);
      timer = null;
    },
  };
}

/** Heap of this process. */
export const heapBytes = (): number => getHeapStatistics().total_physical_size;

/** All that is free goes back to the kernel (V8's GC extension). null without `--expose-gc` */
export const collector = (): (() => void) | null => {
  const { gc } = globalThis;
  return gc === undefined ? null : () => void gc({ type: 'major', execution: 'sync', flavor: 'last-resort' });
};
