/** The diff of services that remembers matches yields the same result as the one that does not. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ServiceSpec } from '../../agent/compose/stack/model.ts';
import type { Desired } from '../../agent/core/types.ts';
import { NO_CONTAINERS, type Replica, type ServiceFact } from '../../agent/kinds/container/fact.ts';
import { listingOf } from '../../agent/kinds/container/listing.ts';
import { createRequest } from '../../agent/kinds/container/request.ts';
import { createServiceDiff, diff } from '../../agent/kinds/service/plan.ts';
import type { ContainerInfo, ContainerSummary } from '../../agent/system/docker/docker.ts';
import { loadRepo } from './repo.ts';

const YAML = (image: string) =>
  `services:\n  side: {image: x}\n  web: {image: ${image}, network_mode: "service:side", restart: always}\n`;
const declared = async (image: string) => {
  const { resources } = await loadRepo({ 'hosts/a/shop/compose.yaml': YAML(image) });
  return resources.find((r) => r.id === 'service:shop/web') as Desired<ServiceSpec>;
};

const peersOf = (id: string) => new Map([['side', { id, name: 'shop-side-1' }]]);

function container(want: Desired<ServiceSpec>, peer: string, more: Record<string, unknown> = {}): ContainerInfo {
  const { HostConfig, ...config } = createRequest({
    ...{ spec: want.spec, hash: want.hash, imageId: '', peers: peersOf(peer), fields: '{}' },
  });
  return {
    ...{ Id: 'a'.repeat(64), Name: '/shop-web-1', Mounts: [] },
    ...{ Config: config, HostConfig, NetworkSettings: { Networks: {} } },
    State: { Running: true, Status: 'running', ExitCode: 0 },
    ...more,
  } as unknown as ContainerInfo;
}

interface Look extends Pick<ServiceFact, 'moves' | 'discards' | 'peers'> {
  want: Desired<ServiceSpec>;
  infos: ContainerInfo[];
  parked: ContainerInfo[];
  image: Replica['image'];
}

test('for any change of declaration, container, image, peers and surroundings since the last comparison', async () => {
  const wants = [await declared('x'), await declared('y')];
  const infos = wants.flatMap((want) => [
    container(want, 'p1'),
    container(want, 'p1', { Name: '/renamed' }),
    container(want, 'p1', { State: { Running: false, Status: 'exited', ExitCode: 1 } }),
  ]);
  const peers = [peersOf('p1'), peersOf('p2')];
  const images = [null, { Labels: { by: 'the image' } }] as unknown as Replica['image'][];
  const sets = [new Map(), new Map([['a'.repeat(64), [{ field: 'image', to: 'moved' }]]])];
  const discards = [new Set<string>(), new Set(['Memory'])];
  const pick = <T>(all: readonly T[]) => fc.constantFrom(...all);
  const base = { want: wants[0], infos: infos.slice(0, 1), parked: infos.slice(0, 0), peers: peers[0] };
  const rest = { image: images[0], moves: sets[0], discards: discards[0] };
  // One input at a time changes, as on a host.
  const look = fc
    .record(
      {
        want: pick(wants),
        infos: fc.array(pick(infos), { maxLength: 2 }),
        parked: fc.array(pick(infos), { maxLength: 1 }),
        peers: pick(peers),
        image: pick(images),
        moves: pick(sets),
        discards: pick(discards),
      },
      { requiredKeys: [] },
    )
    .chain((changes) => pick([{}, ...Object.entries(changes).map(([key, value]) => ({ [key]: value }))]))
    .map((change) => ({ ...base, ...rest, ...change }) as Look);
  fc.assert(
    fc.property(fc.array(look, { minLength: 1, maxLength: 12 }), (looks) => {
      const remembering = createServiceDiff();
      for (const l of looks) {
        const replica = (info: ContainerInfo, i: number): Replica => ({
          ...{ number: i + 1, info, image: l.image, runningMs: 60_000, log: '', interrupted: false },
        });
        const fact: ServiceFact = {
          ...{ replicas: l.infos.map(replica), parked: l.parked.map(replica), fresh: [], failed: [], leftHooks: [] },
          ...{ strays: [], completed: new Set<number>(), outdated: [], detached: [], underway: null },
          ...{ moves: l.moves, discards: l.discards, peers: l.peers },
        };
        expect(remembering(l.want, { fact })).toEqual(diff(l.want, { fact }));
      }
    }),
    { numRuns: 300 },
  );
  // Otherwise it would have had nothing to remember.
  const right = {
    fact: { ...NO_CONTAINERS, moves: sets[0], discards: discards[0] },
  };
  const [want] = wants;
  const matches = { number: 1, info: infos[0], image: null, runningMs: 0, log: '', interrupted: false };
  const fact = { ...right.fact, replicas: [matches], peers: peers[0] } as unknown as ServiceFact;
  expect(want && diff(want, { fact })).toEqual({ op: 'none' });
});

test('the peers of a project are the same map object until one of them is another container', () => {
  const known = new Map();
  const list = (id: string) =>
    [
      {
        ...{ Id: id, Names: ['/shop-side-1'] },
        Labels: { 'com.docker.compose.project': 'shop', 'com.docker.compose.service': 'side' },
      },
    ] as unknown as ContainerSummary[];
  const first = listingOf(list('p1'), known).peersOf('shop');
  expect(first.get('side')).toEqual({ id: 'p1', name: 'shop-side-1' });
  expect(listingOf(list('p1'), known).peersOf('shop')).toBe(first);
  expect(listingOf(list('p2'), known).peersOf('shop').get('side')).toEqual({ id: 'p2', name: 'shop-side-1' });
});
