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
  type Stage,
  sync,
  timed,
  times,
} from './host-tools.ts';
import { PEERS, type Peer, type PeerLoad } from './peers.ts';
import { median, print } from './table.ts';

const FILES = 1_000;
const UNITS = 50;
const SERVICES = 10;
const REPEAT = 11;
const IMAGE = 'infra:5000/app:1';

interface Figures {
  first: number;
  quiet: number;
}

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
    log('fairlead');
    const { figures, floor } = await fairleadFigures(stage);
    log(`all together: ${FILES} files, ${UNITS} units, ${SERVICES} services`);
    print([{ what: 'no-op', value: figures.quiet, unit: 'ms', against: floor }]);
    for (const peer of PEERS) {
      log(peer.name);
      const { first, quiet } = await peerFigures(stage, peer);
      print([
        { what: 'no-op', value: figures.quiet, unit: 'ms', against: { name: peer.name, value: quiet } },
        { what: 'first convergence', value: figures.first, unit: 'ms', against: { name: peer.name, value: first } },
      ]);
    }
  } finally {
    await lab.stop();
    await unmount();
  }
}

const projectOf = (tool: string) => `bench-${tool.toLowerCase()}`;
const containersOf = (tool: string) => Array.from({ length: SERVICES }, (_, i) => `${projectOf(tool)}-s${i}-1`);
const stackOf = (tool: string) =>
  `name: ${projectOf(tool)}\nservices:\n${Array.from({ length: SERVICES }, (_, i) => `  s${i}: {image: "${IMAGE}"}\n`).join('')}`;

/** Path below the tool's own directory → content. */
function partsOf(tool: string): Record<string, string> {
  const below = (part: string, files: Record<string, string>) =>
    Object.entries(files).map(([name, text]) => [`${part}/${name}`, text]);
  return Object.fromEntries([
    ...below('files', payloadOf('files', FILES, tool, '')),
    ...below('units', payloadOf('units', UNITS, tool, '')),
    ['stack/compose.yaml', stackOf(tool)],
  ]);
}

const unitsOf = (tool: string) => Object.keys(payloadOf('units', UNITS, tool, ''));

async function fairleadFigures(stage: Stage): Promise<{ figures: Figures; floor: { name: string; value: number } }> {
  const { lab, host } = stage;
  const base = 'hosts/edge-1';
  const parts = Object.entries(partsOf('fairlead')).map(([name, text]) => [`${base}/${name}`, text]);
  const units = unitsOf('fairlead').map((u) => `  ${u}: {source: units/${u}, enabled: true, state: started}\n`);
  const manifest = `files: {/srv/bench/fairlead: {source: files}}\nunits:\n${units.join('')}`;
  await commitAll(lab, 'fleet', { ...ANCHOR, [`${base}/b.yaml`]: manifest, ...Object.fromEntries(parts) });
  const { applied: first } = await sync(stage);
  // What was just written is not told from what is being written: a host at rest is one that has rested.
  await host.exec(['sleep', '3']);
  await sync(stage);
  const quiet = await quietSyncs(host, REPEAT);
  const floors = [
    await hashFloor(stage, FILES, REPEAT),
    await listFloor(stage, UNITS, REPEAT),
    await inspectFloor(stage, containersOf('fairlead'), REPEAT),
  ];
  await commitAll(lab, 'fleet', ANCHOR);
  await fairleadJson(host, 'sync', '--allow-prune');
  await clear(stage, 'files', 'fairlead');
  const each = floors.map(({ value }) => value.toFixed(1)).join(' + ');
  const floor = { name: `floors (${each})`, value: floors.reduce((sum, { value }) => sum + value, 0) };
  return { figures: { first, quiet: median(quiet) }, floor };
}

async function peerFigures(stage: Stage, peer: Peer): Promise<Figures> {
  const { name: tool } = peer;
  const dir = `${tool}-together`;
  const load: PeerLoad = {
    dir,
    files: `/srv/bench/${dir}`,
    units: unitsOf(tool),
    containers: containersOf(tool),
  };
  await install(stage, peer, load);
  const parts = Object.entries(partsOf(tool)).map(([name, text]) => [`${dir}/${name}`, text]);
  await commitAll(stage.lab, 'peers', Object.fromEntries(parts));
  const first = await timed(stage, peer, load);
  const quiet = await times(first > 3_000 ? 3 : REPEAT, () => timed(stage, peer, load, ['quiet']));
  await stage.host.sh(`docker compose -p ${projectOf(tool)} down -t 1 2>&1`, { timeoutMs: 300_000 });
  await clear(stage, 'files', tool);
  await clear(stage, 'units', tool);
  return { first, quiet: median(quiet) };
}
