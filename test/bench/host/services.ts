/** Services beside `docker compose up -d`: the same stack, on the same host, one after the other. */
import { fairlead, installAgent, statusWhere } from '../../lab/agent.ts';
import { type FleetRepo, type LabHost, startLab } from '../../lab/lab.ts';
import type { BenchRun } from '../report/runner.ts';
import { lastAction, quietSyncs, sync } from './feed.ts';
import { times } from './host-tools.ts';

const ROUNDS = { full: 5, quick: 1 };
const NO_OPS = { full: 7, quick: 3 };
const MANY = { full: 100, quick: 20 };

export async function servicesBench({ isQuick, log, record }: BenchRun<'services'>): Promise<void> {
  const size = (one: { full: number; quick: number }) => (isQuick ? one.quick : one.full);
  const lab = await startLab({ name: 'bench-services', hosts: [{ name: 'edge-1' }], log });
  try {
    const host = lab.host('edge-1');
    const repo = await lab.infra.createRepo('fleet');
    // It stays while stacks are added and removed: a host that declares nothing removes nothing.
    await repo.commit({ 'hosts/edge-1/a.yaml': 'files: {/etc/bench: {content: x}}\n' }, 'Begin');
    await installAgent(host, { repoUrl: repo.httpUrl });
    await statusWhere(lab.infra, 'edge-1', 'synced', (s) => s.sync === 'synced');
    for (const image of ['app:1', 'app:2']) await host.exec(['docker', 'pull', '-q', `infra:5000/${image}`]);
    const bench = { host, repo };

    log('fairlead: from the request to the last action, the pull of the commit included; a no-op to its end');
    for (let round = 0; round < size(ROUNDS); round++) {
      // The first tool changes, so that neither always finds the caches warm. One is removed before the other is installed: a
      // host has its services from one of the two, and the Docker engine's answers grow with everything that it runs.
      for (const way of round % 2 === 0 ? [theirs, ours] : [ours, theirs]) {
        record(`first.${way.name}`, [await way.up(bench, stack(10))]);
        record(`one.${way.name}`, [await way.up(bench, stack(10, 'app:2'))]);
        record(`noop-10.${way.name}`, await way.again(bench, size(NO_OPS)));
        await way.down(bench);
      }
    }
    for (const way of [theirs, ours]) {
      await way.up(bench, stack(size(MANY)));
      // A host at rest: the Docker engine's data about a young container changes each second.
      if (!isQuick) await host.exec(['sleep', '61']);
      record(`noop-100.${way.name}`, await way.again(bench, size(NO_OPS)));
      await way.down(bench);
    }
  } finally {
    await lab.stop();
  }
}

interface Bench {
  host: LabHost;
  repo: FleetRepo;
}
interface Way {
  name: 'fairlead' | 'compose';
  /** Milliseconds. */
  up(bench: Bench, compose: string): Promise<number>;
  again(bench: Bench, times: number): Promise<number[]>;
  down(bench: Bench): Promise<void>;
}

/** @param third image of the service whose image changes */
const stack = (services: number, third = 'app:1'): string =>
  `services:\n${Array.from({ length: services }, (_, i) => `  s${i}: {image: "infra:5000/${i === 3 ? third : 'app:1'}"}\n`).join('')}`;

export const THEIRS = '/opt/theirs';
/** Timed on the host, without the way there. */
export const composeUp = async (host: LabHost): Promise<number> => {
  const timed = `b=$(date +%s%N); docker compose up -d >/dev/null 2>&1 || exit 1; echo $(( ($(date +%s%N) - b) / 1000 ))`;
  return Number((await host.sh(`cd ${THEIRS} && ${timed}`)).stdout) / 1000;
};

const theirs: Way = {
  name: 'compose',
  async up({ host }, compose) {
    await host.write(`${THEIRS}/compose.yaml`, compose);
    return composeUp(host);
  },
  again: ({ host }, n) => times(n, () => composeUp(host)),
  down: async ({ host }) => void (await host.sh(`cd ${THEIRS} && docker compose down -t 1 2>&1`)),
};

const ours: Way = {
  name: 'fairlead',
  async up({ host, repo }, compose) {
    await repo.commit({ 'hosts/edge-1/ours/compose.yaml': compose }, 'Up');
    return lastAction(await sync(host));
  },
  again: ({ host }, n) => quietSyncs(host, n),
  async down({ host, repo }) {
    await repo.commit({ 'hosts/edge-1/ours/': null }, 'Down');
    await fairlead(host, 'sync', '--allow-prune');
  },
};
