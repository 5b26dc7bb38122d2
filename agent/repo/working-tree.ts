/** The working tree as the commit that it would make: git's own filters and ignore rules decide what is in it. */
import { chownSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { Git } from './git.ts';

export interface Snapshot {
  /** Id of the tree of the repository's top. */
  tree: string;
  /** Directory of the fleet below it: empty, or with a / at the end. */
  prefix: string;
  /** For git, so that it finds the objects that the snapshot made. */
  env: Readonly<Record<string, string>>;
  close(): void;
}

/**
 * Adds all that is not ignored to a copy of the index, and the objects to a directory of their own: the repository is left alone.
 * @throws AgentError `NoRepository` with git's own words, of a filter that cannot be run for example
 */
export async function snapshotWorkingTree(git: Git, prefix: string): Promise<Snapshot> {
  const made = mkdtempSync(path.join(os.tmpdir(), 'fairlead-worktree-'));
  const close = () => rmSync(made, { recursive: true, force: true });
  try {
    const objects = path.join(made, 'objects');
    mkdirSync(objects);
    const index = path.join(made, 'index');
    const [of = '', shared = ''] = (await git.run(['rev-parse', '--git-path', 'index', '--git-path', 'objects']))
      .toString()
      .split('\n')
      .map((line) => path.resolve(git.dir, line));
    if (existsSync(of)) copyFileSync(of, index);
    if (git.owner) for (const file of [made, objects, ...(existsSync(index) ? [index] : [])]) own(file, git.owner);
    const env = {
      GIT_INDEX_FILE: index,
      GIT_OBJECT_DIRECTORY: objects,
      GIT_ALTERNATE_OBJECT_DIRECTORIES: [shared, process.env.GIT_ALTERNATE_OBJECT_DIRECTORIES]
        .filter(Boolean)
        .join(':'),
    };
    await git.run(['-c', 'advice.addEmbeddedRepo=false', '-c', 'core.safecrlf=false', 'add', '-A', '--', '.'], { env });
    const tree = (await git.run(['write-tree'], { env })).toString().trim();
    return { tree, prefix, env, close };
  } catch (thrown) {
    close();
    throw thrown;
  }
}

const own = (file: string, { uid, gid }: { uid: number; gid: number }) => chownSync(file, uid, gid);

/** Differences between the working tree and HEAD. Paths are relative to `git.dir`; a directory ends in /. */
export interface Differences {
  /** Files whose content differs, is new or is gone. */
  count: number;
  /** Not ignored, and not in the index: whole directories, where nothing in them is. */
  untracked: readonly string[];
  ignored: readonly string[];
  /** Files of the working tree for which git stores other bytes. */
  smudged: readonly string[];
}

/** @param taken the snapshot, if there is one */
export async function differencesOf(git: Git, prefix: string, taken?: Snapshot): Promise<Differences> {
  const status = ['status', '--porcelain', '-z', '--no-renames', '--untracked-files=normal', '--ignored=matching'];
  const lines = (await git.run([...status, '--', '.'])).toString().split('\0').filter(Boolean);
  const of = (code: string) =>
    lines
      .filter((line) => line.startsWith(`${code} `))
      .map((line) => line.slice(3))
      .filter((name) => name.startsWith(prefix))
      .map((name) => name.slice(prefix.length));
  const ignored = of('!!');
  const smudged = taken ? await smudgedIn(git, taken) : [];
  return { count: lines.length - ignored.length, untracked: of('??'), ignored, smudged };
}

/** Files whose size in git is another one than here: a filter or a line ending that is as long as before is too rare to read all. */
async function smudgedIn(git: Git, { tree, prefix, env }: Snapshot): Promise<string[]> {
  const listing = (await git.run(['ls-tree', '-r', '-z', '-l', `${tree}:${prefix}`], { env })).toString();
  return listing.split('\0').flatMap((line) => {
    const [, mode, size, name = ''] = /^(\d+) blob [0-9a-f]+ +(\d+)\t([\s\S]+)$/.exec(line) ?? [];
    if (mode === undefined || mode === '120000') return [];
    const here = statSync(path.join(git.dir, name), { throwIfNoEntry: false });
    return here && here.size !== Number(size) ? [name] : [];
  });
}
