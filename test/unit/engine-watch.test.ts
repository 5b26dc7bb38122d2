/** Which resources an event of the Docker engine is about. */
import { describe, expect, test } from 'vitest';
import type { Desired, ResourceId } from '../../agent/core/types.ts';
import { concerned, index } from '../../agent/kinds/service/watch.ts';

const res = (id: ResourceId, more: Partial<Desired> = {}): Desired => ({
  id,
  spec: {},
  hash: id,
  after: [],
  notify: [],
  origin: { file: 'a.yaml', line: 1, layer: 'host' },
  ...more,
});

describe('events of the engine', () => {
  const known = index([
    res('service:shop/web', {
      spec: { project: 'shop', service: 'web', replicas: 2, networks: [{ name: 'shop_front', aliases: [] }] },
    }),
    res('service:shop/db', { spec: { containerName: 'db', ownName: true, replicas: 1, networks: [] } }),
    res('network:shop/front', { spec: { name: 'shop_front' } }),
    res('volume:shop/data', { spec: { name: 'shop_data' } }),
    res('file:/x'),
  ]);
  const owners = new Map<string, ResourceId>([
    ['w1', 'service:shop/web'],
    ['f1', 'service:other/foreign'],
  ]);
  const event = (Type: string, ID: string, Attributes: Record<string, string>, Action = 'x') =>
    concerned(known, owners, { Type, Action, Actor: { ID, Attributes } });

  test('of a container find their resource by its labels, its name or its previous name', () => {
    const labels = { 'com.docker.compose.project': 'shop', 'com.docker.compose.service': 'web' };
    expect(event('container', 'c1', { name: 'whatever', ...labels })).toEqual(['service:shop/web']);
    expect(event('container', 'c1', { name: 'db' })).toEqual(['service:shop/db']);
    expect(event('container', 'c1', { name: 'new', oldName: '/db' })).toEqual(['service:shop/db']);
    expect(event('container', 'c1', { name: 'foreign' })).toEqual([]);
    expect(
      event('container', 'c1', { 'com.docker.compose.project': 'other', 'com.docker.compose.service': 'web' }),
    ).toEqual([]);
  });
  test('of a network also concern the services that join it; of a volume, the volume', () => {
    expect(event('network', 'n1', { name: 'shop_front', container: 'c1' })).toEqual([
      'network:shop/front',
      'service:shop/web',
    ]);
    expect(event('network', 'n1', { name: 'bridge' })).toEqual([]);
    // The container that connects or disconnects, if it is known; otherwise every candidate.
    const left = (container: string) => event('network', 'n1', { name: 'shop_front', container }, 'disconnect');
    expect([left('w1'), left('f1'), left('unknown')]).toEqual([['service:shop/web'], [], ['service:shop/web']]);
    expect(event('volume', 'shop_data', { driver: 'local' })).toEqual(['volume:shop/data']);
    expect(event('volume', 'other', {})).toEqual([]);
  });
});
