/**
 * Applies the deltas of a pack to their bases. Pure. Source: git's Documentation/gitformat-pack, "Deltified representation".
 */
import { broken } from '../wire/packet.ts';

/** @returns the object that the delta makes of its base. @throws AgentError `ProtocolError` if they do not match */
export function applyDelta(base: Uint8Array, delta: Uint8Array): Buffer {
  let at = 0;
  const take = (): number => delta[at++] ?? misfit();
  const number = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = take();
      value += (byte & 0x7f) * scale;
      if ((byte & 0x80) === 0) return value;
    }
  };
  /** Read up to four (or three) bytes, lowest first: bit n of `which` says whether byte n is present. */
  const sparse = (which: number, bytes: number): number => {
    let value = 0;
    for (let n = 0; n < bytes; n++) if (which & (1 << n)) value += take() * 2 ** (8 * n);
    return value;
  };
  if (number() !== base.length) misfit();
  // The result may be kept for long, so it must not be a slice of Node's buffer pool (see `unpooled`).
  const whole = Buffer.allocUnsafeSlow(number());
  let end = 0;
  const put = (bytes: Uint8Array, from: number, length: number): void => {
    if (from + length > bytes.length || end + length > whole.length) misfit();
    whole.set(bytes.subarray(from, from + length), end);
    end += length;
  };
  while (at < delta.length) {
    const command = take();
    if (command === 0) misfit();
    if (command & 0x80) {
      const from = sparse(command & 0x0f, 4);
      put(base, from, sparse((command >> 4) & 0x07, 3) || 0x10000);
    } else {
      put(delta, at, command);
      at += command;
    }
  }
  return end === whole.length ? whole : misfit();
}

const misfit = (): never => {
  throw broken('its pack has a delta that does not fit what it is based on');
};

/** The second number of a delta: how large its result is. */
export function resultSize(delta: Uint8Array): number {
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
