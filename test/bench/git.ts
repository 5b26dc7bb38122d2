/**
 * What a pull costs as the fleet grows: fairlead beside `git clone --depth 1` and git's partial clones with a sparse
 * checkout, in one run against one `git http-backend`. Everything is done several times, in turns: medians are printed.
 */
import { type ChildProcess, execFileSync, fork, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { buildSync } from 'esbuild';
import { scratch } from '../unit/git/backend.ts';
import { type FleetShape, makeFleet, type Row } from './git-fleet.ts';
import { median } from './table.ts';

interface Cost {
  wallMs: number;
  cpuMs: number;
  /** Peak memory of the largest process. */
  peakKb: number;
  /** Bytes on the wire, both ways, headers included. */
  wire: number;
}
const ROWS: readonly Row[] = [
  'first pull',
  'change of another host',
  'change of this host',
  'change of its role',
  'nothing new',
];
const MIB = 1024 * 1024;

interface Contestant {
  name: string;
  step(row: Row): Promise<Omit<Cost, 'wire'>>;
  disk: string;
  stop(): void;
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

async function fairlead(program: string, url: string, at: string, dir: string): Promise<Contestant> {
  // Compiled code is kept, as the daemon does.
  const env = { ...process.env, NODE_COMPILE_CACHE: path.join(path.dirname(program), 'compiled') };
  const child = fork(program, [url, at, dir], { env, execArgv: AS_SERVICE });
  await hello(child);
  return { name: 'fairlead', disk: dir, step: () => ask(child), stop: () => child.disconnect() };
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

async function measure(commands: string[][]): Promise<Omit<Cost, 'wire'>> {
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

interface Result {
  name: string;
  costs: Cost[];
  disk: string;
}

async function run(shape: FleetShape, rows: readonly Row[]): Promise<void> {
  const { hosts, nested, payload } = shape;
  const root = scratch();
  const fleet = makeFleet(root, shape);
  const server = fork(path.join(import.meta.dirname, 'git-server.ts'), [root]);
  const { url } = await hello<{ url: string }>(server);
  const sparse = [fleet.host, 'roles/web'];
  // One file of plain JavaScript, as fairlead is installed: types to strip would weigh 40 MB.
  const program = path.join(root, 'host.cjs');
  const entryPoints = [path.join(import.meta.dirname, 'git-host.ts')];
  const define = { CompressionStream: 'undefined', 'import.meta.url': '__url', 'import.meta.dirname': '__dirname' };
  const banner = { js: "const __url = require('node:url').pathToFileURL(__filename).href;" };
  buildSync({ entryPoints, outfile: program, bundle: true, platform: 'node', minify: true, define, banner });
  let contestants: Contestant[] = [];
  const enter = async (round: number) => {
    for (const one of contestants) one.stop();
    // Clones of the round before are no part of anything, and many files.
    rmSync(path.join(root, 'clients'), { recursive: true, force: true });
    mkdirSync(path.join(root, 'clients'));
    const dir = (name: string) => path.join(root, 'clients', `${name}-${round}`);
    contestants = [
      await fairlead(program, url, fleet.host, dir('fairlead')),
      // Half a million files in a work tree measure the disk, for minutes.
      ...(hosts > 10_000 ? [] : [plainGit('git --depth 1', ['--depth=1'], [], url, dir('depth'))]),
      plainGit('git blob:none, sparse', ['--depth=1', '--filter=blob:none', '--sparse'], sparse, url, dir('blobless')),
      plainGit('git tree:0, sparse', ['--depth=1', '--filter=tree:0', '--sparse'], sparse, url, dir('treeless')),
    ];
  };
  const more = payload > 0 ? `, a payload file of ${payload / MIB} MiB` : '';
  console.log(`\n${hosts.toLocaleString('en')} hosts, ${nested ? 'nested by region and site' : 'flat'}${more}`);
  console.log(['', 'wall ms', 'to ours', 'cpu ms', 'peak MB', 'wire KB', 'disk KB'].map(cell).join(''));
  try {
    for (const row of rows) {
      const results = new Map<string, Result>();
      const rounds = row === 'first pull' && hosts > 1_000 ? 3 : 5;
      for (let round = 0; round < rounds; round++) {
        if (row === 'first pull') await enter(round);
        fleet.change(row);
        const turn = round % contestants.length;
        for (const one of [...contestants.slice(turn), ...contestants.slice(0, turn)]) {
          await ask(server);
          const cost = await one.step(row);
          const { wire } = await ask<{ wire: number }>(server);
          const result = results.get(one.name) ?? { name: one.name, costs: [], disk: one.disk };
          result.disk = one.disk;
          result.costs.push({ ...cost, wire });
          results.set(one.name, result);
        }
      }
      console.log(row);
      for (const { name } of contestants) print(results.get(name), results.get('fairlead'));
    }
  } finally {
    for (const one of contestants) one.stop();
    server.kill();
    rmSync(root, { recursive: true, force: true });
  }
}

function print(result: Result | undefined, ours: Result | undefined): void {
  if (result === undefined || ours === undefined) return;
  const of = ({ costs }: Result, field: keyof Cost) => median(costs.map((cost) => cost[field]));
  const wall = of(result, 'wallMs');
  const ratio = (wall / of(ours, 'wallMs')).toFixed(2);
  const peak = Math.max(...result.costs.map((cost) => cost.peakKb)) / 1024;
  const disk = execFileSync('du', ['-sk', result.disk], { encoding: 'utf8' }).split('\t')[0] ?? '';
  const figures = [wall.toFixed(0), ratio, of(result, 'cpuMs').toFixed(0), peak.toFixed(0)];
  console.log([`  ${result.name}`, ...figures, (of(result, 'wire') / 1024).toFixed(1), disk].map(cell).join(''));
}

const cell = (text: string, at: number) => (at === 0 ? text.padEnd(26) : text.padStart(10));

/** The whole way of a payload file: what the agent's process has at most while it fetches, writes, and looks at it again. */
async function agentMemory(): Promise<void> {
  console.log('\nfairlead agent --once, of 10 hosts');
  console.log(['', 'wall ms', 'cpu ms', 'peak MB'].map(cell).join(''));
  for (const payload of [0, 60 * MIB]) {
    const root = scratch();
    const { host } = makeFleet(root, { hosts: 10, nested: false, payload });
    const server = fork(path.join(import.meta.dirname, 'git-server.ts'), [root]);
    try {
      const { url } = await hello<{ url: string }>(server);
      const config = path.join(root, 'host/etc/fairlead/agent.yaml');
      mkdirSync(path.dirname(config), { recursive: true });
      writeFileSync(config, `host: edge-1\nrepo: {url: "${url}", path: ${host}}\n`);
      for (const step of ['first', 'again']) {
        const cost = await measure([
          [process.execPath, ...AS_SERVICE, BUNDLE, '--root', path.join(root, 'host'), 'agent', '--once'],
        ]);
        const figures = [cost.wallMs, cost.cpuMs, cost.peakKb / 1024].map((n) => n.toFixed(0));
        console.log([`  ${payload / MIB} MiB of payload, ${step}`, ...figures].map(cell).join(''));
      }
    } finally {
      server.kill();
      rmSync(root, { recursive: true, force: true });
    }
  }
}

/** systemd/fairlead.service */
const AS_SERVICE = ['--no-sparkplug', '--no-turbofan', '--max-semi-space-size=16'];
const BUNDLE = path.join(import.meta.dirname, '../../dist/fairlead.cjs');

/** What a process of the product needs before it can do anything; git's commands contain theirs. */
function startMs(): number {
  const once = () => {
    const began = performance.now();
    execFileSync(process.execPath, [BUNDLE, 'version']);
    return performance.now() - began;
  };
  return median(Array.from({ length: 5 }, once));
}

/** @param fleets numbers of hosts; a trailing n nests them */
export async function gitBench(
  fleets: readonly string[] = ['10', '1000', '10000', '10000n', '100000n'],
): Promise<void> {
  console.log('fairlead: in a process that runs already and read its configuration, as the daemon; peak: all of it.');
  console.log(
    `git: a process, or two, for each step. Starting one of fairlead's takes ${startMs().toFixed(0)} ms more.`,
  );
  for (const one of fleets) await run({ hosts: Number.parseInt(one, 10), nested: one.endsWith('n'), payload: 0 }, ROWS);
  await run({ hosts: 10, nested: false, payload: 60 * MIB }, ['first pull', 'change of this host']);
  await agentMemory();
}
