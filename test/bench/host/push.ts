/** A commit and its push notice → its change is applied and reported; beside `docker compose up -d` for a service. */
import { connectAsync, type MqttClient } from 'mqtt';
import type { StatusDocument } from '../../../manifests-schema/payloads.ts';
import type { FleetRepo, Lab, LabHost } from '../../lab/lab.ts';
import type { BenchRun } from '../report/runner.ts';
import { composeUp, THEIRS } from './services.ts';

const FILES = { full: 100, quick: 10 };
const SERVICES = { full: 7, quick: 3 };
const PATIENCE_MS = 60_000;

interface Bench {
  lab: Lab;
  host: LabHost;
  repo: FleetRepo;
  run: BenchRun<'agent'>;
  /** The stack `bench`, ten services, with this image for `s3`. */
  compose(image: string): string;
}

export async function measurePush(bench: Bench): Promise<void> {
  const client = await connectAsync(`mqtt://${await bench.lab.infra.address()}:1883`);
  try {
    const push = await pusher(client);
    await files(bench, push);
    await services(bench, push);
  } finally {
    await client.endAsync();
  }
}

/**
 * Publishes a commit to the hosts.
 * @returns when it was published, and when its host reported it; milliseconds of this machine's clock
 */
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

async function files({ host, repo, run }: Bench, push: Push): Promise<void> {
  for (let i = 0; i < (run.isQuick ? FILES.quick : FILES.full); i++) {
    const commit = await repo.commit({ 'hosts/edge-1/tree/d0/f0': `pushed ${i}\n` }, `Push ${i}`);
    const { told, reported } = await push(commit);
    run.record('push.file', [reported - told]);
    const there = (await host.exec(['cat', '/srv/bench/d0/f0'])).stdout;
    if (there !== `pushed ${i}\n`) throw new Error(`commit ${commit} was reported, and the file says ${there}`);
  }
}

async function services({ host, repo, run, compose }: Bench, push: Push): Promise<void> {
  for (const image of ['app:1', 'app:2']) await host.exec(['docker', 'pull', '-q', `infra:5000/${image}`]);
  await host.write(`${THEIRS}/compose.yaml`, compose('app:1'));
  await composeUp(host);
  for (let i = 0; i < (run.isQuick ? SERVICES.quick : SERVICES.full); i++) {
    const yaml = compose(i % 2 === 0 ? 'app:2' : 'app:1');
    await host.write(`${THEIRS}/compose.yaml`, yaml);
    run.record('push.service.compose', [await composeUp(host)]);
    const { told } = await push(await repo.commit({ 'hosts/edge-1/bench/compose.yaml': yaml }, `Image ${i}`));
    run.record('push.service.fairlead', [(await startedAt(host, told)) - told]);
  }
}

/** When `s3` of the stack `bench` was started since then, by the Docker engine's events. */
async function startedAt(host: LabHost, since: number): Promise<number> {
  const filters = ['event=start', 'label=com.docker.compose.project=bench', 'label=com.docker.compose.service=s3'];
  const { stdout } = await host.exec([
    ...['docker', 'events', '--since', String(since / 1000), '--until', String(Date.now() / 1000)],
    ...[...filters.flatMap((f) => ['--filter', f]), '--format', '{{.TimeNano}}'],
  ]);
  return Number(stdout.trim().split('\n').at(-1)) / 1e6;
}
