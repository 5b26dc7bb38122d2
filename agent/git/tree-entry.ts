/** Tree objects, read as strictly as `git fsck` does: a hostile server sends what git itself would not make. Pure. */
import { AgentError } from '../errors.ts';

export interface Entry {
  name: string;
  type: 'file' | 'tree' | 'link' | 'submodule';
  oid: string;
}

const TYPES: Record<string, Entry['type']> = {
  '100644': 'file',
  '100755': 'file',
  '100664': 'file',
  '40000': 'tree',
  '120000': 'link',
  '160000': 'submodule',
};

/**
 * @param at the tree's path, for errors
 * @param strict false where other names than the one looked for are nobody's concern
 * @throws AgentError `InvalidRepository`
 */
export function parseTree(bytes: Uint8Array, at: string, strict = true): Entry[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const where = at === '' ? 'the root directory' : at;
  const entries: Entry[] = [];
  const names = new Set<string>();
  for (let from = 0; from < buffer.length; ) {
    const space = buffer.indexOf(0x20, from);
    const zero = buffer.indexOf(0, space);
    if (space < 0 || zero < 0 || zero + 21 > buffer.length) throw hostile(`${where} cannot be read`);
    const mode = buffer.toString('latin1', from, space);
    const name = decode(buffer.subarray(space + 1, zero), where, strict);
    const type = TYPES[mode] ?? 'submodule';
    if (strict && TYPES[mode] === undefined)
      throw hostile(`${where}/${name} has mode ${mode.slice(0, 8)}, which git does not know`);
    if (strict && !isFileName(name))
      throw hostile(`${where} has an entry ${JSON.stringify(name)}, which is no file name in git`);
    if (names.has(name)) throw hostile(`${where} has two entries ${JSON.stringify(name)}`);
    names.add(name);
    entries.push({ name, type, oid: buffer.toString('hex', zero + 1, zero + 21) });
    from = zero + 21;
  }
  return entries;
}

function decode(name: Uint8Array, where: string, fatal: boolean): string {
  try {
    return new TextDecoder('utf-8', { fatal, ignoreBOM: true }).decode(name);
  } catch {
    throw hostile(`${where} has a name that is not UTF-8`);
  }
}

/** Names that would leave the directory, steer a terminal, or pass for `.git` on some file system. */
function isFileName(name: string): boolean {
  if (name === '' || name === '.' || name === '..' || name.includes('/') || /\p{Cc}/u.test(name)) return false;
  // What HFS+ ignores in names, what NTFS strips from their ends, and its short name of .git.
  const folded = name
    .replace(/[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]/g, '')
    .toLowerCase()
    .replace(/[ .]+$/, '')
    .replace(/:.*$/, '');
  return folded !== '.git' && folded !== 'git~1';
}

const hostile = (why: string) =>
  new AgentError({
    code: 'InvalidRepository',
    phase: 'load',
    message: `${why}: the repository is damaged or hostile, and nothing of this commit is used`,
  });
