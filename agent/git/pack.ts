/** Looks through a pack before it is indexed: sizes as announced, none too large. Pure. Source: git's gitformat-pack. */
import zlib from 'node:zlib';
import { broken } from './packet.ts';

const DELTA = { offset: 6, ref: 7 } as const;
const MIB = 1024 * 1024;

/**
 * A pack of a few bytes can claim, or inflate to, more than this host has memory for.
 * @param limit bytes of one object, inflated and with its deltas applied
 * @throws AgentError `ProtocolError`
 */
export function checkPack(pack: Uint8Array, limit: number): void {
  const bytes = Buffer.from(pack.buffer, pack.byteOffset, pack.length);
  const end = bytes.length - 20;
  let at = 12;
  for (let left = bytes.readUInt32BE(8); left > 0; left--) {
    if (at >= end) throw broken('its pack has fewer objects than it says');
    const head = objectHead(bytes, at);
    if (head.size > limit) throw tooLarge(head.size, limit);
    const { used, content } = inflate(bytes.subarray(head.data, end), head.size);
    if (head.isDelta) {
      const result = resultSize(content);
      if (result > limit) throw tooLarge(result, limit);
    }
    at = head.data + used;
  }
  if (at !== end) throw broken('its pack has more in it than it says');
}

/** Type and size in 7-bit groups, the lowest four bits first; then what a delta is based on. */
function objectHead(bytes: Buffer, start: number): { size: number; isDelta: boolean; data: number } {
  let at = start;
  let byte = bytes[at++] ?? 0;
  const type = (byte >> 4) & 7;
  let size = byte & 15;
  for (let scale = 16; byte & 0x80; scale *= 128) {
    byte = bytes[at++] ?? 0;
    size += (byte & 0x7f) * scale;
    if (size > Number.MAX_SAFE_INTEGER) throw broken('its pack has an object of impossible size');
  }
  if (type === 0 || type === 5) throw broken('its pack has an object of no known type');
  if (type === DELTA.ref) at += 20;
  if (type === DELTA.offset) while ((bytes[at++] ?? 0) & 0x80);
  return { size, isDelta: type === DELTA.offset || type === DELTA.ref, data: at };
}

function inflate(from: Buffer, size: number): { used: number; content: Buffer } {
  try {
    // With `info` Node answers the engine too, which knows how many bytes it read; the types do not say so.
    const { buffer, engine } = zlib.inflateSync(from, { info: true, maxOutputLength: size + 1 }) as unknown as {
      buffer: Buffer;
      engine: { bytesWritten: number };
    };
    if (buffer.length !== size) throw new Error('another size than announced');
    return { used: engine.bytesWritten, content: buffer };
  } catch (cause) {
    throw broken(`its pack has an object that cannot be inflated (${cause instanceof Error ? cause.message : cause})`);
  }
}

/** The second number of a delta: how large its result is. */
function resultSize(delta: Buffer): number {
  let at = 0;
  let size = 0;
  for (let number = 0; number < 2; number++) {
    size = 0;
    let byte = 0x80;
    for (let scale = 1; byte & 0x80; scale *= 128) {
      byte = delta[at++] ?? 0;
      size += (byte & 0x7f) * scale;
    }
  }
  return size;
}

const tooLarge = (size: number, limit: number) =>
  broken(
    `it has an object of ${Math.ceil(size / MIB)} MiB; files may have ${Math.floor(limit / MIB)} MiB at most (keep larger ones out of the repository)`,
  );
