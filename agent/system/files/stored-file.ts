/** Large payload files on their way from where they are kept to where they belong: never in memory whole. */
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { type Content, damaged, StoredFile } from '../../core/payload/payload.ts';

const CHUNK = 256 * 1024;

/** Writes the content of an open, empty file. @throws AgentError `PayloadDamaged` */
export async function fill(into: number, content: Content): Promise<void> {
  if (content instanceof StoredFile) await pour(content, into);
  else fs.writeFileSync(into, content);
}

/**
 * Copies a stored file into an open, empty file, and checks its hash on the way. A damaged file is removed from the store,
 * so that it is fetched again.
 */
async function pour(file: StoredFile, into: number): Promise<void> {
  for (const place of file.places) {
    if ((await pourFrom(place, into)) === file.sha256) return;
    fs.ftruncateSync(into);
    await rm(place, { force: true });
  }
  throw damaged(file);
}

/** @returns the hash, in hex, of what was read; null if it could not be read to its end */
async function pourFrom(place: string, into: number): Promise<string | null> {
  const from = await open(place).catch(() => null);
  if (from === null) return null;
  const hash = createHash('sha256');
  const chunk = Buffer.allocUnsafe(CHUNK);
  try {
    for (let at = 0; ; ) {
      const read = await from.read(chunk, 0, CHUNK).catch(() => null);
      if (read === null) return null;
      if (read.bytesRead === 0) return hash.digest('hex');
      const bytes = chunk.subarray(0, read.bytesRead);
      hash.update(bytes);
      for (let done = 0; done < bytes.length; ) done += fs.writeSync(into, bytes, done, bytes.length - done, at + done);
      at += bytes.length;
    }
  } finally {
    await from.close();
  }
}
