/** Files, directories and links. */
import path from 'node:path';
import { DIFFERS, type Health, type Provider } from '../../core/provider.ts';
import type { Desired, ResourceId } from '../../core/types.ts';
import { type AgentError, asAgentError } from '../../errors.ts';
import type { Clock } from '../../system/clock.ts';
import type { Exec } from '../../system/exec.ts';
import { createAccounts } from '../../system/files/accounts.ts';
import type { Files, NewFile, WriteOptions } from '../../system/files/types.ts';
import { sideBySide } from '../../system/side-by-side.ts';
import { createChange, type FileWork } from './act/change.ts';
import { failed } from './act/errors.ts';
import type { Originals } from './act/originals.ts';
import type { Reloads } from './act/reloads.ts';
import { createRemoval } from './act/remove.ts';
import { validateFile } from './act/validate.ts';
import { createContentHash, createFileDiff, type FileFact } from './diff.ts';
import { isGeneratorInput } from './generators.ts';
import { hold } from './hold.ts';
import { createFileHashes } from './look/hash.ts';
import { createObserver } from './look/observe.ts';
import { type FileSpec, pathOf } from './spec.ts';

export interface FileProviderOptions {
  files: Files;
  originals: Originals;
  exec: Exec;
  /** The path under which programs see the host's `/`. */
  execRoot: string;
  stagingDir: string;
  clock: Clock;
  /** False if the agent is not root (a trial with --root): then all files belong to its user. */
  ownership: boolean;
  /** Runs systemd's generators after their files changed; left out if there is no systemd. */
  reloads?: Reloads;
}

/** Maximum size in bytes of a text that a plan shows. */
const MAX_TEXT = 64 * 1024;
/** Maximum number of concurrent validators. */
const VALIDATORS = 8;
/** Maximum number of paths that are created concurrently: each may use two descriptors. */
const WIDTH = 64;

export function createFileProvider(options: FileProviderOptions): Provider<FileSpec, FileFact> {
  const { files, originals, ownership, reloads } = options;
  const accounts = createAccounts(files, options.clock);
  const hashes = createFileHashes(options);
  const sha256 = createContentHash();
  const remove = createRemoval(options);
  const diff = createFileDiff(sha256, { areLoaded: reloads !== undefined });
  /** Declarations whose content passed validation in this run's preparation. */
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
  const begin = createChange({ files, originals, metaOf, validate });

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
    health: (want, seen): Health => {
      if (diff(want, seen && { fact: seen.fact }).op === 'none') return { state: 'ok', message: '' };
      const problem = seen?.fact.problem;
      return problem === undefined ? DIFFERS : { state: 'bad', message: problem };
    },
    observe: createObserver({ ...options, accounts, hashes }),
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
        // Its validator may need a resource that it waits for, so it is validated when that resource is in place.
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
        if (stat !== undefined) hashes.wrote(write.file, { ...stat, sha256: sha256(write.content) });
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
}

const isGenerating = ({ change, want }: FileWork): boolean =>
  change.op !== 'none' && want.spec.type !== 'directory' && isGeneratorInput(want.spec.path);

/** Whether it waits for nothing but its parent directories. */
const standsAlone = ({ after, spec }: Desired<FileSpec>): boolean =>
  after.every((id) => id.startsWith('file:') && spec.path.startsWith(`${path.normalize(pathOf(id))}/`));
