/** One change of one file, directory or link, except writing the content, which is done for many files at once. */
import type { Work } from '../../../core/provider.ts';
import type { Desired } from '../../../core/types.ts';
import type { Files, NewFile, WriteOptions } from '../../../system/files/types.ts';
import type { FileFact } from '../diff.ts';
import type { FileSpec } from '../spec.ts';
import { occupied } from './errors.ts';
import type { Originals } from './originals.ts';
import { purgeDirectory } from './purge.ts';

export type FileWork = Work<FileSpec, FileFact>;

export interface ChangeOptions {
  files: Files;
  originals: Originals;
  metaOf(spec: FileSpec): WriteOptions;
  /** Throws if the validator rejects the content. */
  validate(want: Desired<FileSpec>): Promise<void>;
}

const EMPTY = new Uint8Array();

/** @returns a function that makes a change, except writing the file: it returns the file to write, or null if there is none */
export function createChange({
  files,
  originals,
  metaOf,
  validate,
}: ChangeOptions): (work: FileWork) => Promise<NewFile | null> {
  return begin;

  /** Makes all of a change except writing the file, which it returns for the caller; null if nothing is left. */
  async function begin(work: FileWork): Promise<NewFile | null> {
    const { change, want, seen } = work;
    const { spec } = want;
    if (change.op === 'none') return null;
    if (seen?.fact.problem !== undefined) files.stat(spec.path);
    const there = seen?.fact.type === 'missing' ? undefined : seen?.fact.type;
    if (there === 'other') throw occupied(spec.path, 'a socket, a pipe or a device');
    const why = new Set(change.why.map((r) => r.field));
    if (spec.type === 'file' && (there !== 'file' || why.has('content'))) await validate(want);
    await keepDrift(work);
    if (spec.type === 'absent') await takeAway(spec, there);
    else if (there === 'directory' && spec.type !== 'directory' && !files.remove(spec.path))
      throw occupied(spec.path, 'a directory that is not empty');
    else if (spec.type === 'directory') await applyDirectory(work, there);
    else if (spec.type === 'link') files.link(spec.path, spec.target ?? '');
    else {
      const options = metaOf(spec);
      if (there !== 'file' || why.has('content') || seen === undefined || isShared(seen.fact, options))
        return { file: spec.path, content: spec.content ?? EMPTY, options };
      files.setMeta(spec.path, options);
    }
    return null;
  }

  /** Keeps the bytes that a repair overwrites, because they are somebody's work. */
  async function keepDrift({ want, seen, change, report }: FileWork): Promise<void> {
    const repairs = seen?.mark !== undefined && seen.mark.hash === want.hash;
    const loses = change.op !== 'none' && change.why.some((r) => ['content', 'type', 'state'].includes(r.field));
    if (!repairs || !loses || seen.fact.type !== 'file') return;
    const to = want.spec.secret ? 'not kept: the content is secret' : await originals.keepDrift(want.spec.path);
    report?.({ field: 'kept', to });
  }

  async function takeAway({ path: file, purge }: FileSpec, there: FileFact['type'] | undefined): Promise<void> {
    if (files.remove(file)) return;
    if (there === 'directory' && purge) await files.removeTree(file);
    else throw occupied(file, 'a directory that is not empty');
  }

  async function applyDirectory({ want, seen, report }: FileWork, there: FileFact['type'] | undefined): Promise<void> {
    const { spec } = want;
    const meta = metaOf(spec);
    if (there === 'link' && (seen?.mark?.hash ?? null) === null) throw occupied(spec.path, 'a link');
    if (there !== undefined && there !== 'directory') files.remove(spec.path);
    if (there === 'directory') files.setMeta(spec.path, meta);
    else await files.mkdir(spec.path, meta);
    if ((seen?.fact.foreign ?? []).length > 0) await purgeDirectory({ files, originals }, spec, report);
  }
}

/**
 * Whether others may still have access to the inode: by another hard link, or open for writing because it was theirs or its
 * mode allowed it. If so, a new file replaces it.
 */
const isShared = (fact: FileFact, { uid, gid, mode }: WriteOptions): boolean =>
  fact.links !== 1 ||
  (uid !== -1 && fact.uid !== uid) ||
  (gid !== -1 && fact.gid !== gid && (fact.mode & GROUP_WRITES) !== 0) ||
  (fact.mode & ~mode & (GROUP_WRITES | OTHERS_WRITE)) !== 0;

const GROUP_WRITES = 0o020;
const OTHERS_WRITE = 0o002;
