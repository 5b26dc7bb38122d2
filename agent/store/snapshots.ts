/** The accepted commit's files, kept apart from the git objects, so that repairs need neither server nor object store. */
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { deserialize, serialize } from 'node:v8';
import type { Checkout } from '../core/types.ts';
import { isUnwritable, unwritable } from './unwritable.ts';

export interface Snapshots {
  /** Durable when it resolves. Throws AgentError `StateUnwritable`. */
  save(checkout: Checkout): Promise<void>;
  /** Drops all others. */
  retain(commits: readonly string[]): Promise<void>;
  /** null when there is none, or when it cannot be read. */
  load(commit: string): Promise<Checkout | null>;
}

/** @param dir root-only directory; a snapshot is `<commit>.snapshot`, v8-serialised */
export function createSnapshots(dir: string): Snapshots {
  /** Asked for at every run: the same object that the loader holds, so that it weighs nothing. */
  let last: Checkout | null = null;
  const fileOf = (commit: string) => path.join(dir, `${commit}.snapshot`);
  return {
    async save(checkout) {
      const final = fileOf(checkout.info.commit);
      try {
        await mkdir(dir, { recursive: true, mode: 0o700 });
        await write(`${final}.tmp`, serialize(checkout));
        await rename(`${final}.tmp`, final);
      } catch (thrown) {
        await rm(`${final}.tmp`, { force: true }).catch(() => undefined);
        throw isUnwritable(thrown) ? unwritable(dir, thrown) : thrown;
      }
      last = checkout;
    },
    async retain(commits) {
      const keep = new Set(commits.map((commit) => path.basename(fileOf(commit))));
      for (const name of await readdir(dir).catch(() => []))
        if (!keep.has(name)) await rm(path.join(dir, name), { force: true });
    },
    async load(commit) {
      if (last?.info.commit === commit) return last;
      const bytes = await readFile(fileOf(commit)).catch(() => null);
      if (bytes === null) return null;
      try {
        const checkout = deserialize(bytes) as Checkout;
        if (checkout.info.commit !== commit) return null;
        last = checkout;
        return checkout;
      } catch {
        return null;
      }
    },
  };
}

async function write(file: string, bytes: Uint8Array): Promise<void> {
  const handle = await open(file, 'w', 0o600);
  try {
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
}
