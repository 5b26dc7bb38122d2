/** Files, directories and links. */
import path from 'node:path';
import type { Gone, Health, Provider, RemovalReport, Work } from '../../core/provider.ts';
import type { Desired, Reason, ResourceId, Seen } from '../../core/types.ts';
import { AgentError, asAgentError } from '../../errors.ts';
import type { Clock } from '../../system/clock.ts';
import type { Exec } from '../../system/exec.ts';
import { createAccounts } from '../../system/files/accounts.ts';
import type { FileStat, Files, NewFile, WriteOptions } from '../../system/files/types.ts';
import { sideBySide } from '../../system/side-by-side.ts';
import { createContentHash, createFileDiff, type FileFact } from './diff.ts';
import { isGeneratorInput } from './generators.ts';
import { createFileHashes } from './hash.ts';
import { hold } from './hold.ts';
import { lookAtAll } from './look.ts';
import type { Originals } from './originals.ts';
import { foreignIn, purgeDirectory } from './purge.ts';
import type { Reloads } from './reloads.ts';
import type { FileSpec } from './spec.ts';
import { validateFile } from './validate.ts';

export interface FileProviderOptions {
  files: Files;
  originals: Originals;
  exec: Exec;
  /** Where programs see the host's `/`. */
  execRoot: string;
  stagingDir: string;
  clock: Clock;
  /** False where the agent is not root (a trial with --root): everything is then its own user's. */
  ownership: boolean;
  /** Has systemd make units of generators' files; left out where there is no systemd. */
  reloads?: Reloads;
}

type FileWork = Work<FileSpec, FileFact>;

const pathOf = (id: ResourceId): string => id.slice('file:'.length);
const EMPTY = new Uint8Array();
/** Names of what stays in a directory. */
const TOLD = 5;
/** Bytes of a file that a plan may show. */
const MAX_TEXT = 64 * 1024;
/** Validators that run side by side. */
const VALIDATORS = 8;
/** What is only made, side by side: each may hold two descriptors. */
const WIDTH = 64;

export function createFileProvider(options: FileProviderOptions): Provider<FileSpec, FileFact> {
  const { files, originals, ownership, reloads } = options;
  const accounts = createAccounts(files, options.clock);
  const hashes = createFileHashes(options);
  const sha256 = createContentHash();
  const diff = createFileDiff(sha256, { areLoaded: reloads !== undefined });
  /** Files as they were last seen: what stat finds unchanged is the same fact. */
  const last = new Map<ResourceId, { stat: FileStat; seen: Seen<FileFact> }>();
  /** Declarations whose content passed in this run's preparation. */
  const passed = new Map<ResourceId, string>();

  const metaOf = (spec: FileSpec): WriteOptions => {
    // -1 leaves an id as it is, chown(2).
    if (!ownership) return { mode: spec.mode, uid: -1, gid: -1 };
    return { mode: spec.mode, uid: accounts.uid(spec.owner), gid: accounts.gid(spec.group) };
  };
  const validate = async (want: Desired<FileSpec>) => {
    if (want.spec.validate === undefined || passed.get(want.id) === want.hash) return;
    await validateFile(options, want, metaOf(want.spec));
  };

  return {
    leaves: ({ id }) =>
      originals.paths(id).some((path) => !originals.wasNothing(id, path))
        ? { field: 'original', to: 'what was there before is put back' }
        : null,
    texts({ spec }, seen) {
      if (spec.type !== 'file' || spec.secret || !(spec.content instanceof Uint8Array)) return [];
      const isFile = seen?.fact.type === 'file';
      if (isFile && seen.fact.size > MAX_TEXT) return [];
      return [{ name: spec.path, from: isFile ? files.read(spec.path) : null, to: spec.content }];
    },
    kind: 'file',
    claims: (spec) => [`path:${spec.path}`],
    diff,
    hold,
    memo: ({ purge }) => (purge ? { purge } : undefined),
    health: (want, seen): Health =>
      diff(want, seen && { fact: seen.fact }).op === 'none'
        ? { state: 'ok', message: '' }
        : { state: 'bad', message: seen?.fact.problem ?? 'differs from its declaration' },
    async observe(ids, _signal, wants, { healthAlone } = { healthAlone: false }) {
      const stats = await lookAtAll(hashes, ids.map(pathOf), wants, healthAlone);
      const seen = new Map<ResourceId, Seen<FileFact>>();
      const names = accounts.names();
      for (const id of ids) {
        const file = pathOf(id);
        const stat = stats.get(file);
        const want = wants?.get(id)?.spec;
        if (stat === undefined) {
          last.delete(id);
          // Something fairlead took away is put back when its entry goes.
          if (wants !== undefined && want === undefined && originals.paths(id).length > 0)
            seen.set(id, { fact: { ...NOTHING } });
          continue;
        }
        if (stat instanceof Error) {
          last.delete(id);
          seen.set(id, { fact: { ...NOTHING, type: 'other', problem: stat.message } });
          continue;
        }
        const owner = ownership ? names.user(stat.uid) : 'root';
        const group = ownership ? names.group(stat.gid) : 'root';
        const before = last.get(id);
        if (before?.stat === stat && before.seen.fact.owner === owner && before.seen.fact.group === group) {
          seen.set(id, before.seen);
          continue;
        }
        const { type, mode, uid, gid, size, links, sha256 } = stat;
        const fact: FileFact = { type, mode, owner, group, uid, gid, size, links, ...(sha256 ? { sha256 } : {}) };
        try {
          if (stat.type === 'link') fact.target = files.readlink(file);
          if (stat.type === 'directory' && want?.purge) fact.foreign = foreignIn(files, file, want.keep ?? []);
        } catch (thrown) {
          fact.problem = thrown instanceof Error ? thrown.message : String(thrown);
        }
        const found = { fact };
        seen.set(id, found);
        if (sha256 === undefined) last.delete(id);
        else last.set(id, { stat, seen: found });
      }
      return seen;
    },
    describe: ({ uid: _, gid: __, links: ___, ...fact }) => fact,
    async adopt(work) {
      const failures = new Map<ResourceId, AgentError>();
      const known = originals.known();
      for (const { want, seen } of work) {
        try {
          if (seen === undefined || seen.fact.type === 'missing') {
            if (known(want.id)) originals.drop(want.id);
          } else if (seen.fact.problem === undefined) await originals.keep(want.id, [want.spec.path]);
        } catch (thrown) {
          failures.set(want.id, failed(want.id, thrown));
        }
      }
      return failures;
    },
    async prepare(work) {
      passed.clear();
      if (work.some(isGenerating)) reloads?.expect();
      const failures = new Map<ResourceId, AgentError>();
      for (const { want, change } of work) {
        const fresh = change.op !== 'none' && change.why.some((r) => ['content', 'state', 'type'].includes(r.field));
        // What it waits for may be what its validator needs: then it is judged when that is in place.
        if (want.spec.validate === undefined || !fresh || !standsAlone(want)) continue;
        try {
          await validate(want);
          passed.set(want.id, want.hash);
        } catch (thrown) {
          const error = asAgentError(thrown, { code: 'InvalidFile', phase: 'prepare', resource: want.id });
          if (!['ValidatorMissing', 'UnknownOwner'].includes(error.code)) failures.set(want.id, error);
        }
      }
      return failures;
    },
    together: ['apply', 'remove'],
    async apply(work) {
      const failures = new Map<ResourceId, AgentError>();
      const writes = new Map<string, NewFile & { id: ResourceId }>();
      const attempt = async (one: FileWork) => {
        const { id } = one.want;
        try {
          const write = await begin(one);
          if (write !== null) writes.set(write.file, { ...write, id });
        } catch (thrown) {
          failures.set(id, failed(id, thrown));
        }
      };
      const isValidated = ({ want }: FileWork) => want.spec.validate !== undefined;
      await sideBySide(work.filter(isValidated), VALIDATORS, attempt);
      await sideBySide(
        work.filter((one) => !isValidated(one)),
        WIDTH,
        attempt,
      );
      const done = await files.writeAll([...writes.values()]);
      for (const write of writes.values()) {
        const thrown = done.failed.get(write.file);
        if (thrown !== undefined) failures.set(write.id, failed(write.id, thrown));
        const stat = done.written.get(write.file);
        if (stat !== undefined) wrote(write, stat);
      }
      const generating = work.filter((one) => isGenerating(one) && !failures.has(one.want.id));
      try {
        if (generating.length > 0) await reloads?.generate();
      } catch (thrown) {
        for (const { want } of generating) failures.set(want.id, failed(want.id, thrown));
      }
      return failures;
    },
    remove,
  };

  async function remove(
    gone: readonly Gone<FileFact>[],
    signal: AbortSignal,
    report?: RemovalReport,
  ): Promise<Map<ResourceId, AgentError>> {
    const failures = new Map<ResourceId, AgentError>();
    const fail = (id: ResourceId, thrown: unknown) =>
      failures.set(id, asAgentError(thrown, { code: 'RemoveFailed', phase: 'apply', resource: id }));
    const wasThere = originals.known();
    let ours: ResourceId[] = [];
    const removeOurs = async () => {
      // A directory in which something foreign lies stays, with what lies in it.
      const outcome = await files.removeAll(ours.map(pathOf));
      for (const id of ours) {
        const answer = outcome.get(pathOf(id));
        if (answer instanceof Error) fail(id, answer);
        if (answer === false) report?.(id, stays(pathOf(id)), 'stays');
      }
      ours = [];
    };
    for (const { id, seen } of gone) {
      // A path that was never followed has nothing of ours.
      if (seen.fact.problem !== undefined && seen.mark?.hash === null) continue;
      if (!wasThere(id)) {
        ours.push(id);
        continue;
      }
      // What comes after it in the order of removals is what holds it.
      await removeOurs();
      try {
        // Each of these takes several syncs.
        if (signal.aborted) throw stopped(id);
        const outcome = await originals.restore(id);
        if (outcome === 'occupied') throw occupied(pathOf(id), 'something else by now');
        // Of a directory that was there before us only mode and owner are put back.
        if (outcome === 'restored' && seen.fact.type === 'directory')
          report?.(
            id,
            { field: 'directory', to: `${pathOf(id)} stays on the host, as it was before fairlead` },
            'stays',
          );
      } catch (thrown) {
        fail(id, thrown);
      }
    }
    await removeOurs();
    if (gone.some(({ id }) => isGeneratorInput(pathOf(id)))) await reloads?.generate();
    return failures;
  }

  /** It is not managed any more, and not gone. */
  function stays(directory: string): Reason {
    const inside = files.list(directory, TOLD);
    const more = inside.length === TOLD ? ', …' : '';
    return {
      field: 'directory',
      to: `${directory} stays on the host, with what is not fairlead's in it: ${inside.join(', ')}${more}`,
    };
  }

  function wrote({ file, content }: NewFile, stat: FileStat): void {
    hashes.wrote(file, { ...stat, sha256: sha256(content) });
  }

  /** All of a change but the writing of a file, which is left to the caller; null where that was all. */
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

  /** Bytes that a repair overwrites are somebody's work, too. */
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
 * Whether somebody else may have the file itself in hand: by another name of it, or open for writing, since it was theirs or
 * they were let. Then a new file takes its place.
 */
const isShared = (fact: FileFact, { uid, gid, mode }: WriteOptions): boolean =>
  fact.links !== 1 ||
  (uid !== -1 && fact.uid !== uid) ||
  (gid !== -1 && fact.gid !== gid && (fact.mode & GROUP_WRITES) !== 0) ||
  (fact.mode & ~mode & (GROUP_WRITES | OTHERS_WRITE)) !== 0;

const GROUP_WRITES = 0o020;
const OTHERS_WRITE = 0o002;

const NOTHING = {
  type: 'missing' as const,
  mode: 0,
  owner: '',
  group: '',
  uid: 0,
  gid: 0,
  size: 0,
  links: 0,
};

const isGenerating = ({ change, want }: FileWork): boolean =>
  change.op !== 'none' && want.spec.type !== 'directory' && isGeneratorInput(want.spec.path);

/** It waits for nothing but the directories it lies in. */
const standsAlone = ({ after, spec }: Desired<FileSpec>): boolean =>
  after.every((id) => id.startsWith('file:') && spec.path.startsWith(`${path.normalize(pathOf(id))}/`));

const failed = (resource: ResourceId, thrown: unknown): AgentError =>
  asAgentError(thrown, { code: 'FileFailed', phase: 'apply', resource });

const stopped = (resource: ResourceId) =>
  new AgentError({
    code: 'Stopped',
    phase: 'apply',
    resource,
    message: 'the agent was stopped before this removal',
  });
const occupied = (file: string, what: string) =>
  new AgentError({
    code: 'PathOccupied',
    phase: 'apply',
    message: `${file} is ${what}, which fairlead does not delete; remove it by hand if it can go`,
  });
