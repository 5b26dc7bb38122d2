/** A commit and its push notice → what it changed is in place and reported; beside `docker compose up -d` for a service. */
import { connectAsync, type MqttClient } from 'mqtt';
import type { StatusDocument } from '../../manifests-schema/payloads.ts';
import type { FleetRepo, Lab, LabHost } from '../lab/lab.ts';
import { composeUp, THEIRS } from './services.ts';
import { median, percentile, type Row } from './table.ts';

const FILES = 50;
const SERVICES = 7;
const PATIENCE_MS = 60_000;

interface Bench {
  lab: Lab;
  host: LabHost;
  repo: FleetRepo;
}

/** @param compose the stack `bench`, ten services, with this image for `s3` */
export async function pushRows(bench: Bench, compose: (image: string) => string): Promise<Row[]> {
  const client = await connectAsync(`mqtt://${await bench.lab.infra.address()}:1883`);
  try {
    const push = await pusher(client);
    return [...(await files(bench, push)), ...(await services(bench, push, compose))];
  } finally {
    await client.endAsync();
  }
}

/** Tells the hosts of a commit. @returns when it was told, and when its host said that it has it; milliseconds of this machine's clock */
type Push = (commit: string) => Promise<{ told: number; reported: number }>;

async function pusher(client: MqttClient): Promise<Push> {
  let heard: (status: StatusDocument) => void = () => undefined;
  client.on('message', (_topic, payload) => heard(JSON.parse(payload.toString()) as StatusDocument));
  await client.subscribeAsync('fairlead/default/hosts/edge-1/status');
  return (commit) =>
    new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`nothing was heard of ${commit}`)), PATIENCE_MS);
      const told = Date.now();
      heard = ({ sync, applied }) => {
        if (sync !== 'synced' || applied?.commit !== commit) return;
        clearTimeout(late);
        resolve({ told, reported: Date.now() });
      };
      client.publish('fairlead/default/refs/main', commit, { qos: 1, retain: true });
    });
}

async function files({ host, repo }: Bench, push: Push): Promise<Row[]> {
  const took: number[] = [];
  for (let i = 0; i < FILES; i++) {
    const commit = await repo.commit({ 'hosts/edge-1/tree/d0/f0': `pushed ${i}\n` }, `Push ${i}`);
    const { told, reported } = await push(commit);
    took.push(reported - told);
    const there = (await host.exec(['cat', '/srv/bench/d0/f0'])).stdout;
    if (there !== `pushed ${i}\n`) throw new Error(`commit ${commit} was reported, and the file says ${there}`);
  }
  const what = 'push notice → changed file in place and reported';
  return [
    { what: `${what}, median of ${FILES}`, value: median(took), unit: 'ms' },
    { what: `${what}, p99`, value: percentile(took, 0.99), unit: 'ms' },
  ];
}

async function services({ host, repo }: Bench, push: Push, compose: (image: string) => string): Promise<Row[]> {
  for (const image of ['app:1', 'app:2']) await host.exec(['docker', 'pull', '-q', `infra:5000/${image}`]);
  const theirs: number[] = [];
  const ours: number[] = [];
  await host.write(`${THEIRS}/compose.yaml`, compose('app:1'));
  await composeUp(host);
  for (let i = 0; i < SERVICES; i++) {
    const yaml = compose(i % 2 === 0 ? 'app:2' : 'app:1');
    await host.write(`${THEIRS}/compose.yaml`, yaml);
    theirs.push(await composeUp(host));
    const { told } = await push(await repo.commit({ 'hosts/edge-1/bench/compose.yaml': yaml }, `Image ${i}`));
    ours.push((await startedAt(host, told)) - told);
  }
  const what = 'push notice → one service of ten made anew and running';
  return [
    {
      what: `${what}, median of ${SERVICES}`,
      value: median(ours),
      unit: 'ms',
      against: { name: 'docker compose up -d', value: median(theirs) },
    },
    { what: `${what}, the slowest`, value: Math.max(...ours), unit: 'ms' },
  ];
}

/** When `s3` of the stack `bench` was started since then, by the engine's own word. */
async function startedAt(host: LabHost, since: number): Promise<number> {
  const filters = ['event=start', 'label=com.docker.compose.project=bench', 'label=com.docker.compose.service=s3'];
  const { stdout } = await host.exec([
    ...['docker', 'events', '--since', String(since / 1000), '--until', String(Date.now() / 1000)],
    ...[...filters.flatMap((f) => ['--filter', f]), '--format', '{{.TimeNano}}'],
  ]);
  return Number(stdout.trim().split('\n').at(-1)) / 1e6;
}
