/**
 * Commits, trees and small files that were read lately. What comes next is told as changes of them.
 */
import { unpooled, type Whole } from '../pack/objects.ts';

/** In memory, from one view of the store to the next. Objects are what their ids say, wherever they lie. */
export interface Recent {
  get(oid: string): Whole | undefined;
  note(oid: string, object: Whole): void;
}

/** Of all together, and of one: a directory that ten thousand hosts share has half a MiB. */
const MAX_BYTES = 1024 * 1024;
/** Of a file: host.yaml and its like are read in every run, what is large is not. */
const MAX_FILE = 4096;

/** What an object takes besides its bytes, or a little more. */
const OVERHEAD = 512;

/** What was not asked for the longest goes first. */
export function createRecent(maxBytes = MAX_BYTES): Recent {
  const held = new Map<string, Whole>();
  let bytes = 0;
  return {
    get(oid) {
      const found = held.get(oid);
      if (found === undefined) return undefined;
      held.delete(oid);
      held.set(oid, found);
      return found;
    },
    note(oid, object) {
      if (held.has(oid) || object.bytes.length > (object.type === 'blob' ? MAX_FILE : maxBytes - OVERHEAD)) return;
      held.set(oid, { ...object, bytes: unpooled(object.bytes) });
      bytes += object.bytes.length + OVERHEAD;
      for (const [oldest, { bytes: its }] of held) {
        if (bytes <= maxBytes) break;
        bytes -= its.length + OVERHEAD;
        held.delete(oldest);
      }
    },
  };
}
