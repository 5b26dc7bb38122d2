/** Services beside `docker compose up -d`: the same stack, on the same host, one after the other. */
import { fairlead, installAgent, statusWhere } from '../lab/agent.ts';
import { type FleetRepo, type LabHost, startLab } from '../lab/lab.ts';
import { lastAction, quietSyncs, sync } from './feed.ts';
import { times } from './host-tools.ts';
import { median, print, type Row } from './table.ts';

const ROUNDS = 3;
const NO_OPS = 7;

export async function servicesBench(): Promise<void> {
  const lab = await startLab({ name: 'bench-services', hosts: [{ name: 'edge-1' }] });
  try {
    const host = lab.host('edge-1');
    const repo = await lab.infra.createRepo('fleet');
    // It stays while stacks come and go: a host that declares nothing removes nothing.
    await repo.commit({ 'hosts/edge-1/a.yaml': 'files: {/etc/bench: {content: x}}\n' }, 'Begin');
    await installAgent(host, { repoUrl: repo.httpUrl });
    await statusWhere(lab.infra, 'edge-1', 'synced', (s) => s.sync === 'synced');
    for (const image of ['app:1', 'app:2']) await host.exec(['docker', 'pull', '-q', `infra:5000/${image}`]);
    const bench = { host, repo };

    const taken = { first: pair(), one: pair(), none: pair(), many: pair() };
    for (let round = 0; round < ROUNDS; round++) {
      // Who goes first changes, so that neither always finds the caches warm. One goes before the other comes: a host
      // has its services from one of the two, and the engine's answers grow with all that it runs.
      for (const way of round % 2 === 0 ? [theirs, ours] : [ours, theirs]) {
        const { name } = way;
        taken.first[name].push(await way.up(bench, stack(10)));
        taken.one[name].push(await way.up(bench, stack(10, 'app:2')));
        taken.none[name].push(...(await way.again(bench, NO_OPS)));
        await way.down(bench);
      }
    }
    for (const way of [theirs, ours]) {
      await way.up(bench, stack(100));
      // A host at rest: what the engine says of a young container changes each second.
      await host.exec(['sleep', '61']);
      taken.many[way.name].push(...(await way.again(bench, NO_OPS)));
      await way.down(bench);
    }

    console.log('   ours: from the request to the last action, the pull of the commit included; a no-op to its end');
    print([
      row('first start of 10 services', taken.first),
      row('one of 10 made anew', taken.one),
      row('no-op, 10 services', taken.none),
      row('no-op, 100 services', taken.many),
    ]);
  } finally {
    await lab.stop();
  }
}

interface Bench {
  host: LabHost;
  repo: FleetRepo;
}
interface Pair {
  ours: number[];
  theirs: number[];
}
interface Way {
  name: keyof Pair;
  /** Milliseconds. */
  up(bench: Bench, compose: string): Promise<number>;
  again(bench: Bench, times: number): Promise<number[]>;
  down(bench: Bench): Promise<void>;
}

const pair = (): Pair => ({ ours: [], theirs: [] });
const row = (what: string, { ours, theirs }: Pair): Row => ({
  what,
  value: median(ours),
  unit: 'ms',
  against: { name: 'docker compose up -d', value: median(theirs) },
});

/** @param third image of the service whose image changes */
const stack = (services: number, third = 'app:1'): string =>
  `services:\n${Array.from({ length: services }, (_, i) => `  s${i}: {image: "infra:5000/${i === 3 ? third : 'app:1'}"}\n`).join('')}`;

export const THEIRS = '/opt/theirs';
/** Timed on the host: what it costs to get there is nobody's. */
export const composeUp = async (host: LabHost): Promise<number> => {
  const timed = `b=$(date +%s%N); docker compose up -d >/dev/null 2>&1 || exit 1; echo $(( ($(date +%s%N) - b) / 1000 ))`;
  return Number((await host.sh(`cd ${THEIRS} && ${timed}`)).stdout) / 1000;
};

const theirs: Way = {
  name: 'theirs',
  async up({ host }, compose) {
    await host.write(`${THEIRS}/compose.yaml`, compose);
    return composeUp(host);
  },
  again: ({ host }, n) => times(n, () => composeUp(host)),
  down: async ({ host }) => void (await host.sh(`cd ${THEIRS} && docker compose down -t 1 2>&1`)),
};

const ours: Way = {
  name: 'ours',
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
