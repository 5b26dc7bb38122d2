/** A whole fleet repository as files: a directory on this machine, or a commit. Read only as far as it is asked for. */
import { spawn } from 'node:child_process';
import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Payload } from '../core/payload.ts';
import type { Issue } from '../core/types.ts';
import { AgentError } from '../errors.ts';

export interface FleetTree {
  /** What it is, for messages: the directory, or the commit. */
  name: string;
  /** Every file below its top, sorted. */
  paths: readonly string[];
  /** Path → identity of the content, equal for equal bytes; only where it is known without reading. */
  oids: ReadonlyMap<string, string> | null;
  /** Bytes of these files. What the agent would refuse (links, files too large) is left out and told by `refused`. */
  read(paths: readonly string[]): Promise<Map<string, Uint8Array>>;
  refused(paths: readonly string[]): Issue[];
  /** Whether git has it, or is to have it, as an executable. */
  executable(path: string): boolean;
}

/** Largest payload file in bytes: 64 MiB (docs/manifests.md, "files"). */
const MAX_BYTES = 64 * 1024 * 1024;
const NEVER_READ: ReadonlySet<string> = new Set(['.git', 'node_modules']);

/** Files of this tree, with what it says of them beside their bytes. */
export const withModes = (files: ReadonlyMap<string, Uint8Array>, { executable }: FleetTree): Payload =>
  Object.assign(files, { executable });

/** @throws AgentError `NoRepository` */
export function openDirectory(dir: string): FleetTree {
  const paths: string[] = [];
  const wrong = new Map<string, string>();
  const executable = new Set<string>();
  const walk = (at: string): void => {
    for (const entry of readdirSync(path.join(dir, at), { withFileTypes: true })) {
      const name = at === '' ? entry.name : `${at}/${entry.name}`;
      if (entry.isDirectory()) {
        if (!NEVER_READ.has(entry.name)) walk(name);
        continue;
      }
      paths.push(name);
      if (entry.isSymbolicLink()) wrong.set(name, 'is a symbolic link; declare it as `link:` under `files` instead');
      else if (!entry.isFile()) wrong.set(name, 'is no regular file; remove it');
    }
  };
  try {
    walk('');
  } catch (thrown) {
    throw unreadable(`cannot read ${dir}: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  }
  paths.sort();
  return {
    name: dir,
    paths,
    oids: null,
    async read(wanted) {
      const files = new Map<string, Uint8Array>();
      for (const name of wanted) {
        if (wrong.has(name)) continue;
        const file = path.join(dir, name);
        const bytes = readFileSync(file);
        // Git has an executable where its owner may execute it.
        if ((lstatSync(file).mode & 0o100) !== 0) executable.add(name);
        if (bytes.length > MAX_BYTES) wrong.set(name, tooLarge(lstatSync(file).size));
        else files.set(name, bytes);
      }
      return files;
    },
    refused: (asked) => refusals(wrong, asked),
    executable: (name) => executable.has(name),
  };
}

/** @param rev anything that `git rev-parse` takes. @throws AgentError `NoRepository` */
export async function openCommit(dir: string, rev: string): Promise<FleetTree> {
  const commit = (await git(dir, ['rev-parse', '--verify', '--end-of-options', `${rev}^{commit}`])).toString().trim();
  // `dir` may be below the top of the repository: only what is there, named from there.
  const listing = (await git(dir, ['ls-tree', '-r', '-z', '-l', commit])).toString();
  const oids = new Map<string, string>();
  const wrong = new Map<string, string>();
  const executable = new Set<string>();
  for (const line of listing.split('\0')) {
    const match = /^(\d+) (\w+) ([0-9a-f]+) +(\d+|-)\t([\s\S]+)$/.exec(line);
    if (!match) continue;
    const [, mode, type, oid = '', size, name = ''] = match;
    oids.set(name, oid);
    if (mode === '100755') executable.add(name);
    if (type === 'commit') wrong.set(name, 'is a submodule, which fairlead does not read');
    else if (mode === '120000') wrong.set(name, 'is a symbolic link; declare it as `link:` under `files` instead');
    else if (Number(size) > MAX_BYTES) wrong.set(name, tooLarge(Number(size)));
  }
  return {
    name: rev,
    paths: [...oids.keys()].sort(),
    oids,
    async read(wanted) {
      const names = wanted.filter((name) => oids.has(name) && !wrong.has(name));
      if (names.length === 0) return new Map();
      const input = `${names.map((name) => oids.get(name)).join('\n')}\n`;
      const answer = await git(dir, ['cat-file', '--batch'], input);
      return batch(answer, names);
    },
    refused: (asked) => refusals(wrong, asked),
    executable: (name) => executable.has(name),
  };
}

/** `git cat-file --batch`: `<oid> blob <size>\n<bytes>\n` for each. */
function batch(answer: Buffer, names: readonly string[]): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  let at = 0;
  for (const name of names) {
    const end = answer.indexOf(10, at);
    const size = Number(answer.subarray(at, end).toString().split(' ')[2]);
    if (end === -1 || !Number.isInteger(size)) throw unreadable(`git did not answer for ${name}`);
    files.set(name, answer.subarray(end + 1, end + 1 + size));
    at = end + 1 + size + 1;
  }
  return files;
}

function git(dir: string, args: readonly string[], input = ''): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const child = spawn('git', ['-C', dir, ...args], { stdio: 'pipe' });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
    child.on('error', (error) => reject(unreadable(`cannot run git: ${error.message}; install git`)));
    child.on('close', (code) => {
      if (code === 0) resolve(Buffer.concat(out));
      else reject(unreadable(`git ${args[0]} failed in ${dir}: ${Buffer.concat(err).toString().trim()}`));
    });
  });
}

const tooLarge = (size: number) => `has ${size} bytes; payload files may have 64 MiB at most`;

const refusals = (wrong: ReadonlyMap<string, string>, asked: readonly string[]): Issue[] =>
  asked.flatMap((file) => {
    const why = wrong.get(file);
    return why === undefined
      ? []
      : [{ file, line: 1, column: 1, key: '', severity: 'error' as const, message: `${file} ${why}` }];
  });

const unreadable = (message: string) => new AgentError({ code: 'NoRepository', phase: 'load', message });
