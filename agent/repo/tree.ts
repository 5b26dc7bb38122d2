/** A whole fleet repository as git's objects: of a commit, of the working tree, or of a directory that git does not know. */

import { DamagedObject, MissingObject, type Objects } from '../git/pack/objects.ts';
import { parseCommit } from '../git/store/commit.ts';
import { findEntry } from '../git/store/tree-entry.ts';
import { createCatFile } from './cat-file.ts';
import { type Git, openGit, unreadable } from './git.ts';
import { createPlainTree } from './plain.ts';
import { type Differences, differencesOf, snapshotWorkingTree } from './working-tree.ts';

export interface FleetTree {
  /** Name of the source in messages: the directory, or the commit. */
  name: string;
  /** The source: a commit, the working tree, or a directory without git. */
  source: 'commit' | 'worktree' | 'directory';
  /** Full id; of the working tree that of HEAD. null if there is none. */
  commit: string | null;
  /** Id of the tree at the fleet's top. */
  root: string;
  objects: Objects;
  /** Differences between the working tree and HEAD; null if there is no working tree. */
  differences(): Promise<Differences | null>;
  /** To be called when all is read: a process of git waits for questions until then. */
  close(): void;
}

export interface OpenOptions {
  /** Anything that `git rev-parse` takes; HEAD if left out. */
  rev?: string;
  /** The working tree instead, as the commit that it would make. */
  worktree?: boolean;
}

/**
 * Opens the fleet whose top is `dir`, which may lie below the top of its git repository.
 * @throws AgentError `NoRepository`
 */
export async function openTree(dir: string, { rev, worktree = false }: OpenOptions = {}): Promise<FleetTree> {
  const git = openGit(dir);
  if (git === null) {
    if (rev !== undefined) throw unreadable(`cannot read ${rev}: ${dir} is no git repository`);
    return openPlain(dir);
  }
  const prefix = (await git.run(['rev-parse', '--show-prefix'])).toString().trimEnd();
  return worktree ? openWorkingTree(git, prefix) : openCommit(git, prefix, rev);
}

/** Opens the fleet for as long as the work takes. @throws AgentError `NoRepository` */
export async function withTree<T>(
  dir: string,
  options: OpenOptions,
  work: (tree: FleetTree) => Promise<T>,
): Promise<T> {
  const tree = await openTree(dir, options);
  try {
    return await work(tree);
  } finally {
    tree.close();
  }
}

/** Reads the directory itself, whatever git has of it: for commands that judge nothing. */
export function openPlain(dir: string): FleetTree {
  return {
    ...createPlainTree(dir),
    name: dir,
    source: 'directory',
    commit: null,
    differences: async () => null,
    close() {},
  };
}

async function openCommit(git: Git, prefix: string, rev?: string): Promise<FleetTree> {
  const commit = await commitOf(git, rev ?? 'HEAD');
  if (commit === null) {
    if (rev !== undefined) throw unreadable(`git rev-parse failed in ${git.dir}: there is no commit \`${rev}\``);
    throw unreadable(
      `nothing is committed in ${git.dir} yet; commit the files, or check the working tree with --worktree`,
    );
  }
  if (commit.length > 40)
    throw unreadable(`${git.dir} names its objects by SHA-256, which fairlead cannot read; use SHA-1 object ids`);
  const objects = createCatFile(git);
  try {
    const { tree } = parseCommit(await objects.read(commit, 'commit'));
    const missing = `${rev ?? 'HEAD'} has no directory ${prefix}; commit the files, or check the working tree with --worktree`;
    return {
      name: rev ?? git.dir,
      source: 'commit',
      commit,
      root: await descend(objects, { tree, prefix, missing }),
      objects,
      differences: () => (rev === undefined ? differences(git, prefix) : Promise.resolve(null)),
      close: () => objects.close(),
    };
  } catch (thrown) {
    objects.close();
    throw thrown;
  }
}

async function openWorkingTree(git: Git, prefix: string): Promise<FleetTree> {
  const snapshot = await snapshotWorkingTree(git, prefix);
  const { tree, env } = snapshot;
  const objects = createCatFile(git, env);
  const closeAll = () => {
    objects.close();
    snapshot.close();
  };
  try {
    const missing = `${git.dir} has no file that git does not ignore`;
    return {
      name: git.dir,
      source: 'worktree',
      commit: await commitOf(git, 'HEAD'),
      root: await descend(objects, { tree, prefix, missing }),
      objects,
      differences: () => differencesOf(git, prefix, snapshot),
      close: closeAll,
    };
  } catch (thrown) {
    closeAll();
    throw thrown;
  }
}

/** null if there is no such commit. */
async function commitOf(git: Git, rev: string): Promise<string | null> {
  const found = await git
    .run(['rev-parse', '--verify', '--quiet', '--end-of-options', `${rev}^{commit}`])
    .catch(() => null);
  return found === null ? null : found.toString().trim();
}

/** A bare repository has no working tree. */
const differences = async (git: Git, prefix: string): Promise<Differences | null> => {
  const isBare = (await git.run(['rev-parse', '--is-bare-repository'])).toString().trim() === 'true';
  return isBare ? null : differencesOf(git, prefix);
};

async function descend(
  objects: Objects,
  { tree, prefix, missing }: { tree: string; prefix: string; missing: string },
): Promise<string> {
  let at = tree;
  for (const part of prefix.split('/').filter(Boolean)) {
    const entry = findEntry(await objects.read(at, 'tree'), part);
    if (entry?.type !== 'tree') throw unreadable(missing);
    at = entry.oid;
  }
  return at;
}

/** @throws AgentError `NoRepository`, with what to do, where git lacks an object or has it damaged */
export async function withWords<T>(name: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (thrown) {
    if (thrown instanceof MissingObject) throw incomplete(name, thrown.message);
    if (thrown instanceof DamagedObject)
      throw unreadable(
        `${name} is damaged: ${thrown.message}; \`git fsck\` says what else is, and a new clone mends it`,
      );
    throw thrown;
  }
}

/** Why an object that the commit names cannot be read. */
export const incomplete = (name: string, lacking: string) =>
  unreadable(`${name} is not whole: git lacks ${lacking}; fetch it, or clone again without --filter`);
