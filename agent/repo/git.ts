/** Runs git on a repository of this machine: as its owner, and without what a hook's environment says of another repository. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { existsSync, realpathSync, statSync } from 'node:fs';
import path from 'node:path';
import { AgentError } from '../errors.ts';
import { whyUnread } from '../reading.ts';

export interface Git {
  /** The directory that was named; paths are relative to it. */
  readonly dir: string;
  /** Owner of the repository, if this process is root and the owner is not. git refuses to work on repositories of others. */
  readonly owner: { uid: number; gid: number } | null;
  /** @returns stdout. @throws AgentError `NoRepository` with git's own words */
  run(args: readonly string[], options?: RunOptions): Promise<Buffer>;
  start(args: readonly string[], env?: Env): ChildProcessWithoutNullStreams;
}

export interface RunOptions {
  input?: string;
  env?: Env;
}
type Env = Readonly<Record<string, string>>;

/** A hook's environment names the repository of the hook, which need not be the one that is asked about. */
const OF_A_HOOK = ['GIT_DIR', 'GIT_WORK_TREE', 'GIT_INDEX_FILE', 'GIT_PREFIX'];

/**
 * @returns null if the directory is in no git repository
 * @throws AgentError `NoRepository` if it cannot be read
 */
export function openGit(dir: string): Git | null {
  const place = repositoryAround(dir);
  if (place === null) return null;
  const owner = ownerOf(place);
  const start: Git['start'] = (args, env = {}) =>
    // A host knows nothing of replacement refs: they are never fetched.
    spawn('git', ['-C', dir, '--no-optional-locks', '--no-replace-objects', ...args], {
      stdio: 'pipe',
      env: { ...environment(owner !== null), ...env },
      ...(owner ?? {}),
    });
  return { dir, owner, start, run: (args, options = {}) => run(start(args, options.env), dir, args, options.input) };
}

/** Path of `.git`, in `dir` or above it, or `dir` itself if it is a bare repository. */
function repositoryAround(dir: string): string | null {
  let at: string;
  try {
    at = realpathSync(dir);
  } catch (thrown) {
    throw unreadable(`cannot read ${dir}: ${whyNot(thrown)}`);
  }
  if (['HEAD', 'objects', 'refs'].every((name) => existsSync(path.join(at, name)))) return at;
  for (; ; at = path.dirname(at)) {
    const inside = path.join(at, '.git');
    if (existsSync(inside)) return inside;
    if (path.dirname(at) === at) return null;
  }
}

function ownerOf(place: string): Git['owner'] {
  const { uid, gid } = statSync(place);
  return process.getuid?.() === 0 && uid !== 0 ? { uid, gid } : null;
}

function environment(isForeign: boolean): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = { ...process.env, LC_ALL: 'C' };
  for (const name of OF_A_HOOK) delete env[name];
  // Root's own settings are not for programs of somebody else.
  return isForeign ? { ...env, HOME: '/nonexistent', XDG_CONFIG_HOME: '/nonexistent' } : env;
}

function run(child: ChildProcessWithoutNullStreams, dir: string, args: readonly string[], input = ''): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
    child.on('error', (error) => reject(notRunning(dir, error)));
    child.on('close', (code) => {
      if (code === 0) resolve(Buffer.concat(out));
      else reject(unreadable(`git ${args[0]} failed in ${dir}: ${Buffer.concat(err).toString().trim()}`));
    });
  });
}

export const notRunning = (dir: string, error: Error) =>
  unreadable(`cannot run git, which ${dir} needs to be read: ${error.message}; install git`);

export const unreadable = (message: string) => new AgentError({ code: 'NoRepository', phase: 'load', message });

/** realpath(3) of a directory that somebody named. */
const whyNot = (thrown: unknown): string =>
  (thrown as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such directory' : whyUnread(thrown);
