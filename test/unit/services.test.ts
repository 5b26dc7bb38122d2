/** Containers compared with their declarations, for Docker engines that the lab does not have. */
import { describe, expect, test } from 'vitest';
import type { ServiceSpec } from '../../agent/compose/stack/model.ts';
import type { Gone } from '../../agent/core/provider.ts';
import type { Desired } from '../../agent/core/types.ts';
import { differences } from '../../agent/kinds/container/diff.ts';
import { discardedBy } from '../../agent/kinds/container/discards.ts';
import type { ServiceFact } from '../../agent/kinds/container/fact.ts';
import { listingOf } from '../../agent/kinds/container/listing.ts';
import { createRequest } from '../../agent/kinds/container/request.ts';
import { createImages } from '../../agent/kinds/image/images.ts';
import { movedImages } from '../../agent/kinds/image/moves.ts';
import { createPullIntents } from '../../agent/kinds/image/pull-intents.ts';
import { inReverse } from '../../agent/kinds/service/act/remove.ts';
import { noImageRecords } from '../../agent/store/inventory/images.ts';
import { recordsInMemory } from '../../agent/store/records.ts';
import { systemClock } from '../../agent/system/clock.ts';
import type { ContainerInfo, ContainerSummary, Docker, EngineInfo } from '../../agent/system/docker/docker.ts';
import { find, loadRepo } from './repo.ts';

async function declared(keys: string): Promise<ServiceSpec> {
  const loaded = await loadRepo({ 'hosts/a/shop/compose.yaml': `services:\n  web:\n    image: x\n${keys}` });
  return find(loaded, 'service:shop/web')?.spec as unknown as ServiceSpec;
}

/** What a Docker engine stores of a request, except for some fields. */
function kept(spec: ServiceSpec, but: Record<string, unknown>): ContainerInfo {
  const { HostConfig, Labels, ...config } = createRequest({
    ...{ spec, hash: '', imageId: '', peers: new Map(), fields: '' },
  });
  return {
    ...{ Id: 'a'.repeat(64), Name: '/shop-web-1', Mounts: [] },
    Config: { ...config, Labels: {} },
    HostConfig: { ShmSize: 67_108_864, ...HostConfig, ...but },
    NetworkSettings: { Networks: { shop_default: {} } },
  } as unknown as ContainerInfo;
}

describe('a field that a Docker engine drops', () => {
  const KEYS =
    '    oom_kill_disable: true\n    mem_swappiness: 10\n    mem_limit: 64m\n    memswap_limit: 128m\n    pids_limit: 9\n';
  const V2: EngineInfo = {
    CgroupVersion: '2',
    OomKillDisable: false,
    MemoryLimit: true,
    SwapLimit: true,
    PidsLimit: true,
  };
  const BARE: EngineInfo = {
    CgroupVersion: '1',
    OomKillDisable: true,
    MemoryLimit: true,
    SwapLimit: false,
    PidsLimit: false,
  };
  const fields = async (but: Record<string, unknown>, info: EngineInfo) => {
    const spec = await declared(KEYS);
    return differences(spec, kept(spec, but), null, { peers: new Map(), discards: discardedBy(info) }).map(
      (r) => r.field,
    );
  };

  test('is no difference: cgroup v2 knows neither oom_kill_disable nor mem_swappiness', async () => {
    expect(await fields({ OomKillDisable: null, MemorySwappiness: null }, V2)).toEqual([]);
    expect(await fields({ OomKillDisable: null, MemorySwappiness: null }, { ...V2, CgroupVersion: '1' })).toEqual([
      'mem_swappiness',
    ]);
  });

  test('is no difference: a kernel without limits of swap or processes', async () => {
    expect(await fields({ MemorySwap: -1, PidsLimit: null }, BARE)).toEqual([]);
    expect(await fields({ MemorySwap: -1, PidsLimit: null }, V2)).toEqual(['memswap_limit', 'pids_limit']);
  });

  test('is compared as usual if the engine supports it, or stores another value', async () => {
    expect(await fields({ OomKillDisable: false, MemorySwappiness: 50, Memory: 1 }, V2)).toEqual([
      'mem_limit',
      'mem_swappiness',
    ]);
    expect(discardedBy({})).toEqual(new Set());
  });
});

describe('a mounted image', () => {
  const KEYS = (more = '') =>
    `    volumes: [{type: image, source: "r/assets:2", target: /assets${more}}, {type: volume, target: /v}]\n`;
  /** As an engine of API 1.48 has it: the path of a layer, and the requested name. */
  const has = (spec: ServiceSpec): ContainerInfo => ({
    ...kept(spec, {}),
    Mounts: [
      { Type: 'image', Name: 'r/assets:2', Source: '/var/lib/docker/x', Destination: '/assets', Mode: '', RW: false },
    ] as unknown as ContainerInfo['Mounts'],
  });
  const fields = (spec: ServiceSpec, info: ContainerInfo) =>
    differences(spec, info, null, { peers: new Map(), discards: new Set() }).map((r) => r.field);

  test('is found again as requested, and never writable', async () => {
    const spec = await declared(KEYS());
    expect(fields(spec, has(spec))).toEqual([]);
    expect(fields(await declared(KEYS(', read_only: true')), has(spec))).toEqual([]);
    expect(fields(await declared(KEYS().replace('assets:2', 'assets:3')), has(spec))).toEqual(['volumes']);
    expect(fields(await declared(KEYS().replace('/assets,', '/other,')), has(spec))).toEqual([]);
    expect(fields(await declared(KEYS().replace('/assets}', '/other}')), has(spec))).toEqual(['volumes']);
  });

  const images: Record<string, { id: string; content: string }> = {
    'r/assets:2': { id: 'sha256:bbbbbbbbbbbbbbbb', content: 'new' },
    'sha256:aaaaaaaaaaaaaaaa': { id: 'sha256:aaaaaaaaaaaaaaaa', content: 'old' },
    'sha256:cccccccccccccccc': { id: 'sha256:cccccccccccccccc', content: 'new' },
  };
  const moved = async (label: string | null) => {
    const labels = label === null ? {} : { 'com.docker.compose.image-volume-digest': label };
    const listed = {
      ...{ Id: 'one', Image: 'x', ImageID: 'sha256:x' },
      Labels: { 'com.docker.compose.project': 'shop', 'com.docker.compose.service': 'web', ...labels },
    } as unknown as ContainerSummary;
    const docker = { image: async (name: string) => images[name] } as unknown as Docker;
    const want = { id: 'service:shop/web', spec: await declared(KEYS()) } as unknown as Desired<ServiceSpec>;
    return (await movedImages(docker, [listed], [want])).get('one') ?? [];
  };

  test('whose tag has another image recreates the container; the same image under another id does not', async () => {
    expect(await moved('/assets=sha256:aaaaaaaaaaaaaaaa')).toEqual([
      { field: 'volumes', from: 'r/assets:2 (aaaaaaaaaaaa)', to: 'r/assets:2 (bbbbbbbbbbbb)' },
    ]);
    expect(await moved('/assets=sha256:bbbbbbbbbbbbbbbb')).toEqual([]);
    expect(await moved('/assets=sha256:cccccccccccccccc')).toEqual([]);
    expect(await moved('/a,b=c=sha256:aa,/assets=sha256:dddddddddddddddd')).toHaveLength(1);
    expect(await moved(null)).toEqual([]);
  });

  test('is pulled if it is missing, whatever `pull_policy` says, and kept', async () => {
    const here = new Map([['x', 'sha256:x']]);
    const pulled: string[] = [];
    const removed: string[] = [];
    const info = (id: string) => ({ id, content: id, tags: [], digests: [], config: {}, platform: {} });
    const docker = {
      image: async (name: string) => [...here].flatMap(([tag, id]) => ([tag, id].includes(name) ? [info(id)] : []))[0],
      imageIds: async () => [...here.values()],
      pull: async (name: string) => {
        pulled.push(name);
        here.set(name, `sha256:${name}`);
      },
      containers: async () => [],
      removeImage: async (name: string) => removed.push(name) > 0,
    } as unknown as Docker;
    const records = { ...noImageRecords(), pulled: () => [{ name: 'r/assets:2', id: 'sha256:r/assets:2' }] };
    const nobody = { of: async () => null, places: () => '', config: async () => '' };
    const intents = createPullIntents(recordsInMemory(), 'this boot');
    const sync = async () => undefined;
    const images = createImages({ docker, credentials: nobody, records, intents, sync, clock: systemClock });
    const want = {
      id: 'service:shop/web',
      spec: await declared(`    pull_policy: never\n${KEYS()}`),
    } as unknown as Desired<ServiceSpec>;
    const how = { signal: new AbortController().signal, tell: () => {} };
    const work = [{ want, change: { op: 'create' as const, why: [] }, seen: undefined }];
    expect([...(await images.ensure(work, how))]).toEqual([]);
    expect(pulled).toEqual(['r/assets:2']);
    await images.tidy([want], how.signal);
    expect(removed).toEqual([]);
    await images.tidy([], how.signal);
    expect(removed).toEqual(['sha256:r/assets:2']);
  });
});

test('a container that runs a hook of a service does not belong to the service', () => {
  const container = (Id: string, more: Record<string, string>) =>
    ({
      ...{ Id, Names: [`/${Id}`] },
      Labels: { 'com.docker.compose.project': 'shop', 'com.docker.compose.service': 'web', ...more },
    }) as unknown as ContainerSummary;
  const hook = { 'com.docker.compose.hook': 'pre_start' };
  const listing = listingOf([
    container('ours', { ...hook, 'dev.fairlead.hash': 'v1:x' }),
    container('foreign', hook),
    container('shop-web-1', { 'com.docker.compose.container-number': '1' }),
  ]);
  expect(listing.membersOf('shop', 'web').map((c) => c.Id)).toEqual(['shop-web-1']);
  expect(listing.peersOf('shop').get('web')?.id).toBe('shop-web-1');
  // Containers that docker compose left are its own to remove.
  expect(listing.leftHooksOf('shop', 'web').map((c) => c.Id)).toEqual(['ours']);
});

describe('removed services', () => {
  const gone = (name: string, ...needs: string[]) => {
    const label = needs.map((other) => `${other}:service_started:false`).join(',');
    const info = { Config: { Labels: { 'com.docker.compose.depends_on': label } } };
    return { id: `service:shop/${name}`, seen: { fact: { replicas: [{ info }] } } } as unknown as Gone<ServiceFact>;
  };
  const order = (...all: Gone<ServiceFact>[]) => inReverse(all).map((group) => group.map(({ id }) => id.slice(13)));

  test('are removed in parallel, dependents before their dependencies', () => {
    expect(order(gone('db'), gone('web', 'db', 'cache'), gone('cache'), gone('proxy', 'web'), gone('alone'))).toEqual([
      ['proxy', 'alone'],
      ['web'],
      ['db', 'cache'],
    ]);
  });

  test('are not delayed by services that stay, or by a dependency cycle', () => {
    expect(order(gone('web', 'stays'))).toEqual([['web']]);
    expect(order(gone('a', 'b'), gone('b', 'a'), gone('c', 'a'))).toEqual([['c'], ['a', 'b']]);
  });
});
