/** Brings a whole host to a state of files, units and services, by fairlead and by each peer in turn, on the same host. */
import { fairleadJson } from '../../lab/agent.ts';
import { quietSyncs } from './feed.ts';
import {
  ANCHOR,
  clear,
  commitAll,
  install,
  payloadOf,
  rest,
  type Stage,
  sync,
  timed,
  times,
  type Way,
} from './host-tools.ts';
import type { Peer, PeerLoad } from './peers.ts';

export const IMAGE = 'infra:5000/app:1';
const OURS = 'fairlead';
/** A tool that takes longer than this for a first convergence has one, and few no-ops. */
const SLOW_MS = 8_000;
const SLOW_NO_OPS = 3;

export interface HostLoad {
  files: number;
  units: number;
  /** 0 is a host without a stack. */
  services: number;
}

export interface Contest {
  stage: Stage;
  load: HostLoad;
  peers: readonly Peer[];
  rounds: number;
  /** In each round. */
  noOps: number;
  log(line: string): void;
  /** Milliseconds of one of them. */
  took(what: 'first' | 'noop', name: string, ms: readonly number[]): void;
  /** Called in each round, while all of fairlead's resources are in place. */
  floors?(): Promise<void>;
}

export async function holdContest({ stage, load, peers, rounds, noOps, log, took, floors }: Contest): Promise<void> {
  const ways = [fairlead(stage, load), ...peers.map((peer) => peerWay(stage, peer, load))];
  const slow = new Set<string>();
  for (let round = 1; round <= rounds; round++) {
    // The first tool changes, so that no tool always follows the same clean-up.
    for (const way of round % 2 === 1 ? ways : ways.toReversed()) {
      if (slow.has(way.name)) continue;
      log(`round ${round}: ${way.name}`);
      await rest(stage);
      const first = await way.first();
      took('first', way.name, [first]);
      if (first > SLOW_MS) slow.add(way.name);
      // A file that was just written cannot be distinguished from one that is being written, so the host has to rest first.
      await stage.host.exec(['sleep', '3']);
      await way.quiet(1);
      took('noop', way.name, await way.quiet(first > SLOW_MS ? SLOW_NO_OPS : noOps));
      if (way.name === OURS) await floors?.();
      await way.down();
    }
  }
}

const projectOf = (tool: string) => `bench-${tool.toLowerCase()}`;
export const containersOf = (tool: string, services: number): string[] =>
  Array.from({ length: services }, (_, i) => `${projectOf(tool)}-s${i}-1`);
const stackOf = (tool: string, services: number): string => {
  const all = Array.from({ length: services }, (_, i) => `  s${i}: {image: "${IMAGE}"}\n`);
  return `name: ${projectOf(tool)}\nservices:\n${all.join('')}`;
};

/** Path below the tool's own directory → content. @param issue another number makes each file another */
function partsOf(tool: string, load: HostLoad, issue: number): Record<string, string> {
  const below = (part: string, files: Record<string, string>) =>
    Object.entries(files).map(([name, text]) => [`${part}/${name}`, text]);
  return Object.fromEntries([
    ...below('files', payloadOf('files', load.files, tool, '', issue)),
    ...below('units', payloadOf('units', load.units, tool, '')),
    ...(load.services > 0 ? [['stack/compose.yaml', stackOf(tool, load.services)]] : []),
  ]);
}

const unitsOf = (tool: string, { units }: HostLoad): string[] => Object.keys(payloadOf('units', units, tool, ''));

function fairlead(stage: Stage, load: HostLoad): Way {
  const { lab, host } = stage;
  const base = 'hosts/edge-1';
  const units = unitsOf(OURS, load).map((u) => `  ${u}: {source: units/${u}, enabled: true, state: started}\n`);
  const manifest = `files: {/srv/bench/fairlead: {source: files}}\nunits:\n${units.join('')}`;
  let issue = 0;
  return {
    name: OURS,
    async first() {
      const parts = Object.entries(partsOf(OURS, load, issue++)).map(([name, text]) => [`${base}/${name}`, text]);
      await commitAll(lab, 'fleet', { ...ANCHOR, [`${base}/b.yaml`]: manifest, ...Object.fromEntries(parts) });
      return (await sync(stage)).applied;
    },
    quiet: (n) => quietSyncs(host, n),
    async down() {
      await commitAll(lab, 'fleet', ANCHOR);
      await fairleadJson(host, 'sync', '--allow-prune');
      await clear(stage, 'files', OURS);
    },
  };
}

function peerWay(stage: Stage, peer: Peer, load: HostLoad): Way {
  const { name } = peer;
  const dir = `${name}-whole`;
  const theirs: PeerLoad = {
    dir,
    files: `/srv/bench/${dir}`,
    units: unitsOf(name, load),
    ...(load.services > 0 ? { containers: containersOf(name, load.services) } : {}),
  };
  let issue = 0;
  return {
    name,
    async first() {
      await install(stage, peer, theirs);
      const parts = Object.entries(partsOf(name, load, issue++)).map(([part, text]) => [`${dir}/${part}`, text]);
      await commitAll(stage.lab, 'peers', Object.fromEntries(parts));
      return timed(stage, peer, theirs);
    },
    quiet: (n) => times(n, () => timed(stage, peer, theirs, ['quiet'])),
    async down() {
      const down = load.services > 0 ? `docker compose -p ${projectOf(name)} down -t 1 2>&1; ` : '';
      await stage.host.sh(`${down}rm -f /srv/policy/${dir}/applied`, { timeoutMs: 300_000 });
      await clear(stage, 'files', name);
      await clear(stage, 'units', name);
      await commitAll(stage.lab, 'peers', { README: 'peers\n' });
      await stage.host.exec(['git', '-C', '/srv/peers', 'pull', '-q', '--ff-only']);
    },
  };
}
