/** Git's pkt-lines: bytes to packets and back, without any I/O. Source: git's Documentation/gitprotocol-common. */
import { AgentError } from '../../errors.ts';
import { refused } from './server-error.ts';

/** One packet: its payload, or one of the special packets of length 0, 1 and 2. */
export type Packet = Uint8Array | 'flush' | 'delim' | 'end';

const MAX_PACKET = 65_520;

/** `text` as one packet. */
export function packet(text: string): Uint8Array {
  const body = Buffer.from(text);
  return Buffer.concat([Buffer.from((body.length + 4).toString(16).padStart(4, '0')), body]);
}
export const FLUSH = '0000';

/** Parses incoming bytes into packets. Throws AgentError `ProtocolError` if they are none, or end within one. */
export async function* packets(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Packet> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of stream) {
    rest = rest.length === 0 ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length) : Buffer.concat([rest, chunk]);
    while (rest.length >= 4) {
      const length = lengthOf(rest);
      if (length < 4) {
        rest = rest.subarray(4);
        yield length === 0 ? 'flush' : length === 1 ? 'delim' : 'end';
        continue;
      }
      if (rest.length < length) break;
      const payload = rest.subarray(4, length);
      rest = rest.subarray(length);
      if (payload.length > 4 && payload.subarray(0, 4).toString() === 'ERR ') throw refused(payload.subarray(4));
      yield payload;
    }
  }
  if (rest.length > 0) throw broken('the answer ends in the middle of a packet');
}

function lengthOf(bytes: Buffer): number {
  const text = bytes.subarray(0, 4).toString('latin1');
  const length = /^[0-9a-fA-F]{4}$/.test(text) ? Number.parseInt(text, 16) : -1;
  if (length < 0 || length === 3 || length > MAX_PACKET) throw broken('what it sent is not the git protocol');
  return length;
}

/** The answer violates the protocol: a proxy answered itself, the connection was cut, or the server is hostile. */
export const broken = (why: string) =>
  new AgentError({
    code: 'ProtocolError',
    phase: 'fetch',
    message: `invalid response from the git server: ${why}`,
  });
