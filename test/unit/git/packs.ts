/** Packs as a server would send them, and as it should not. */
import { createHash } from 'node:crypto';
import zlib from 'node:zlib';
import { packet } from '../../../agent/git/packet.ts';

export interface Packed {
  /** The size that its header says. */
  claims: number;
  content: Uint8Array;
  /** 3 is a blob, the default. */
  type?: number;
}

export const blob = (text: string): Packed => ({ claims: text.length, content: Buffer.from(text) });

export function packOf(objects: readonly Packed[], said = objects.length): Buffer {
  const head = Buffer.alloc(12);
  head.write('PACK');
  head.writeUInt32BE(2, 4);
  head.writeUInt32BE(said, 8);
  const bodies = objects.map(({ claims, content, type = 3 }) => {
    const bytes = [(type << 4) | (claims & 15)];
    for (let left = Math.floor(claims / 16); left > 0; left = Math.floor(left / 128)) {
      bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) | 0x80;
      bytes.push(left & 0x7f);
    }
    return Buffer.concat([Buffer.from(bytes), zlib.deflateSync(content)]);
  });
  const body = Buffer.concat([head, ...bodies]);
  return Buffer.concat([body, createHash('sha1').update(body).digest()]);
}

/** The answer to a fetch that carries this pack. */
export const packAnswer = (pack: Uint8Array): Buffer =>
  Buffer.concat([packet('packfile\n'), ...bands(pack), Buffer.from('0000')]);

function bands(pack: Uint8Array): Buffer[] {
  const out: Buffer[] = [];
  for (let at = 0; at < pack.length; at += 60_000) {
    const part = pack.subarray(at, at + 60_000);
    out.push(Buffer.from(`${(part.length + 5).toString(16).padStart(4, '0')}\x01`), Buffer.from(part));
  }
  return out;
}

export const blobId = (content: Uint8Array): string =>
  createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex');
