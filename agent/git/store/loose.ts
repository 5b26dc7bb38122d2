/** Objects in files of their own, as git keeps those that are not in a pack (gitformat-loose(5)). */
import { existsSync } from 'node:fs';
import { open } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createInflate } from 'node:zlib';
import { DamagedObject, OversizedObject } from '../pack/objects.ts';

/** `blob 12` and a NUL character. */
const HEAD = /^([a-z]{1,16}) (\d{1,15})$/;
const MAX_HEAD = 32;

export interface Loose {
  type: string;
  bytes: Uint8Array;
}

const fileOf = (gitdir: string, oid: string): string => path.join(gitdir, 'objects', oid.slice(0, 2), oid.slice(2));

/** Anything but a whole id would name another file, or a directory. */
const isId = (oid: string): boolean => /^[0-9a-f]{40}$/.test(oid);

export const isLoose = (gitdir: string, oid: string): boolean => isId(oid) && existsSync(fileOf(gitdir, oid));

/**
 * Holds the content once, and a chunk of it. The id is not checked.
 * @param limit of the content, in bytes
 * @returns null if the object has no file of its own @throws DamagedObject, OversizedObject
 */
export async function readLoose(gitdir: string, oid: string, limit: number): Promise<Loose | null> {
  const file = isId(oid) ? await open(fileOf(gitdir, oid)).catch(() => null) : null;
  if (file === null) return null;
  try {
    return await pipeline(file.createReadStream(), createInflate(), (chunks: AsyncIterable<Buffer>) =>
      collect(chunks, oid, limit),
    );
  } catch (thrown) {
    if (thrown instanceof DamagedObject || thrown instanceof OversizedObject) throw thrown;
    throw new DamagedObject(`${oid} cannot be read: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  }
}

async function collect(chunks: AsyncIterable<Buffer>, oid: string, limit: number): Promise<Loose> {
  let head: Buffer = Buffer.alloc(0);
  let whole: { type: string; bytes: Buffer } | null = null;
  let at = 0;
  for await (const chunk of chunks) {
    let content = chunk;
    if (whole === null) {
      head = Buffer.concat([head, chunk]);
      const end = head.subarray(0, MAX_HEAD).indexOf(0);
      if (end < 0 && head.length < MAX_HEAD) continue;
      const [, type, size] = HEAD.exec(head.toString('latin1', 0, Math.max(end, 0))) ?? [];
      if (type === undefined) throw new DamagedObject(`${oid} does not begin with its type and size`);
      if (Number(size) > limit) throw new OversizedObject(oid, Number(size));
      whole = { type, bytes: Buffer.allocUnsafeSlow(Number(size)) };
      content = head.subarray(end + 1);
    }
    if (at + content.length > whole.bytes.length) throw new DamagedObject(`${oid} is larger than it says`);
    at += content.copy(whole.bytes, at);
  }
  if (whole === null || at < whole.bytes.length) throw new DamagedObject(`${oid} is smaller than it says`);
  return whole;
}
