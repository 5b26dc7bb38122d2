/** A directory without git, read as if all its files were committed. */
import { createHash } from 'node:crypto';
import { lstat, readdir, readFile, readlink } from 'node:fs/promises';
import path from 'node:path';
import { MissingObject, type Objects, OversizedObject } from '../git/pack/objects.ts';
import { MAX_BLOB } from '../git/store/layer-files.ts';

/** Directories that git or a package manager made. */
const NEVER_READ: ReadonlySet<string> = new Set(['.git', 'node_modules']);

export interface PlainTree {
  root: string;
  objects: Objects;
}

/** The id of each object is made from its path: an object is read on request, and two with the same content have two ids. */
export function createPlainTree(dir: string): PlainTree {
  const places = new Map<string, string>();
  const idOf = (name: string) => {
    const oid = createHash('sha1').update(name).digest('hex');
    places.set(oid, name);
    return oid;
  };
  const at = (oid: string) => {
    const name = places.get(oid);
    if (name === undefined) throw new MissingObject(oid);
    return { name, file: path.join(dir, name) };
  };
  async function tree(oid: string): Promise<Uint8Array> {
    const { name, file } = at(oid);
    const parts: Buffer[] = [];
    for (const entry of await readdir(file, { withFileTypes: true })) {
      const below = name === '' ? entry.name : `${name}/${entry.name}`;
      const mode = await modeOf(path.join(dir, below));
      if (mode === null || (mode === '40000' && NEVER_READ.has(entry.name))) continue;
      parts.push(Buffer.from(`${mode} ${entry.name}\0`), Buffer.from(idOf(below), 'hex'));
    }
    return Buffer.concat(parts);
  }
  async function blob(oid: string): Promise<Uint8Array> {
    const { file } = at(oid);
    const found = await lstat(file);
    if (found.isSymbolicLink()) return Buffer.from(await readlink(file));
    if (found.size > MAX_BLOB) throw new OversizedObject(oid, found.size);
    return readFile(file);
  }
  return {
    root: idOf(''),
    objects: {
      has: async () => true,
      lacking: async () => [],
      read: (oid, type) => (type === 'tree' ? tree(oid) : blob(oid)),
    },
  };
}

/** The file as git would store it; null for files that git does not store, such as sockets. */
async function modeOf(file: string): Promise<string | null> {
  const found = await lstat(file);
  if (found.isDirectory()) return '40000';
  if (found.isSymbolicLink()) return '120000';
  if (!found.isFile()) return null;
  return found.mode & 0o100 ? '100755' : '100644';
}
