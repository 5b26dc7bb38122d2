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
const MIB = 1024 * 1024;
/** Growth that is worth the tens of milliseconds that a collection takes: of several quiet runs with a hundred resources. */
const SLACK = MIB;
/** A collection drops the bytecode of all functions. The run after it may take up to this much for what each run needs. */
const NEEDED_AGAIN = 4 * MIB;

export function createHeap({ collect, bytes, busy }: HeapOptions): Heap {
  let timer: NodeJS.Timeout | null = null;
  /** Size of the heap without garbage. */
  let least = 0;
  let isCollected = false;
  const later = (act: () => void) => {
    timer = setTimeout(() => {
      timer = null;
      if (busy()) later(act);
      else act();
    }, REST_MS).unref();
  };
  return {
    rest() {
      if (collect === null || timer !== null) return;
      const now = bytes();
      if (isCollected) least = Math.min(now, least + NEEDED_AGAIN);
      isCollected = false;
      if (now < least + SLACK) return;
      later(() => {
        collect();
        least = bytes();
        isCollected = true;
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
