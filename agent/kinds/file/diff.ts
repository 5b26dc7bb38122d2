/** The differences between a file on the host and its declaration. Pure. */
import { hash } from 'node:crypto';
import { type Content, StoredFile, sizeOf } from '../../core/payload/payload.ts';
import type { Change, Desired, Reason, Seen } from '../../core/types.ts';
import { isGeneratorInput } from './generators.ts';
import type { FileSpec } from './spec.ts';

export interface FileFact {
  /** `missing`: there is nothing at the path, but its original is kept. */
  type: 'file' | 'directory' | 'link' | 'other' | 'missing';
  mode: number;
  owner: string;
  group: string;
  uid: number;
  gid: number;
  size: number;
  /** Number of hard links. */
  links: number;
  /** SHA-256 of a file, hex; left out if the size already shows the difference. */
  sha256?: string;
  /** Target of a link. */
  target?: string;
  /** Undeclared names in a directory that is purged. */
  foreign?: readonly string[];
  /** Why it cannot be examined. */
  problem?: string;
}

const SHOWN = 5;
/** Executable by its owner: the only mode bit that git keeps. */
const EXECUTABLE = 0o100;
const octal = (mode: number): string => `0${mode.toString(8).padStart(3, '0')}`;

/** Hex SHA-256 of declared contents, cached because they are compared in every run and never change. */
export function createContentHash(): (content: Content) => string {
  const hashes = new WeakMap<Uint8Array, string>();
  return (bytes) => {
    if (bytes instanceof StoredFile) return bytes.sha256;
    const known = hashes.get(bytes);
    if (known !== undefined) return known;
    const digest = hash('sha256', bytes);
    hashes.set(bytes, digest);
    return digest;
  };
}

/**
 * @param options.areLoaded a daemon-reload follows a change of generators' files, and is repeated if the run was interrupted
 * before it
 */
export function createFileDiff(sha256: (content: Content) => string, options: { areLoaded: boolean }) {
  return (want: Desired<FileSpec>, seen: Seen<FileFact> | undefined): Change => {
    const { spec } = want;
    const fact = seen?.fact.type === 'missing' ? undefined : seen?.fact;
    if (spec.type === 'absent')
      return fact ? { op: 'update', why: [{ field: 'state', from: fact.type, to: 'absent' }] } : { op: 'none' };
    if (fact === undefined) return { op: 'create', why: [{ field: 'state', from: 'missing', to: spec.type }] };
    const isUnloaded = options.areLoaded && isInterrupted(want, seen) && isGeneratorInput(spec.path);
    if (isSameFile(spec, fact, sha256) && !isUnloaded) return NOTHING;
    const why = [...differences(spec, fact, sha256)];
    if (why.length === 0 && isUnloaded)
      why.push({ field: 'loaded', from: 'changed on disk, perhaps not loaded yet', to: 'loaded' });
    if (why.length === 0) return { op: 'none' };
    // Programs that read the file find the same bytes.
    return why.every(({ field }) => META.includes(field)) ? { op: 'update', why, quiet: true } : { op: 'update', why };
  };
}

const META = ['mode', 'owner', 'group'];

/** A run began to apply this declaration and was interrupted. */
const isInterrupted = ({ hash }: Desired<FileSpec>, seen: Seen<FileFact> | undefined): boolean =>
  seen?.mark !== undefined && seen.mark.hash !== seen.mark.intent && seen.mark.intent === hash;

const NOTHING: Change = { op: 'none' };

/** A quick check, because most files are unchanged in most runs. */
const isSameFile = (spec: FileSpec, fact: FileFact, sha256: (content: Content) => string): boolean =>
  spec.type === 'file' &&
  fact.type === 'file' &&
  fact.problem === undefined &&
  fact.mode === spec.mode &&
  fact.owner === spec.owner &&
  fact.group === spec.group &&
  spec.content !== undefined &&
  fact.size === sizeOf(spec.content) &&
  fact.sha256 === sha256(spec.content);

function* differences(spec: FileSpec, fact: FileFact, sha256: (content: Content) => string): Generator<Reason> {
  if (fact.problem !== undefined) {
    yield { field: 'path', from: fact.problem, to: spec.type };
    return;
  }
  if (fact.type !== spec.type) yield { field: 'type', from: fact.type, to: spec.type };
  if (spec.type === 'file') yield* contentReasons(spec, fact, sha256);
  if (spec.type === 'link') {
    if (fact.type === 'link' && fact.target !== spec.target)
      yield { field: 'link', from: fact.target ?? '', to: spec.target ?? '' };
    return;
  }
  if (spec.existing === 'held' && fact.type === spec.type) {
    if (spec.type === 'file' && (fact.mode & EXECUTABLE) !== (spec.mode & EXECUTABLE))
      yield { field: 'mode', from: octal(fact.mode), to: octal(spec.mode) };
    return;
  }
  if (fact.type === spec.type && fact.mode !== spec.mode)
    yield { field: 'mode', from: octal(fact.mode), to: octal(spec.mode) };
  if (!same(spec.owner, fact.owner, fact.uid)) yield { field: 'owner', from: fact.owner, to: spec.owner };
  if (!same(spec.group, fact.group, fact.gid)) yield { field: 'group', from: fact.group, to: spec.group };
  const foreign = spec.purge ? (fact.foreign ?? []) : [];
  if (foreign.length > 0) {
    const more = foreign.length > SHOWN ? ` and ${foreign.length - SHOWN} more` : '';
    yield { field: 'purge', from: `${foreign.slice(0, SHOWN).join(', ')}${more}`, to: 'removed' };
  }
}

/** Content is compared by size and SHA-256, and never shown. */
function* contentReasons(spec: FileSpec, fact: FileFact, sha256: (content: Content) => string): Generator<Reason> {
  const content = spec.content ?? new Uint8Array();
  if (fact.type !== 'file') yield { field: 'content', to: 'as declared' };
  else if (fact.size !== sizeOf(content) || fact.sha256 !== sha256(content)) {
    const was = fact.sha256 === undefined ? `${fact.size} bytes` : `sha256 ${fact.sha256.slice(0, 12)}`;
    yield spec.secret
      ? { field: 'content', to: '(secret changed)' }
      : { field: 'content', from: was, to: `sha256 ${sha256(content).slice(0, 12)}` };
  }
}

/** Owners and groups may be declared as numbers. */
const same = (wanted: string, name: string, id: number): boolean => wanted === name || wanted === String(id);
