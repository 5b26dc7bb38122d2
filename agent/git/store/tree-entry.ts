/** Parses tree objects as strictly as `git fsck`, because a hostile server can send trees that git would not make. Pure. */
import { AgentError } from '../../errors.ts';

export interface Entry {
  name: string;
  type: 'file' | 'tree' | 'link' | 'submodule';
  oid: string;
  /** The file has mode 100755. */
  executable?: boolean;
}

const TYPES: Record<string, Entry['type']> = {
  '100644': 'file',
  '100755': 'file',
  '100664': 'file',
  '40000': 'tree',
  '120000': 'link',
  '160000': 'submodule',
};

/** @param at the tree's path, for errors. @throws AgentError `InvalidRepository` */
export function parseTree(bytes: Uint8Array, at: string): Entry[] {
  const where = at === '' ? 'the root directory' : at;
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const entries: Entry[] = [];
  const names = new Set<string>();
  for (const raw of rawEntries(bytes, where)) {
    const name = decode(decoder, raw.name, where);
    const type = TYPES[raw.mode];
    if (type === undefined) throw hostile(`${where}/${name} has mode ${raw.mode.slice(0, 8)}, which git does not know`);
    if (!isFileName(name)) throw hostile(`${where} has an entry ${JSON.stringify(name)}, which is no file name in git`);
    if (names.has(name)) throw hostile(`${where} has two entries ${JSON.stringify(name)}`);
    names.add(name);
    const executable = raw.mode === '100755' ? { executable: true } : {};
    entries.push({ name, type, oid: raw.oid(), ...executable });
  }
  return entries;
}

/** One entry of a directory that hosts share: the names of other hosts are none of our business, and there may be thousands. */
export function findEntry(bytes: Uint8Array, name: string): Entry | null {
  const wanted = Buffer.from(name);
  for (const raw of rawEntries(bytes, 'a directory on the way'))
    if (raw.name.equals(wanted)) return { name, type: TYPES[raw.mode] ?? 'submodule', oid: raw.oid() };
  return null;
}

/** All entries of a directory that others share, by name; a name that is not UTF-8 is left out. */
export function entriesByName(bytes: Uint8Array): ReadonlyMap<string, Entry> {
  const entries = new Map<string, Entry>();
  for (const raw of rawEntries(bytes, 'a directory on the way')) {
    const name = raw.name.toString('utf8');
    if (!name.includes('\ufffd')) entries.set(name, { name, type: TYPES[raw.mode] ?? 'submodule', oid: raw.oid() });
  }
  return entries;
}

function* rawEntries(bytes: Uint8Array, where: string): Generator<{ mode: string; name: Buffer; oid(): string }> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let from = 0; from < buffer.length; ) {
    const space = buffer.indexOf(0x20, from);
    const zero = buffer.indexOf(0, space);
    if (space < 0 || zero < 0 || zero + 21 > buffer.length) throw hostile(`${where} cannot be read`);
    const oid = () => buffer.toString('hex', zero + 1, zero + 21);
    yield { mode: buffer.toString('latin1', from, space), name: buffer.subarray(space + 1, zero), oid };
    from = zero + 21;
  }
}

function decode(decoder: InstanceType<typeof TextDecoder>, name: Uint8Array, where: string): string {
  try {
    return decoder.decode(name);
  } catch {
    throw hostile(`${where} has a name that is not UTF-8`);
  }
}

/** Names that would leave the directory, steer a terminal, or pass for `.git` on some file system. */
function isFileName(name: string): boolean {
  if (name === '' || name === '.' || name === '..' || name.includes('/') || /\p{Cc}/u.test(name)) return false;
  // Characters that HFS+ ignores in names, characters that NTFS strips from their ends, and the NTFS short name of .git.
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
