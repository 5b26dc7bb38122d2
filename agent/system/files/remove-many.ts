/** Many names at once: taken away one after the other, and made durable together. */
import fs from 'node:fs';
import path from 'node:path';
import { codeOf, explain } from '../paths/errors.ts';
import { idOf } from '../paths/own-ids.ts';

export interface RemoveManyOptions {
  /** Walks to the directory of `file`. @returns its descriptor */
  enter(file: string): number;
  /** Makes the names in an open directory durable. */
  syncDirectory(dir: number): Promise<void>;
}

/** Number of directories that are open at one time. */
const SLICE = 64;

/** @returns for each what `Files.remove` answers, or would throw */
export async function removeMany(
  { enter, syncDirectory }: RemoveManyOptions,
  files: readonly string[],
): Promise<Map<string, boolean | Error>> {
  const outcome = new Map<string, boolean | Error>();
  for (let at = 0; at < files.length; at += SLICE) {
    const changed = new Map<string, { dir: number; members: string[] }>();
    for (const file of files.slice(at, at + SLICE)) {
      let dir: number | null = null;
      try {
        dir = enter(file);
        removeName(`/proc/self/fd/${dir}/${path.basename(file)}`);
        outcome.set(file, true);
        const id = idOf(fs.fstatSync(dir));
        const known = changed.get(id);
        known?.members.push(file);
        if (known) continue;
        changed.set(id, { dir, members: [file] });
        dir = null;
      } catch (thrown) {
        outcome.set(file, answerTo(file, thrown));
      } finally {
        if (dir !== null) fs.closeSync(dir);
      }
    }
    await Promise.all(
      [...changed.values()].map(async ({ dir, members }) => {
        try {
          await syncDirectory(dir);
        } catch (thrown) {
          for (const file of members) outcome.set(file, explain('remove', file, thrown));
        } finally {
          fs.closeSync(dir);
        }
      }),
    );
  }
  return outcome;
}

/** A file, a link, or an empty directory. */
export function removeName(at: string): void {
  if (fs.lstatSync(at).isDirectory()) fs.rmdirSync(at);
  else fs.unlinkSync(at);
}

/** true if it is gone already, false if it is a directory with entries. */
export function answerTo(file: string, thrown: unknown): boolean | Error {
  const code = codeOf(thrown);
  if (code === 'ENOENT') return true;
  return ['ENOTEMPTY', 'EEXIST'].includes(code) ? false : explain('remove', file, thrown);
}
