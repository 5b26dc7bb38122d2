/**
 * The kernel queues a limited number of events for this process and drops the rest (inotify(7), max_queued_events), but the
 * library does not report that. A process that reads half a queue in one turn of the event loop may have lost events.
 */
import fs from 'node:fs';

export interface InotifyQueue {
  /** Counts one event. */
  count(): void;
  /** Called after such a turn, because events may be missing. */
  lossy(listener: () => void): void;
}

/** @param size events that the kernel keeps */
export function createInotifyQueue(size = queueSize()): InotifyQueue {
  const listeners: (() => void)[] = [];
  let read = 0;
  const turnEnds = () => {
    const many = read >= size / 2;
    read = 0;
    if (many) for (const tell of listeners) tell();
  };
  return {
    count() {
      // Everything in the queue is read before the loop continues.
      if (read++ === 0) setImmediate(turnEnds);
    },
    lossy: (listener) => void listeners.push(listener),
  };
}

function queueSize(): number {
  try {
    return Number(fs.readFileSync('/proc/sys/fs/inotify/max_queued_events', 'utf8')) || 16_384;
  } catch {
    return 16_384;
  }
}
