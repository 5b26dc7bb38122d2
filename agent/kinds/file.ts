/** Files, directories and links. */
import { createHash } from 'node:crypto';
import type { Health, Provider, Work } from '../core/provider.ts';
import type { FileSpec } from '../core/specs.ts';
import type { Change, Desired, Reason, ResourceId, Seen } from '../core/types.ts';
import { AgentError } from '../errors.ts';
import { readAccounts } from '../system/accounts.ts';
import type { Files } from '../system/files.ts';

export interface FileFact {
  type: 'file' | 'directory' | 'link' | 'other';
  mode: number;
  owner: string;
  group: string;
  uid: number;
  gid: number;
  size: number;
  /** Hex, of a file. */
  sha256?: string;
  /** Of a link. */
  target?: string;
}

/** Content of a host's file is hashed up to this size; a larger one than declared differs by its size already. */
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const octal = (mode: number): string => `0${mode.toString(8).padStart(3, '0')}`;
const pathOf = (id: ResourceId): string => id.slice('file:'.length);

export interface FileProviderOptions {
  files: Files;
  /** False where the agent is not root (a trial with --root): everything is then its own user's. */
  ownership: boolean;
}

export function createFileProvider({ files, ownership }: FileProviderOptions): Provider<FileSpec, FileFact> {
  return {
    kind: 'file',
    claims: (spec) => [`path:${spec.path}`],
    diff,
    health: (want, seen): Health =>
      diff(want, seen).op === 'none'
        ? { state: 'ok', message: '' }
        : { state: 'bad', message: 'differs from its declaration' },
    async observe(ids) {
      const accounts = readAccounts(files);
      const seen = new Map<ResourceId, Seen<FileFact>>();
      for (const id of ids) {
        const stat = files.stat(pathOf(id));
        if (stat === undefined) continue;
        const owners = { owner: accounts.user(stat.uid), group: accounts.group(stat.gid) };
        const fact: FileFact = { ...stat, ...(ownership ? owners : { owner: 'root', group: 'root' }) };
        if (stat.type === 'file') fact.sha256 = sha256(files.read(pathOf(id)));
        if (stat.type === 'link') fact.target = files.readlink(pathOf(id));
        seen.set(id, { fact });
      }
      return seen;
    },
    async apply({ change, want, seen }: Work<FileSpec, FileFact>) {
      const { spec } = want;
      if (change.op === 'none') return;
      if (spec.type === 'absent') return removeWhole(files, spec.path);
      const there = seen?.fact.type;
      if (there === 'directory' && spec.type !== 'directory' && !files.remove(spec.path))
        throw occupied(spec.path, 'a directory that is not empty');
      if (there !== undefined && there !== 'directory' && spec.type === 'directory')
        throw occupied(spec.path, `a ${there}`);
      const accounts = readAccounts(files);
      // -1 leaves an id as it is, chown(2).
      const uid = ownership ? accounts.uid(spec.owner) : -1;
      const meta = { mode: spec.mode, uid, gid: ownership ? accounts.gid(spec.group) : -1 };
      if (spec.type === 'link') files.link(spec.path, spec.target ?? '');
      else if (spec.type === 'directory') {
        if (there === 'directory') files.setMeta(spec.path, meta);
        else files.mkdir(spec.path, meta);
      } else if (there === 'file' && change.why.every((r) => r.field !== 'content')) files.setMeta(spec.path, meta);
      else files.write(spec.path, spec.content ?? new Uint8Array(), meta);
    },
    async remove(id) {
      // A directory in which something foreign lies stays, with what lies in it.
      files.remove(pathOf(id));
    },
  };
}

/** Pure. `content` is compared by SHA-256, never shown. */
function diff(want: Desired<FileSpec>, seen: Seen<FileFact> | undefined): Change {
  const { spec } = want;
  if (spec.type === 'absent')
    return seen ? { op: 'update', why: [{ field: 'state', from: seen.fact.type, to: 'absent' }] } : { op: 'none' };
  if (seen === undefined) return { op: 'create', why: [{ field: 'state', from: 'missing', to: spec.type }] };
  const { fact } = seen;
  const why: Reason[] = [];
  if (fact.type !== spec.type) why.push({ field: 'type', from: fact.type, to: spec.type });
  if (spec.type === 'file' && fact.type === 'file') {
    const wanted = sha256(spec.content ?? new Uint8Array());
    const changed = spec.secret
      ? { field: 'content', to: '(secret changed)' }
      : { field: 'content', from: `sha256 ${fact.sha256?.slice(0, 12)}`, to: `sha256 ${wanted.slice(0, 12)}` };
    if (fact.sha256 !== wanted) why.push(changed);
  }
  if (spec.type === 'file' && fact.type !== 'file') why.push({ field: 'content', to: 'as declared' });
  if (spec.type === 'link') {
    if (fact.type === 'link' && fact.target !== spec.target)
      why.push({ field: 'link', from: fact.target ?? '', to: spec.target ?? '' });
  } else {
    if (fact.type === spec.type && fact.mode !== spec.mode)
      why.push({ field: 'mode', from: octal(fact.mode), to: octal(spec.mode) });
    if (!same(spec.owner, fact.owner, fact.uid)) why.push({ field: 'owner', from: fact.owner, to: spec.owner });
    if (!same(spec.group, fact.group, fact.gid)) why.push({ field: 'group', from: fact.group, to: spec.group });
  }
  return why.length === 0 ? { op: 'none' } : { op: 'update', why };
}

/** Names may be declared as numbers. */
const same = (wanted: string, name: string, id: number): boolean => wanted === name || wanted === String(id);

function removeWhole(files: Files, path: string): void {
  if (!files.remove(path)) throw occupied(path, 'a directory that is not empty');
}

const occupied = (path: string, what: string) =>
  new AgentError({
    code: 'PathOccupied',
    phase: 'apply',
    message: `${path} is ${what}, which fairlead does not delete; remove it by hand if it can go`,
    retry: true,
  });
