/** Copies of files on the host: in slices, without the holes, durable when they are done. */
import fs from 'node:fs';
import { promisify } from 'node:util';
import { explain, tooLarge } from '../paths/errors.ts';
import { idOf } from '../paths/own-ids.ts';
import type { OpenDirectory } from '../paths/shared-directories.ts';
import { openFile, setOwnerAndMode } from './io.ts';
import type { WriteOptions } from './types.ts';

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = fs.constants;
const fsync = promisify(fs.fsync);
const read = promisify(fs.read);
const write = promisify(fs.write);
const CHUNK = 256 * 1024;
const ZEROS = Buffer.alloc(CHUNK);

export interface CopyTools {
  /** Walks to the directory of `file`, which is made if it is missing. @returns its descriptor */
  enter(file: string): number;
  /** A path of `file` through the descriptor of its directory. */
  atOf(dir: number, file: string): string;
  /** A fresh temporary name for `file`, in its open directory. */
  tempIn(directory: OpenDirectory, file: string): string;
  /** Makes the names in an open directory durable. */
  syncDirectory(dir: number): Promise<void>;
}

export interface CopyWork {
  /** The file by the descriptor of its directory, which stays open meanwhile. */
  at: string;
  /** Its path, for messages. */
  from: string;
  to: string;
  options: WriteOptions;
  /** Bytes that it may have. */
  limit: number;
}

/**
 * @returns a function that copies one regular file to a path, atomically. It throws AgentError `OriginalTooLarge`,
 *   `FileFailed` …
 */
export function createCopy({ enter, atOf, tempIn, syncDirectory }: CopyTools): (work: CopyWork) => Promise<void> {
  return async ({ at, from, to, options, limit }) => {
    const input = openFile(at);
    let dir: number | null = null;
    let temp: string | null = null;
    try {
      dir = enter(to);
      temp = tempIn({ dir, id: idOf(fs.fstatSync(dir)) }, to);
      const output = fs.openSync(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
      try {
        await copyBytes({ input, output, from, limit });
        setOwnerAndMode(output, options);
        await fsync(output);
      } finally {
        fs.closeSync(output);
      }
      fs.renameSync(temp, atOf(dir, to));
      temp = null;
      await syncDirectory(dir);
    } catch (thrown) {
      if (temp !== null) fs.rmSync(temp, { force: true });
      throw explain('write', to, thrown);
    } finally {
      fs.closeSync(input);
      if (dir !== null) fs.closeSync(dir);
    }
  };
}

interface Bytes extends Pick<CopyWork, 'from' | 'limit'> {
  input: number;
  output: number;
}

/** Blocks of zeros become holes. @throws AgentError `OriginalTooLarge`, also if the file grows meanwhile */
async function copyBytes({ input, output, from, limit }: Bytes): Promise<void> {
  const { size } = fs.fstatSync(input);
  if (size > limit) throw tooLarge(from, size, limit);
  const chunk = Buffer.alloc(CHUNK);
  let at = 0;
  for (;;) {
    const { bytesRead } = await read(input, chunk, 0, CHUNK, at);
    if (bytesRead === 0) break;
    if (at + bytesRead > limit) throw tooLarge(from, at + bytesRead, limit);
    if (!chunk.subarray(0, bytesRead).equals(ZEROS.subarray(0, bytesRead)))
      await write(output, chunk, 0, bytesRead, at);
    at += bytesRead;
  }
  fs.ftruncateSync(output, at);
}
