/** The newest events, bounded; each once, however often the broker sends it. */
import type { Happening } from './history.ts';

export interface Feed {
  /** The newest first. A new list after each change. */
  readonly list: readonly Happening[];
  /** Number of events received in all. */
  readonly total: number;
  add(event: Happening): void;
  clear(): void;
}

export function createFeed(max: number): Feed {
  let list: readonly Happening[] = [];
  let total = 0;
  return {
    get list() {
      return list;
    },
    get total() {
      return total;
    },
    add(event) {
      if (list.some(({ key }) => key === event.key)) return;
      list = [event, ...list.slice(0, max - 1)];
      total += 1;
    },
    clear() {
      list = [];
      total = 0;
    },
  };
}
