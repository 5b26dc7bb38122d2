/** The bytes of a pack as they come: looked at, skipped, and hashed. */
import { createHash } from 'node:crypto';
import { overBudget } from '../wire/budget.ts';

/** A pack ends with the hash of all that is before. */
export const TRAILER = 20;

export interface Reader {
  /** All that is here and not skipped yet. */
  here(): Buffer;
  /** All that is here and not skipped yet: at least `bytes`, unless the pack ends before. */
  peek(bytes: number): Promise<Buffer>;
  skip(bytes: number): void;
  /** Bytes. */
  skipped(): number;
  /** Checksum of all bytes but the last twenty, which are the checksum itself. */
  hash(): string;
  close(): Promise<void>;
}

export function createReader(pack: AsyncIterable<Uint8Array>, limit: number): Reader {
  const from = pack[Symbol.asyncIterator]();
  const hash = createHash('sha1');
  let here: Buffer = Buffer.alloc(0);
  /** The last twenty bytes so far: they may be the checksum itself. */
  let last: Buffer = here;
  const note = (chunk: Buffer) => {
    const all = last.length === 0 ? chunk : Buffer.concat([last, chunk]);
    const end = Math.max(0, all.length - TRAILER);
    hash.update(all.subarray(0, end));
    last = all.subarray(end);
  };
  let size = 0;
  let skipped = 0;
  let ended = false;
  return {
    here: () => here,
    async peek(bytes) {
      const came = [here];
      let length = here.length;
      while (length < bytes && !ended) {
        const { value, done } = await from.next();
        ended = done === true;
        if (ended) break;
        size += value.length;
        if (size > limit) throw overBudget('pack', size, limit);
        const chunk = Buffer.from(value.buffer, value.byteOffset, value.length);
        note(chunk);
        came.push(chunk);
        length += chunk.length;
      }
      // Join only once: data that a server sends byte by byte must not be copied for each piece.
      if (came.length > 1) here = Buffer.concat(came, length);
      return here;
    },
    skip(bytes) {
      skipped += bytes;
      here = here.subarray(bytes);
    },
    skipped: () => skipped,
    hash: () => hash.digest('hex'),
    close: async () => void (await from.return?.()),
  };
}
