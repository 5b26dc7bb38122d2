/**
 * Holds a broker to the largest packet that it may send. MQTT 5 lets a client say what it takes (3.1.2.11.4), but a broker of
 * 3.1.1 knows nothing of it, and a hostile one does not care: the library would keep all of the packet until it is whole.
 */
import type { Readable } from 'node:stream';

/** A packet that announced more than was allowed. */
export class TooLarge extends Error {}

/** Bits of a byte of the remaining length, and the bit that says that another one follows (MQTT 5.0, 1.5.5 and 2.1.4). */
const LENGTH_BITS = 0x7f;
const MORE = 0x80;
/** Bytes of the field "remaining length". */
const MOST_LENGTH_BYTES = 4;

/** Calls `exceeded` at the first packet of more than `maxBytes`, as soon as its length is known. */
export function watchPackets(stream: Readable, maxBytes: number, exceeded: (error: TooLarge) => void): void {
  /** Bytes of the packet under way that are still to come; -1 while its length is being read. */
  let left = 0;
  let length = 0;
  let read = 0;
  const watch = (chunk: Buffer) => {
    for (let at = 0; at < chunk.length; ) {
      if (left > 0) {
        const taken = Math.min(left, chunk.length - at);
        left -= taken;
        at += taken;
      } else if (left === 0) {
        // The first byte says what kind of packet it is.
        [left, length, read] = [-1, 0, 0];
        at++;
      } else {
        const byte = chunk[at++] ?? 0;
        length += (byte & LENGTH_BITS) * 128 ** read++;
        if (length <= maxBytes && (byte & MORE) !== 0 && read < MOST_LENGTH_BYTES) continue;
        if (length > maxBytes || (byte & MORE) !== 0) {
          stream.off('data', watch);
          return exceeded(new TooLarge(`it sent a packet of more than ${maxBytes} bytes`));
        }
        left = length;
      }
    }
  };
  stream.on('data', watch);
}
