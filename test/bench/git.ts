/**
 * What a pull costs as the fleet grows: fairlead beside `git clone --depth 1` and git's partial clones with a sparse
 * checkout, in one run against one `git http-backend`.
 */
import { type ChildProcess, execFileSync, fork, spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { git, scratch } from '../unit/git/backend.ts';

interface Cost {
  wallMs: number;
  cpuMs: number;
  /** Peak memory of the largest process. */
  peakKb: number;
  /** Bytes on the wire, both ways, headers included. */
  wire: number;
  diskKb: number;
}
type Row = 'first pull' | 'change of another host' | 'change of this host' | 'change of its role' | 'nothing new';
const ROWS: readonly Row[] = [
  'first pull',
  'change of another host',
  'change of this host',
  'change of its role',
  'nothing new',
];

interface Contestant {
  name: string;
  step(row: Row): Promise<Omit<Cost, 'wire' | 'diskKb'>>;
  disk: string;
  stop(): void;
}

const FILES = 5;
const SITE = 100;

/** Nested: a hundred regions of a hundred sites of a hundred hosts, as far as there are that many. */
const hostPath = (n: number, nested: boolean) =>
  nested ? `hosts/region-${Math.floor(n / SITE ** 2)}/site-${Math.floor(n / SITE)}/edge-${n}` : `hosts/edge-${n}`;

/** Commits through `git fast-import`: a fleet of 100,000 hosts in seconds. */
function commit(repo: string, files: Iterable<[string, string]>, message: string): void {
  const parts = [
    `commit refs/heads/main\ncommitter Ann <ann@example.com> ${1_700_000_000 + commits++} +0000\ndata ${message.length}\n${message}\n`,
  ];
  if (commits > 1) parts.push('from refs/heads/main^0\n');
  for (const [name, content] of files) parts.push(`M 100644 inline ${name}\ndata ${content.length}\n${content}\n`);
  execFileSync('git', ['fast-import', '--quiet', '--date-format=raw'], {
    cwd: repo,
    input: parts.join(''),
    maxBuffer: 2 ** 30,
  });
}
let commits = 0;

function* fleet(hosts: number, nested: boolean): Generator<[string, string]> {
  yield ['fleet.yaml', 'name: bench\n'];
  for (const role of ['web', 'db']) yield [`roles/${role}/system.yaml`, `# ${role}\n`];
  for (let n = 0; n < hosts; n++) {
    const at = hostPath(n, nested);
    yield [`${at}/host.yaml`, 'roles: [web]\n'];
    for (let k = 1; k < FILES; k++) yield [`${at}/f${k}.yaml`, `# file ${k} of host ${n}\nfiles: {}\n`];
  }
}

const ask = <T>(child: ChildProcess): Promise<T> =>
  new Promise((resolve, reject) => {
    const ended = (code: number | null) => reject(new Error(`a process of the benchmark ended with ${code}`));
    child.once('exit', ended);
    child.once('message', (answer) => {
      child.off('exit', ended);
      resolve(answer as T);
    });
    child.send('go');
  });
const hello = <T>(child: ChildProcess): Promise<T> =>
  new Promise((resolve) => child.once('message', (m) => resolve(m as T)));

async function fairlead(url: string, at: string, dir: string): Promise<Contestant> {
  const child = fork(path.join(import.meta.dirname, 'git-host.ts'), [url, at, dir]);
  await hello(child);
  return { name: 'fairlead', disk: dir, step: () => ask(child), stop: () => child.kill() };
}

/** git as an administrator would script it. */
function plainGit(name: string, clone: string[], sparse: string[], url: string, dir: string): Contestant {
  const step = async (row: Row) => {
    if (row === 'nothing new') return measure([['git', '-C', dir, 'ls-remote', '-q', 'origin', 'refs/heads/main']]);
    if (row !== 'first pull') return measure([['git', '-C', dir, 'pull', '-q']]);
    const more = sparse.length > 0 ? [['git', '-C', dir, 'sparse-checkout', 'set', ...sparse]] : [];
    return measure([['git', 'clone', '-q', ...clone, url, dir], ...more]);
  };
  return { name, disk: dir, step, stop: () => undefined };
}

async function measure(commands: string[][]): Promise<Omit<Cost, 'wire' | 'diskKb'>> {
  const cost = { wallMs: 0, cpuMs: 0, peakKb: 0 };
  for (const argv of commands) {
    const began = performance.now();
    // The shell's own `times` tells what all descendants used.
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

const diskOf = (dir: string): number =>
  readdirSync(dir, { recursive: true }).length === 0
    ? 0
    : Number(execFileSync('du', ['-sk', dir], { encoding: 'utf8' }).split('\t')[0]);

async function run(hosts: number, nested: boolean): Promise<void> {
  const root = scratch();
  const repo = path.join(root, 'fleet.git');
  commits = 0;
  git(root, 'init', '-q', '--bare', '-b', 'main', repo);
  for (const [key, value] of [
    ['uploadpack.allowFilter', 'true'],
    ['uploadpack.allowAnySHA1InWant', 'true'],
    ['fastimport.unpackLimit', '0'],
  ] as const)
    git(repo, 'config', key, value);
  commit(repo, fleet(hosts, nested), 'The fleet');
  git(repo, 'repack', '-adq');
  const server = fork(path.join(import.meta.dirname, 'git-server.ts'), [root]);
  const { url } = await hello<{ url: string }>(server);
  const at = hostPath(1, nested);
  const sparse = [at, 'roles/web'];
  mkdirSync(path.join(root, 'clients'));
  const dir = (name: string) => path.join(root, 'clients', name);
  const contestants = [
    await fairlead(url, at, dir('fairlead')),
    // Half a million files in a work tree measure the disk, for minutes.
    ...(hosts > 10_000 ? [] : [plainGit('git --depth 1', ['--depth=1'], [], url, dir('depth'))]),
    plainGit('git blob:none, sparse', ['--depth=1', '--filter=blob:none', '--sparse'], sparse, url, dir('blobless')),
    plainGit('git tree:0, sparse', ['--depth=1', '--filter=tree:0', '--sparse'], sparse, url, dir('treeless')),
  ];
  console.log(`\n${hosts.toLocaleString('en')} hosts, ${nested ? 'nested by region and site' : 'flat'}`);
  console.log(['', 'wall ms', 'cpu ms', 'peak MB', 'wire KB', 'disk KB'].map(cell).join(''));
  try {
    for (const row of ROWS) {
      change(repo, row, hosts, nested);
      console.log(row);
      for (const one of contestants) {
        await ask(server);
        const cost = await one.step(row);
        const { wire } = await ask<{ wire: number }>(server);
        const figures = [cost.wallMs, cost.cpuMs, cost.peakKb / 1024].map((n) => n.toFixed(0));
        console.log(
          [`  ${one.name}`, ...figures, (wire / 1024).toFixed(1), String(diskOf(one.disk))].map(cell).join(''),
        );
      }
    }
  } finally {
    for (const one of contestants) one.stop();
    server.kill();
    rmSync(root, { recursive: true, force: true });
  }
}

const cell = (text: string, at: number) => (at === 0 ? text.padEnd(26) : text.padStart(10));

function change(repo: string, row: Row, hosts: number, nested: boolean): void {
  const other = hostPath(Math.min(hosts - 1, 7), nested);
  const files: Partial<Record<Row, [string, string]>> = {
    'change of another host': [`${other}/f1.yaml`, 'files: {} # changed\n'],
    'change of this host': [`${hostPath(1, nested)}/f1.yaml`, 'files: {} # changed\n'],
    'change of its role': ['roles/web/system.yaml', '# web, changed\n'],
  };
  const file = files[row];
  if (file) commit(repo, [file], row);
}

/** @param fleets numbers of hosts; a trailing n nests them */
export async function gitBench(
  fleets: readonly string[] = ['10', '1000', '10000', '10000n', '100000n'],
): Promise<void> {
  for (const one of fleets) await run(Number.parseInt(one, 10), one.endsWith('n'));
}
