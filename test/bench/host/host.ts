/** Files and units on one host: first convergence, no-op, one change; beside a script, CFEngine and Puppet on the same host, and the floors. */
import { fairleadJson } from '../../lab/agent.ts';
import { startLab } from '../../lab/lab.ts';
import type { BenchRun } from '../report/runner.ts';
import { quietSyncs } from './feed.ts';
import { hashFloor, listFloor } from './floors.ts';
import {
  ANCHOR,
  clear,
  commitAll,
  install,
  type Kind,
  mountDisk,
  payloadOf,
  prepare,
  rest,
  type Stage,
  sync,
  timed,
  times,
  type Way,
} from './host-tools.ts';
import { choosePeers, type Peer, type PeerLoad, type PeerName } from './peers.ts';

const SIZE = { files: { full: 1_000, quick: 100 }, units: { full: 50, quick: 5 } };
/** Runs of each no-op and change, in each round. */
const REPEAT = { full: 5, quick: 3 };
/** The tools take turns, and the first one changes; a tool that takes longer than `SLOW_MS` for a first convergence has one. */
const ROUNDS = { full: 4, quick: 1 };
const SLOW_MS = 3_000;

interface Bench extends Stage {
  run: BenchRun<'host'>;
  peers: readonly Peer[];
  /** Content of the peers' repository. */
  shared: Map<string, string>;
}

interface ChangingWay extends Way {
  /** @param word new content of the changed file or unit */
  change(word: string): Promise<number>;
}

export async function hostBench(run: BenchRun<'host'>): Promise<void> {
  const { log } = run;
  const lab = await startLab({ name: 'bench-host', hosts: [{ name: 'edge-1' }], log });
  let unmount = async () => {};
  try {
    const host = lab.host('edge-1');
    unmount = await mountDisk(host);
    const { ready, absent } = await prepare({ lab, host }, choosePeers({ ...run, hasSlowPeers: false }), log);
    for (const [name, why] of absent)
      if (name !== 'ansible-pull')
        for (const kind of ['files', 'units'] as const)
          run.leaveOut([`${kind}.first.${name}`, `${kind}.noop.${name}`, `${kind}.change.${name}`], why);
    log(
      'in place: when its last action is durable, as the peers end; its run goes on to look at all again and to record it',
    );
    const bench: Bench = { lab, host, run, peers: ready, shared: new Map([['README', 'peers\n']]) };
    for (const kind of ['files', 'units'] as const) await compare(bench, kind);
  } finally {
    await lab.stop();
    await unmount();
  }
}

type Tool = Exclude<PeerName, 'ansible-pull'> | 'fairlead';

async function compare(bench: Bench, kind: Kind): Promise<void> {
  const { host, run } = bench;
  const n = run.isQuick ? SIZE[kind].quick : SIZE[kind].full;
  const repeat = run.isQuick ? REPEAT.quick : REPEAT.full;
  const ways = [fairlead(bench, kind, n), ...bench.peers.map((peer) => peerWay(bench, peer, kind, n))];
  const slow = new Set<string>();
  for (let round = 1; round <= (run.isQuick ? ROUNDS.quick : ROUNDS.full); round++) {
    for (const way of round % 2 === 1 ? ways : ways.toReversed()) {
      if (slow.has(way.name)) continue;
      run.log(`${n} ${kind}, round ${round}: ${way.name}`);
      const name = way.name as Tool;
      await rest(bench);
      const first = await way.first();
      run.record(`${kind}.first.${name}`, [first]);
      if (first > SLOW_MS) slow.add(name);
      // A file that was just written cannot be distinguished from one that is being written, so the host has to rest first.
      await host.exec(['sleep', '3']);
      await way.quiet(1);
      const repeats = slow.has(name) ? 1 : repeat;
      run.record(`${kind}.noop.${name}`, await way.quiet(repeats));
      run.record(`${kind}.change.${name}`, await times(repeats, (i) => way.change(`change-${round}-${i}`)));
      await way.down();
    }
    const floor = await (kind === 'files' ? hashFloor : listFloor)(bench, n, repeat);
    run.record(`${kind}.noop.floor`, [floor.value]);
    await clear(bench, 'files', 'floor');
  }
}

/**
 * By the daemon, as a push or a schedule would start it. A change takes from the request to the end of the run, settling
 * included; a first convergence to its last action.
 */
function fairlead(bench: Bench, kind: Kind, n: number): ChangingWay {
  const { lab, host } = bench;
  const base = 'hosts/edge-1';
  const whole = async () => (await sync(bench)).ms;
  const manifest = (names: string[]) =>
    kind === 'files'
      ? `files: {/srv/bench/fairlead-${n}: {source: payload}}\n`
      : `units:\n${names.map((name) => `  ${name}: {source: payload/${name}, enabled: true, state: started}\n`).join('')}`;
  let issue = 0;
  const commit = (word: string) => {
    const payload = payloadOf(kind, n, 'fairlead', word, issue);
    const files = Object.entries(payload).map(([name, text]) => [`${base}/payload/${name}`, text]);
    const all = { ...ANCHOR, [`${base}/b.yaml`]: manifest(Object.keys(payload)), ...Object.fromEntries(files) };
    return commitAll(lab, 'fleet', all);
  };
  const change = async (word: string) => {
    await commit(word);
    return whole();
  };
  return {
    name: 'fairlead',
    async first() {
      issue++;
      await commit('one');
      const { ms, applied } = await sync(bench);
      bench.run.record(`${kind}.recorded`, [ms]);
      return applied;
    },
    quiet: (n) => quietSyncs(host, n),
    change,
    async down() {
      await commitAll(lab, 'fleet', ANCHOR);
      await fairleadJson(host, 'sync', '--allow-prune');
      await clear(bench, kind, 'fairlead');
    },
  };
}

function peerWay(bench: Bench, peer: Peer, kind: Kind, n: number): ChangingWay {
  const dir = `${peer.name}-${kind}-${n}`;
  const names = Object.keys(payloadOf(kind, n, peer.name, ''));
  const load: PeerLoad = { dir, ...(kind === 'units' ? { units: names } : { files: `/srv/bench/${dir}` }) };
  let issue = 0;
  const change = async (word: string) => {
    for (const [name, text] of Object.entries(payloadOf(kind, n, peer.name, word, issue)))
      bench.shared.set(`${dir}/${kind}/${name}`, text);
    await commitAll(bench.lab, 'peers', Object.fromEntries(bench.shared));
    return timed(bench, peer, load);
  };
  return {
    name: peer.name,
    async first() {
      await install(bench, peer, load);
      issue++;
      return change('one');
    },
    quiet: (n) => times(n, () => timed(bench, peer, load, ['quiet'])),
    change,
    async down() {
      await clear(bench, kind, peer.name);
      // Its clone lacks the files, too: the next first convergence pulls them again, as fairlead's does.
      for (const name of bench.shared.keys()) if (name.startsWith(`${dir}/`)) bench.shared.delete(name);
      await commitAll(bench.lab, 'peers', Object.fromEntries(bench.shared));
      await bench.host.exec(['git', '-C', '/srv/peers', 'pull', '-q', '--ff-only']);
    },
  };
}
