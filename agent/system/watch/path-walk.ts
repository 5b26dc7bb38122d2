/** The way that leads to a directory, as it is on the disk now. */
import fs from 'node:fs';
import path from 'node:path';

export interface Walk {
  /** Each name that was looked up, in the real directory where it was looked up: a link adds the hops of its target. */
  hops: readonly { dir: string; name: string }[];
  /** The directory itself, links resolved; null if the way breaks off after the last hop. */
  end: string | null;
}

const MAX_LINKS = 20;

/** From `/` to a directory, link by link; `end` is null if the way breaks off, after the last hop that is there. */
export function walk(root: string, directory: string): Walk {
  const top = root === '' ? '/' : root;
  const hops: { dir: string; name: string }[] = [];
  const rest = directory.split('/').filter(Boolean);
  let at = top;
  let links = 0;
  for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
    if (name === '.') continue;
    if (name === '..') {
      at = at === top ? top : path.dirname(at);
      continue;
    }
    hops.push({ dir: at, name });
    const next = path.join(at, name);
    const stat = lstat(next);
    if (stat?.isSymbolicLink() && ++links <= MAX_LINKS) {
      const target = readlink(next);
      rest.unshift(...target.split('/').filter(Boolean));
      if (target.startsWith('/')) at = top;
    } else if (stat?.isDirectory()) at = next;
    else return { hops, end: null };
  }
  return { hops, end: at };
}

function lstat(file: string): fs.Stats | undefined {
  try {
    return fs.lstatSync(file, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

function readlink(file: string): string {
  try {
    return fs.readlinkSync(file);
  } catch {
    return '';
  }
}
