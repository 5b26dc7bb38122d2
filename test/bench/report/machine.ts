/** The kind of machine on which figures were measured. */
import { execFileSync } from 'node:child_process';
import os from 'node:os';
import path from 'node:path';
import { LAB_DIR } from '../../lab/engine.ts';

export interface Machine {
  cores: number;
  cpu: string;
  memoryGb: number;
  kernel: string;
  node: string;
  git: string;
  /** Version of the Docker engine that runs the lab's hosts; empty if none runs. */
  docker: string;
  /** Load average of the last minute: above the number of cores, other work was measured as well. */
  load: number;
  /** Milliseconds of a fixed piece of JavaScript on one core: distinguishes a slow machine from a slow program. */
  loopMs: number;
}

/** What was measured, and where. */
export interface Stamp {
  commit: string;
  /** The work tree differed from the commit. */
  isChanged: boolean;
  machine: Machine;
}

export const stampNow = (): Stamp => ({
  commit: said(['git', 'rev-parse', 'HEAD']),
  isChanged: said(['git', 'status', '--porcelain', '--untracked-files=no']) !== '',
  machine: machineNow(),
});

function machineNow(): Machine {
  return {
    cores: os.availableParallelism(),
    cpu: os.cpus()[0]?.model.trim() ?? '',
    memoryGb: Math.round(os.totalmem() / 2 ** 30),
    kernel: os.release(),
    node: process.version,
    git: said(['git', '--version']).replace('git version ', ''),
    docker: dockerVersion([]) || dockerVersion(['-H', `unix://${path.join(LAB_DIR, 'docker.sock')}`]),
    load: Number((os.loadavg()[0] ?? 0).toFixed(1)),
    loopMs: Math.round(Math.min(...Array.from({ length: 5 }, loopMs))),
  };
}

const dockerVersion = (flags: readonly string[]): string =>
  said(['docker', ...flags, 'version', '--format', '{{.Server.Version}}']);

function said([program = '', ...args]: readonly string[]): string {
  try {
    return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return '';
  }
}

const STEPS = 100_000_000;

/** A random number generator (Numerical Recipes), which no optimiser can remove. */
function loopMs(): number {
  const began = performance.now();
  let state = 1;
  for (let step = 0; step < STEPS; step++) state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
  const took = performance.now() - began;
  if (state === 0) throw new Error('the loop of the benchmark computed nothing');
  return took;
}
