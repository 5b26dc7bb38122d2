/** A whole host at once: files, units and services; beside a script, CFEngine and Puppet on the same host, and the sum of the floors. */
import { fairleadJson } from '../lab/agent.ts';
import { startLab } from '../lab/lab.ts';
import { quietSyncs } from './feed.ts';
import {
  ANCHOR,
  clear,
  commitAll,
  hashFloor,
  inspectFloor,
  install,
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

const FILES = 1_000;
const UNITS = 50;
const SERVICES = 10;
const REPEAT = 11;
const IMAGE = 'infra:5000/app:1';

/** First convergences, in turns; slow tools have one. */
const ROUNDS = 3;
const SLOW_MS = 8_000;
const OURS = 'fairlead';

export async function togetherBench(): Promise<void> {
  const log = (line: string) => console.log(`   ${line}`);
  const lab = await startLab({ name: 'bench-together', hosts: [{ name: 'edge-1' }], log });
  let unmount = async () => {};
  try {
    const stage: Stage = { lab, host: lab.host('edge-1') };
    unmount = await mountDisk(stage.host);
    await prepare(stage, log);
    await stage.host.exec(['docker', 'pull', '-q', IMAGE]);
    log(
      'the peers have no promise for services: they run `docker compose up -d`; the script asks `docker inspect` first',
    );
    log('first convergence of fairlead: from the request to the last action; all bring their repository up to date');
    const ways = [fairlead(stage), ...PEERS.map((peer) => peerWay(stage, peer))];
    const firsts = new Map(ways.map((way): [string, number[]] => [way.name, []]));
    const quiet = new Map<string, number>();
    let floor = { name: '', value: 0 };
    for (let round = 1; round <= ROUNDS; round++) {
      for (const way of round % 2 === 1 ? ways : ways.toReversed()) {
        const known = firsts.get(way.name) ?? [];
        if (known.some((ms) => ms > SLOW_MS)) continue;
        log(`round ${round}: ${way.name}`);
        await rest(stage);
        const first = await way.first();
        known.push(first);
        if (!quiet.has(way.name)) {
          // What was just written is not told from what is being written: a host at rest is one that has rested.
          await stage.host.exec(['sleep', '3']);
          await way.quiet(1);
          quiet.set(way.name, median(await way.quiet(first > SLOW_MS ? 3 : REPEAT)));
          if (way.name === OURS) floor = await floorsOf(stage);
        }
        await way.down();
      }
    }
    const mine = { first: median(firsts.get(OURS) ?? []), quiet: quiet.get(OURS) ?? Number.NaN };
    log(
      `all together: ${FILES} files, ${UNITS} units, ${SERVICES} services; first convergence: the median of ${ROUNDS}`,
    );
    print([
      { what: 'no-op', value: mine.quiet, unit: 'ms', against: floor },
      ...PEERS.flatMap(({ name }): Row[] => [
        { what: 'no-op', value: mine.quiet, unit: 'ms', against: { name, value: quiet.get(name) ?? Number.NaN } },
        {
          what: 'first convergence',
          value: mine.first,
          unit: 'ms',
          against: { name, value: median(firsts.get(name) ?? []) },
        },
      ]),
    ]);
  } finally {
    await lab.stop();
    await unmount();
  }
}

const projectOf = (tool: string) => `bench-${tool.toLowerCase()}`;
const containersOf = (tool: string) => Array.from({ length: SERVICES }, (_, i) => `${projectOf(tool)}-s${i}-1`);
const stackOf = (tool: string) =>
  `name: ${projectOf(tool)}\nservices:\n${Array.from({ length: SERVICES }, (_, i) => `  s${i}: {image: "${IMAGE}"}\n`).join('')}`;

/** Path below the tool's own directory → content. @param issue another one makes each file another */
function partsOf(tool: string, issue: number): Record<string, string> {
  const below = (part: string, files: Record<string, string>) =>
    Object.entries(files).map(([name, text]) => [`${part}/${name}`, text]);
  return Object.fromEntries([
    ...below('files', payloadOf('files', FILES, tool, '', issue)),
    ...below('units', payloadOf('units', UNITS, tool, '')),
    ['stack/compose.yaml', stackOf(tool)],
  ]);
}

const unitsOf = (tool: string) => Object.keys(payloadOf('units', UNITS, tool, ''));

function fairlead(stage: Stage): Way {
  const { lab, host } = stage;
  const base = 'hosts/edge-1';
  const units = unitsOf(OURS).map((u) => `  ${u}: {source: units/${u}, enabled: true, state: started}\n`);
  const manifest = `files: {/srv/bench/fairlead: {source: files}}\nunits:\n${units.join('')}`;
  let issue = 0;
  return {
    name: OURS,
    async first() {
      const parts = Object.entries(partsOf(OURS, issue++)).map(([name, text]) => [`${base}/${name}`, text]);
      await commitAll(lab, 'fleet', { ...ANCHOR, [`${base}/b.yaml`]: manifest, ...Object.fromEntries(parts) });
      return (await sync(stage)).applied;
    },
    quiet: (times) => quietSyncs(host, times),
    async down() {
      await commitAll(lab, 'fleet', ANCHOR);
      await fairleadJson(host, 'sync', '--allow-prune');
      await clear(stage, 'files', OURS);
    },
  };
}

async function floorsOf(stage: Stage): Promise<{ name: string; value: number }> {
  const floors = [
    await hashFloor(stage, FILES, REPEAT),
    await listFloor(stage, UNITS, REPEAT),
    await inspectFloor(stage, containersOf(OURS), REPEAT),
  ];
  const each = floors.map(({ value }) => value.toFixed(1)).join(' + ');
  return { name: `floors (${each})`, value: floors.reduce((sum, { value }) => sum + value, 0) };
}

function peerWay(stage: Stage, peer: Peer): Way {
  const { name } = peer;
  const dir = `${name}-together`;
  const load: PeerLoad = { dir, files: `/srv/bench/${dir}`, units: unitsOf(name), containers: containersOf(name) };
  let issue = 0;
  return {
    name,
    async first() {
      await install(stage, peer, load);
      const parts = Object.entries(partsOf(name, issue++)).map(([part, text]) => [`${dir}/${part}`, text]);
      await commitAll(stage.lab, 'peers', Object.fromEntries(parts));
      return timed(stage, peer, load);
    },
    quiet: (n) => times(n, () => timed(stage, peer, load, ['quiet'])),
    async down() {
      await stage.host.sh(`docker compose -p ${projectOf(name)} down -t 1 2>&1; rm -f /srv/policy/${dir}/applied`, {
        timeoutMs: 300_000,
      });
      await clear(stage, 'files', name);
      await clear(stage, 'units', name);
      await commitAll(stage.lab, 'peers', { README: 'peers\n' });
      await stage.host.exec(['git', '-C', '/srv/peers', 'pull', '-q', '--ff-only']);
    },
  };
}
