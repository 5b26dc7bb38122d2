/** Cache of commits, trees and small files that were read lately: the next commit is mostly a change of these. */
import { unpooled, type Whole } from '../pack/objects.ts';

/** Recently read objects, in memory from one view of the store to the next. An id identifies its object everywhere. */
export interface Recent {
  get(oid: string): Whole | undefined;
  note(oid: string, object: Whole): void;
}

/** Limits for all entries together and for one entry: a directory that ten thousand hosts share has half a MiB. */
const MAX_BYTES = 1024 * 1024;
/** Limit for a file: host.yaml and its like are read in every run, large files are not. */
const MAX_FILE = 4096;

/** Memory that an object takes besides its bytes, rounded up. */
const OVERHEAD = 512;

/** The least recently used entry goes first. */
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
