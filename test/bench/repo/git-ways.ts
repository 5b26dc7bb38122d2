/** The participants of the git benchmark: fairlead in a long-running process, and git as an administrator would script it. */
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { GITS, Step } from '../report/catalogue.ts';

export interface Cost {
  wallMs: number;
  cpuMs: number;
  /** Peak memory of the largest process. */
  peakKb: number;
}

/** systemd/fairlead.service */
export const AS_SERVICE = [
  '--no-sparkplug',
  '--no-turbofan',
  '--invocation-count-for-maglev=4000',
  '--max-semi-space-size=16',
];

export interface Contestant {
  name: 'fairlead' | (typeof GITS)[number];
  take(step: Step): Promise<Cost>;
  stop(): void;
}

/** Sends a request to a process of the benchmark over the fork's channel. */
export const ask = <T>(child: ChildProcess): Promise<T> =>
  new Promise((resolve, reject) => {
    const ended = (code: number | null) => reject(new Error(`a process of the benchmark ended with ${code}`));
    child.once('exit', ended);
    child.once('message', (answer) => {
      child.off('exit', ended);
      resolve(answer as T);
    });
    child.send('go');
  });
/** Waits for its first message. */
export const hello = <T>(child: ChildProcess): Promise<T> =>
  new Promise((resolve) => child.once('message', (m) => resolve(m as T)));

export interface FairleadHost {
  /** The bundled git-host.ts. */
  program: string;
  url: string;
  /** Path of the host in the repository. */
  host: string;
  dir: string;
}

export async function fairlead({ program, url, host, dir }: FairleadHost): Promise<Contestant> {
  // Compiled code is cached, as by the daemon.
  const env = { ...process.env, NODE_COMPILE_CACHE: path.join(path.dirname(program), 'compiled') };
  const child = fork(program, [url, host, dir], { env, execArgv: AS_SERVICE });
  await hello(child);
  return { name: 'fairlead', take: () => ask(child), stop: () => child.disconnect() };
}

export interface PlainGit {
  name: Contestant['name'];
  /** Options of git-clone(1). */
  clone: readonly string[];
  /** Directories of the sparse checkout; none for a complete one. */
  sparse: readonly string[];
  url: string;
  dir: string;
}

/** git as an administrator would script it. */
export function plainGit({ name, clone, sparse, url, dir }: PlainGit): Contestant {
  const take = async (step: Step) => {
    if (step === 'poll') return measure([['git', '-C', dir, 'ls-remote', '-q', 'origin', 'refs/heads/main']]);
    if (step !== 'first') return measure([['git', '-C', dir, 'pull', '-q']]);
    const more = sparse.length > 0 ? [['git', '-C', dir, 'sparse-checkout', 'set', ...sparse]] : [];
    return measure([['git', 'clone', '-q', ...clone, url, dir], ...more]);
  };
  return { name, take, stop: () => undefined };
}

/** Runs commands one after another; the sum of their costs, including all of their descendants. */
export async function measure(commands: string[][]): Promise<Cost> {
  const cost = { wallMs: 0, cpuMs: 0, peakKb: 0 };
  for (const argv of commands) {
    const began = performance.now();
    // The shell's own `times` reports what all descendants used.
    const child = spawn('sh', ['-c', '"$@"; code=$?; times; exit $code', 'sh', ...argv], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
    const watch = setInterval(() => {
      cost.peakKb = Math.max(cost.peakKb, ...tree(child.pid ?? 0).map(peakOf));
    }, 5);
    const code = await new Promise((resolve) => child.on('close', resolve));
    clearInterval(watch);
    if (code !== 0) throw new Error(`${argv.join(' ')} ended with ${code}`);
    cost.wallMs += performance.now() - began;
    const line = said.trimEnd().split('\n').at(-1) ?? '';
    for (const [, m, s] of line.matchAll(/(\d+)m([\d.]+)s/g)) cost.cpuMs += Number(m) * 60_000 + Number(s) * 1000;
  }
  return cost;
}

function tree(pid: number): number[] {
  const children = read(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number);
  return [pid, ...children.flatMap(tree)];
}
const peakOf = (pid: number) => Number(/VmHWM:\s+(\d+)/.exec(read(`/proc/${pid}/status`))?.[1] ?? 0);
function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
