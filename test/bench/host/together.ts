/** A whole host at once: files, units and services; beside a script, CFEngine, Puppet and ansible-pull on the same host, and the sum of the floors. */
import { startLab } from '../../lab/lab.ts';
import type { BenchRun } from '../report/runner.ts';
import { hashFloor, inspectFloor, listFloor } from './floors.ts';
import { mountDisk, prepare, type Stage } from './host-tools.ts';
import { choosePeers, type PeerName } from './peers.ts';
import { containersOf, type HostLoad, holdContest, IMAGE } from './whole-host.ts';

const LOAD: HostLoad = { files: 1_000, units: 50, services: 10 };
const QUICK_LOAD: HostLoad = { files: 100, units: 5, services: 3 };
const ROUNDS = { full: 3, quick: 1 };
const NO_OPS = { full: 5, quick: 3 };
const FLOOR_SAMPLES = 11;

export async function togetherBench(run: BenchRun<'together'>): Promise<void> {
  const { isQuick, log, record } = run;
  const load = isQuick ? QUICK_LOAD : LOAD;
  const lab = await startLab({ name: 'bench-together', hosts: [{ name: 'edge-1' }], log });
  let unmount = async () => {};
  try {
    const stage: Stage = { lab, host: lab.host('edge-1') };
    unmount = await mountDisk(stage.host);
    const { ready, absent } = await prepare(stage, choosePeers(run), log);
    for (const [name, why] of absent) run.leaveOut([`noop.${name}`, `first.${name}`], why);
    await stage.host.exec(['docker', 'pull', '-q', IMAGE]);
    log(
      'the peers have no promise for services: they run `docker compose up -d`; the script asks `docker inspect` first',
    );
    log('first convergence of fairlead: from the request to the last action; all bring their repository up to date');
    log(`all together: ${load.files} files, ${load.units} units, ${load.services} services`);
    await holdContest({
      stage,
      load,
      peers: ready,
      rounds: isQuick ? ROUNDS.quick : ROUNDS.full,
      noOps: isQuick ? NO_OPS.quick : NO_OPS.full,
      log,
      took: (what, name, ms) => record(`${what}.${name as PeerName | 'fairlead'}`, ms),
      floors: async () => record('noop.floor', [await floorOf(stage, load, log)]),
    });
  } finally {
    await lab.stop();
    await unmount();
  }
}

/** The least time to check that everything is in place: hash the files, list the units, inspect the containers. */
async function floorOf(stage: Stage, load: HostLoad, log: (line: string) => void): Promise<number> {
  const floors = [
    await hashFloor(stage, load.files, FLOOR_SAMPLES),
    await listFloor(stage, load.units, FLOOR_SAMPLES),
    await inspectFloor(stage, containersOf('fairlead', load.services), FLOOR_SAMPLES),
  ];
  log(`floors: ${floors.map(({ name, value }) => `${name} ${value.toFixed(1)} ms`).join(', ')}`);
  return floors.reduce((sum, { value }) => sum + value, 0);
}
