/** The frames between the agent and the process that unpacks: a letter, a length and the payload. Pure. */

/**
 * From the agent: `L` limits of a pack that comes, `D` some of its bytes, `E` its end, `F` an object that was asked for, `N` it is not here.
 * From the reader: `h` it is ready, `w` it wants bytes, `b` it wants an object, `o` an object, `p` a piece of a large file,
 * `l` all pieces have come, `d` the pack is done, `x` it is not right.
 */
export type Kind = 'L' | 'D' | 'E' | 'F' | 'N' | 'h' | 'w' | 'b' | 'o' | 'p' | 'l' | 'd' | 'x';

export const HEAD = 5;

/** The head of a frame; its payload follows. */
export function headOf(kind: Kind, length: number): Buffer {
  const head = Buffer.alloc(HEAD);
  head.write(kind, 'latin1');
  head.writeUInt32BE(length, 1);
  return head;
}

/** @param head of `HEAD` bytes */
export const readHead = (head: Buffer): { kind: string; length: number } => ({
  kind: head.toString('latin1', 0, 1),
  length: head.readUInt32BE(1),
});

/** A size, as eight bytes. */
export function sizeOf(size: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleBE(size);
  return bytes;
}

/** Object types as a byte, and back. */
export const TYPES = ['commit', 'tree', 'blob', 'tag'] as const;
