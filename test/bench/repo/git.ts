/**
 * The cost of a pull as the fleet grows: fairlead beside `git clone --depth 1` and git's partial clones with a sparse checkout,
 * in one run against one `git http-backend`. Everything is repeated, in turn.
 */
import { execFileSync, fork } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { buildSync } from 'esbuild';
import { scratch } from '../../unit/git/backend.ts';
import { type FigureId, FLEETS, type Fleet, figuresOf, fleetText, GITS, STEPS } from '../report/catalogue.ts';
import type { BenchRun } from '../report/runner.ts';
import { type FleetShape, makeFleet } from './git-fleet.ts';
import { AS_SERVICE, ask, type Contestant, fairlead, hello, measure, plainGit } from './git-ways.ts';

type Run = BenchRun<'git'>;

const MIB = 1024 * 1024;
const QUICK_FLEETS: readonly Fleet[] = ['10', '1000'];
const ROUNDS = 5;
/** Numbers for a first pull of many hosts, and for a quick run. */
const FEW_ROUNDS = 3;
const QUICK_ROUNDS = 2;
const BUNDLE = path.join(import.meta.dirname, '../../../dist/fairlead.cjs');

export async function gitBench(run: Run): Promise<void> {
  run.log('fairlead: in a process that runs already and read its configuration, as the daemon; memory: all of it');
  run.log('git: a process, or two, for each step');
  for (let i = 0; i < ROUNDS; i++) run.record('start', [startMs()]);
  for (const fleet of FLEETS) {
    const asked = process.env.FAIRLEAD_BENCH_FLEETS?.split(',');
    if (asked !== undefined && !asked.includes(fleet))
      leaveOut(run, `${fleet}.`, 'FAIRLEAD_BENCH_FLEETS leaves this size out');
    else if (run.isQuick && !QUICK_FLEETS.includes(fleet)) leaveOut(run, `${fleet}.`, '--quick leaves this size out');
    else await measureFleet(fleet, run);
  }
  for (const payload of run.isQuick ? ([0] as const) : ([0, 60] as const)) await agentMemory(payload, run);
  if (run.isQuick) leaveOut(run, 'payload.60.', '--quick leaves the large file out');
}

const leaveOut = (run: Run, beginning: string, why: string, end = ''): void =>
  run.leaveOut(
    Object.keys(figuresOf('git')).filter((id) => id.startsWith(beginning) && id.endsWith(end)) as FigureId<'git'>[],
    why,
  );

/** Why a git command is left out; empty if it is not. */
function whyNot(name: (typeof GITS)[number], { hosts, isQuick }: { hosts: number; isQuick: boolean }): string {
  if (isQuick && hosts > 10 && name !== 'git-blobless') return '--quick has the leanest way of git alone';
  if (hosts > 100_000) return 'git reads the trees of all hosts, which a million of them makes pointless';
  // Half a million files in a work tree measure the disk, for minutes.
  return name === 'git-depth-1' && hosts > 10_000 ? 'a work tree of half a million files measures the disk' : '';
}

async function measureFleet(fleet: Fleet, run: Run): Promise<void> {
  const shape: FleetShape = { hosts: Number.parseInt(fleet, 10), nested: fleet.endsWith('n'), payload: 0 };
  run.log(fleetText(fleet));
  const root = scratch();
  const made = makeFleet(root, shape);
  const server = fork(path.join(import.meta.dirname, 'git-server.ts'), [root]);
  let contestants: Contestant[] = [];
  try {
    const { url } = await hello<{ url: string }>(server);
    const program = bundleHost(root);
    for (const name of GITS) {
      const why = whyNot(name, { hosts: shape.hosts, isQuick: run.isQuick });
      if (why !== '') leaveOut(run, `${fleet}.`, why, `.${name}`);
    }
    for (const step of STEPS) {
      const rounds = run.isQuick ? QUICK_ROUNDS : step === 'first' && shape.hosts > 1_000 ? FEW_ROUNDS : ROUNDS;
      for (let round = 0; round < rounds; round++) {
        if (step === 'first') {
          for (const one of contestants) one.stop();
          contestants = await enter({
            root,
            program,
            url,
            host: made.host,
            size: { hosts: shape.hosts, isQuick: run.isQuick },
          });
        }
        made.change(step);
        const turn = round % contestants.length;
        for (const one of [...contestants.slice(turn), ...contestants.slice(0, turn)]) {
          await ask(server);
          const cost = await one.take(step);
          const { wire, requests } = await ask<{ wire: number; requests: number }>(server);
          run.record(`${fleet}.${step}.ms.${one.name}`, [cost.wallMs]);
          run.record(`${fleet}.${step}.wire.${one.name}`, [wire]);
          if (one.name !== 'fairlead') continue;
          run.record(`${fleet}.${step}.cpu.fairlead`, [cost.cpuMs]);
          run.record(`${fleet}.${step}.peak.fairlead`, [cost.peakKb / 1_024]);
          run.record(`${fleet}.${step}.requests.fairlead`, [requests]);
        }
      }
    }
  } finally {
    for (const one of contestants) one.stop();
    server.kill();
    rmSync(root, { recursive: true, force: true });
  }
}

interface Entry {
  root: string;
  program: string;
  url: string;
  host: string;
  size: { hosts: number; isQuick: boolean };
}

/** All participants, each with an empty directory. Clones of the previous round are many files, and not needed. */
async function enter({ root, program, url, host, size }: Entry): Promise<Contestant[]> {
  const clients = path.join(root, 'clients');
  rmSync(clients, { recursive: true, force: true });
  mkdirSync(clients);
  const sparse = [host, 'roles/web'];
  const ways = {
    'git-depth-1': { clone: ['--depth=1'], sparse: [] },
    'git-blobless': { clone: ['--depth=1', '--filter=blob:none', '--sparse'], sparse },
    'git-treeless': { clone: ['--depth=1', '--filter=tree:0', '--sparse'], sparse },
  };
  return [
    await fairlead({ program, url, host, dir: path.join(clients, 'fairlead') }),
    ...GITS.filter((name) => whyNot(name, size) === '').map((name) =>
      plainGit({ name, ...ways[name], url, dir: path.join(clients, name) }),
    ),
  ];
}

/** One file of plain JavaScript, as fairlead is installed: stripping types would take 40 MB. */
function bundleHost(root: string): string {
  const outfile = path.join(root, 'host.cjs');
  buildSync({
    entryPoints: [path.join(import.meta.dirname, 'git-host.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    minify: true,
    define: { CompressionStream: 'undefined', 'import.meta.url': '__url', 'import.meta.dirname': '__dirname' },
    banner: { js: "const __url = require('node:url').pathToFileURL(__filename).href;" },
  });
  return outfile;
}

/** The base cost of a process of the product; git's commands include theirs. */
function startMs(): number {
  const began = performance.now();
  execFileSync(process.execPath, [BUNDLE, 'version']);
  return performance.now() - began;
}

/** A payload file from end to end: the peak memory of the agent's process while it fetches, writes, and observes it. */
async function agentMemory(mebibytes: 0 | 60, run: Run): Promise<void> {
  const root = scratch();
  const { host } = makeFleet(root, { hosts: 10, nested: false, payload: mebibytes * MIB });
  const server = fork(path.join(import.meta.dirname, 'git-server.ts'), [root]);
  try {
    const { url } = await hello<{ url: string }>(server);
    const config = path.join(root, 'host/etc/fairlead/agent.yaml');
    mkdirSync(path.dirname(config), { recursive: true });
    writeFileSync(config, `host: edge-1\nrepo: {url: "${url}", path: ${host}}\n`);
    for (const when of ['first', 'again'] as const) {
      const argv = [process.execPath, ...AS_SERVICE, BUNDLE, '--root', path.join(root, 'host'), 'agent', '--once'];
      run.record(`payload.${mebibytes}.${when}`, [(await measure([argv])).peakKb / 1_024]);
    }
  } finally {
    server.kill();
    rmSync(root, { recursive: true, force: true });
  }
}
