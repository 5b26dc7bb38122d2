/** Files and units on one host: first convergence, no-op, one change; beside a script, CFEngine and Puppet on the same host, and the floors. */
import { fairleadJson } from '../lab/agent.ts';
import { startLab } from '../lab/lab.ts';
import { quietSyncs } from './feed.ts';
import {
  ANCHOR,
  clear,
  commitAll,
  hashFloor,
  install,
  type Kind,
  listFloor,
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
  /** What lies in the peers' repository. */
  shared: Map<string, string>;
}

interface ChangingWay extends Way {
  /** @param word that the changed file or unit says then */
  change(word: string): Promise<number>;
}

/** First convergences, each tool's in turns with the others': those of slow ones are one. */
const ROUNDS = 3;
const SLOW_MS = 3_000;

export async function hostBench(options = process.env.FAIRLEAD_BENCH_FULL ? FULL : SHORT): Promise<void> {
  const log = (line: string) => console.log(`   ${line}`);
  const lab = await startLab({ name: 'bench-host', hosts: [{ name: 'edge-1' }], log });
  let unmount = async () => {};
  try {
    const host = lab.host('edge-1');
    unmount = await mountDisk(host);
    const bench: Bench = { lab, host, options, shared: new Map([['README', 'peers\n']]) };
    await prepare(bench, log);
    log(`first convergence: of ${ROUNDS + 1} in turns the median; fairlead by a daemon that runs already`);
    log(
      'in place: when its last action is durable, as the peers end; its run goes on to look at all again and to record it',
    );
    for (const n of options.files) print(await compare(bench, 'files', n, log));
    for (const n of options.units) print(await compare(bench, 'units', n, log));
  } finally {
    await lab.stop();
    await unmount();
  }
}

async function compare(bench: Bench, kind: Kind, n: number, log: (line: string) => void): Promise<Row[]> {
  const placed: number[] = [];
  const ours = fairlead(bench, kind, n, placed);
  const ways = [ours, ...PEERS.map((peer) => peerWay(bench, peer, kind, n))];
  const firsts = new Map(ways.map((way): [string, number[]] => [way.name, []]));
  for (let round = 0; round < ROUNDS; round++) {
    log(`${n} ${kind}: first convergence, round ${round + 1}`);
    for (const way of round % 2 === 0 ? ways : ways.toReversed()) {
      const known = firsts.get(way.name) ?? [];
      if (known.some((ms) => ms > SLOW_MS)) continue;
      await rest(bench);
      known.push(await way.first());
      await way.down();
    }
  }
  const figures = new Map<string, Figures>();
  for (const way of ways) {
    log(`${n} ${kind}: ${way.name}`);
    figures.set(way.name, await figuresOf(way, firsts.get(way.name) ?? [], bench));
    await way.down();
  }
  const floor = await (kind === 'files' ? hashFloor : listFloor)(bench, n, bench.options.repeat);
  const mine = figures.get(ours.name);
  const rows: Row[] = [];
  for (const [name, theirs] of figures) {
    if (mine === undefined || theirs === mine) continue;
    const against = { name, value: theirs.first };
    rows.push({ what: `${n} ${kind}, first, in place`, value: median(placed), unit: 'ms', against });
    for (const phase of ['first', 'quiet', 'change'] as const) {
      const what = { first: 'first convergence', quiet: 'no-op', change: `one changed of ${n}` }[phase];
      rows.push({
        what: `${n} ${kind}, ${what}`,
        value: mine[phase],
        unit: 'ms',
        against: { name, value: theirs[phase] },
      });
    }
  }
  if (mine) rows.push({ what: `${n} ${kind}, no-op`, value: mine.quiet, unit: 'ms', against: floor });
  return rows;
}

async function figuresOf(way: ChangingWay, firsts: readonly number[], bench: Bench): Promise<Figures> {
  const { host, options } = bench;
  await rest(bench);
  const first = await way.first();
  // What was just written is not told from what is being written: a host at rest is one that has rested.
  await host.exec(['sleep', '3']);
  await way.quiet(1);
  const repeat = first > SLOW_MS ? 1 : options.repeat;
  const quiet = await way.quiet(repeat);
  const change = await times(repeat, (i) => way.change(`change-${i}`));
  return { first: median([...firsts, first]), quiet: median(quiet), change: median(change) };
}

/**
 * From the request to the end of the run, settling included, by the daemon that a push or a schedule would wake.
 * @param placed gets how long each first convergence took to its last action
 */
function fairlead(bench: Bench, kind: Kind, n: number, placed: number[]): ChangingWay {
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
      placed.push(applied);
      return ms;
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
      // Its clone is without them, too: the next first convergence pulls them again, as ours does.
      for (const name of bench.shared.keys()) if (name.startsWith(`${dir}/`)) bench.shared.delete(name);
      await commitAll(bench.lab, 'peers', Object.fromEntries(bench.shared));
      await bench.host.exec(['git', '-C', '/srv/peers', 'pull', '-q', '--ff-only']);
    },
  };
}
