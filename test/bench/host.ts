/** Files and units on one host: first convergence, no-op, one change; beside a script, CFEngine and Puppet on the same host, and the floors. */
import { fairleadJson } from '../lab/agent.ts';
import { startLab } from '../lab/lab.ts';
import {
  ANCHOR,
  clear,
  commitAll,
  hashFloor,
  install,
  type Kind,
  listFloor,
  payloadOf,
  prepare,
  type Stage,
  sync,
  timed,
  times,
} from './host-tools.ts';
import { PEERS, type Peer, type PeerLoad } from './peers.ts';
import { median, print, type Row } from './table.ts';

export interface HostBenchOptions {
  /** Numbers of files and of units to try. */
  files: readonly number[];
  units: readonly number[];
  /** Runs of each no-op and change; slow peers get fewer. */
  repeat: number;
}

/** A few minutes; `FULL` takes a quarter of an hour. */
const SHORT: HostBenchOptions = { files: [10, 1000], units: [1, 50], repeat: 5 };
const FULL: HostBenchOptions = { files: [10, 100, 1000], units: [1, 10, 50], repeat: 9 };

interface Figures {
  first: number;
  quiet: number;
  change: number;
}

interface Bench extends Stage {
  options: HostBenchOptions;
}

export async function hostBench(options = process.env.FAIRLEAD_BENCH_FULL ? FULL : SHORT): Promise<void> {
  const log = (line: string) => console.log(`   ${line}`);
  const lab = await startLab({ name: 'bench-host', hosts: [{ name: 'edge-1' }], log });
  try {
    const host = lab.host('edge-1');
    const bench: Bench = { lab, host, options };
    await prepare(bench, log);
    for (const n of options.files) print(await compare(bench, 'files', n, log));
    for (const n of options.units) print(await compare(bench, 'units', n, log));
  } finally {
    await lab.stop();
  }
}

async function compare(bench: Bench, kind: Kind, n: number, log: (line: string) => void): Promise<Row[]> {
  log(`${n} ${kind}: fairlead`);
  const ours = await fairleadFigures(bench, kind, n);
  const floor =
    kind === 'files'
      ? await hashFloor(bench, n, bench.options.repeat)
      : await listFloor(bench, n, bench.options.repeat);
  await clear(bench, kind, 'fairlead');
  const rows: Row[] = [];
  const add = (name: string, figures: Figures) => {
    for (const phase of ['first', 'quiet', 'change'] as const) {
      const what = { first: 'first convergence', quiet: 'no-op', change: `one changed of ${n}` }[phase];
      rows.push({
        what: `${n} ${kind}, ${what}`,
        value: ours[phase],
        unit: 'ms',
        against: { name, value: figures[phase] },
      });
    }
  };
  for (const peer of PEERS) {
    log(`${n} ${kind}: ${peer.name}`);
    add(peer.name, await peerFigures(bench, peer, kind, n));
    await clear(bench, kind, peer.name);
  }
  rows.push({ what: `${n} ${kind}, no-op`, value: ours.quiet, unit: 'ms', against: floor });
  return rows;
}

/** From the request to the end of the run, settling included, by the daemon that a push or a schedule would wake. */
async function fairleadFigures(bench: Bench, kind: Kind, n: number): Promise<Figures> {
  const { lab, host, options } = bench;
  const base = 'hosts/edge-1';
  const whole = async () => (await sync(bench)).ms;
  const manifest = (names: string[]) =>
    kind === 'files'
      ? `files: {/srv/bench/fairlead-${n}: {source: payload}}\n`
      : `units:\n${names.map((name) => `  ${name}: {source: payload/${name}, enabled: true, state: started}\n`).join('')}`;
  const commit = (word: string) => {
    const payload = payloadOf(kind, n, 'fairlead', word);
    const files = Object.entries(payload).map(([name, text]) => [`${base}/payload/${name}`, text]);
    const all = { ...ANCHOR, [`${base}/b.yaml`]: manifest(Object.keys(payload)), ...Object.fromEntries(files) };
    return commitAll(lab, 'fleet', all);
  };
  await commit('one');
  const first = await whole();
  // What was just written is not told from what is being written: a host at rest is one that has rested.
  await host.exec(['sleep', '3']);
  await whole();
  const quiet = await times(options.repeat, whole);
  const change = await times(options.repeat, async (i) => {
    await commit(`change-${i}`);
    return whole();
  });
  await commitAll(lab, 'fleet', ANCHOR);
  await fairleadJson(host, 'sync', '--allow-prune');
  return { first, quiet: median(quiet), change: median(change) };
}

async function peerFigures(bench: Bench, peer: Peer, kind: Kind, n: number): Promise<Figures> {
  const dir = `${peer.name}-${kind}-${n}`;
  const names = Object.keys(payloadOf(kind, n, peer.name, ''));
  const load: PeerLoad = { dir, ...(kind === 'units' ? { units: names } : { files: `/srv/bench/${dir}` }) };
  const commit = (word: string) => {
    const payload = Object.entries(payloadOf(kind, n, peer.name, word));
    return commitAll(
      bench.lab,
      'peers',
      Object.fromEntries(payload.map(([name, text]) => [`${dir}/${kind}/${name}`, text])),
    );
  };
  await install(bench, peer, load);
  await commit('one');
  const first = await timed(bench, peer, load);
  const repeat = first > 3_000 ? 1 : bench.options.repeat;
  const quiet = await times(repeat, () => timed(bench, peer, load, ['quiet']));
  const change = await times(repeat, async (i) => {
    await commit(`change-${i}`);
    return timed(bench, peer, load);
  });
  return { first, quiet: median(quiet), change: median(change) };
}
