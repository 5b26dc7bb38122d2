/** Containers against their declarations, where no engine of the lab is of that kind. */
import { describe, expect, test } from 'vitest';
import type { ServiceSpec } from '../../agent/compose/model.ts';
import type { Gone } from '../../agent/core/provider.ts';
import { differences } from '../../agent/kinds/service-diff.ts';
import { discardedBy } from '../../agent/kinds/service-discards.ts';
import type { ServiceFact } from '../../agent/kinds/service-fact.ts';
import { inReverse } from '../../agent/kinds/service-remove.ts';
import { createRequest } from '../../agent/kinds/service-request.ts';
import type { ContainerInfo, EngineInfo } from '../../agent/system/docker.ts';
import { find, loadRepo } from './repo.ts';

async function declared(keys: string): Promise<ServiceSpec> {
  const loaded = await loadRepo({ 'hosts/a/shop/compose.yaml': `services:\n  web:\n    image: x\n${keys}` });
  return find(loaded, 'service:shop/web')?.spec as unknown as ServiceSpec;
}

/** What an engine keeps of the very request, but for some fields. */
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

describe('what an engine drops of a request', () => {
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

  test('what the engine can do, and what it holds another value of, is compared as ever', async () => {
    expect(await fields({ OomKillDisable: false, MemorySwappiness: 50, Memory: 1 }, V2)).toEqual([
      'mem_limit',
      'mem_swappiness',
    ]);
    expect(discardedBy({})).toEqual(new Set());
  });
});

describe('services that go together', () => {
  const gone = (name: string, ...needs: string[]) => {
    const label = needs.map((other) => `${other}:service_started:false`).join(',');
    const info = { Config: { Labels: { 'com.docker.compose.depends_on': label } } };
    return { id: `service:shop/${name}`, seen: { fact: { replicas: [{ info }] } } } as unknown as Gone<ServiceFact>;
  };
  const order = (...all: Gone<ServiceFact>[]) => inReverse(all).map((group) => group.map(({ id }) => id.slice(13)));

  test('go side by side, what depends on another one before that', () => {
    expect(order(gone('db'), gone('web', 'db', 'cache'), gone('cache'), gone('proxy', 'web'), gone('alone'))).toEqual([
      ['proxy', 'alone'],
      ['web'],
      ['db', 'cache'],
    ]);
  });

  test('what stays, and a circle that somebody made, keep nothing waiting', () => {
    expect(order(gone('web', 'stays'))).toEqual([['web']]);
    expect(order(gone('a', 'b'), gone('b', 'a'), gone('c', 'a'))).toEqual([['c'], ['a', 'b']]);
  });
});
