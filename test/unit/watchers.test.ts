import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { affected } from '../../agent/core/subset.ts';
import type { Desired, ResourceId } from '../../agent/core/types.ts';
import { concerned, index } from '../../agent/kinds/engine-watch.ts';
import { KINDS } from '../../agent/kinds/index.ts';
import { unitPaths } from '../../agent/kinds/unit/watch.ts';
import { descriptorLimit, descriptors } from '../../agent/system/descriptors.ts';
import { escapeLabel } from '../../agent/system/systemd-signals.ts';
import { watchLimit } from '../../agent/system/watch-limit.ts';

const res = (id: ResourceId, more: Partial<Desired> = {}): Desired => ({
  id,
  spec: {},
  hash: id,
  after: [],
  notify: [],
  origin: { file: 'a.yaml', line: 1, layer: 'host' },
  ...more,
});

describe('what is looked at together', () => {
  const all = [
    res('network:p/n'),
    res('file:/a', { notify: ['unit:a.service'] }),
    res('unit:a.service', { notify: ['unit:b.service'] }),
    res('unit:b.service'),
    res('service:p/s', { after: ['network:p/n', 'file:/a'] }),
    res('service:p/t', { after: ['service:p/s'] }),
    res('job:j', { after: ['file:/a'] }),
    res('check:c', { after: ['service:p/s'] }),
  ];
  const of = (...hinted: ResourceId[]) =>
    affected(KINDS, all, new Set(hinted))
      .map((r) => r.id)
      .sort();

  test('whom it notifies, all the way, what it comes after and what comes after it', () => {
    expect(of('file:/a')).toEqual(['file:/a', 'service:p/s', 'unit:a.service', 'unit:b.service']);
    expect(of('service:p/s')).toEqual(['file:/a', 'network:p/n', 'service:p/s', 'service:p/t']);
    expect(of('unit:b.service')).toEqual(['unit:b.service']);
  });
  test('jobs and checks only where they are meant; what is not declared is left out', () => {
    expect(of('job:j', 'file:/gone')).toEqual(['file:/a', 'job:j']);
    expect(of('file:/gone')).toEqual([]);
  });
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

  test('of a container, by its labels, its name or its name before', () => {
    const labels = { 'com.docker.compose.project': 'shop', 'com.docker.compose.service': 'web' };
    expect(event('container', 'c1', { name: 'whatever', ...labels })).toEqual(['service:shop/web']);
    expect(event('container', 'c1', { name: 'db' })).toEqual(['service:shop/db']);
    expect(event('container', 'c1', { name: 'new', oldName: '/db' })).toEqual(['service:shop/db']);
    expect(event('container', 'c1', { name: 'foreign' })).toEqual([]);
    expect(
      event('container', 'c1', { 'com.docker.compose.project': 'other', 'com.docker.compose.service': 'web' }),
    ).toEqual([]);
  });
  test('of a network, with the services that are to be in it; of a volume', () => {
    expect(event('network', 'n1', { name: 'shop_front', container: 'c1' })).toEqual([
      'network:shop/front',
      'service:shop/web',
    ]);
    expect(event('network', 'n1', { name: 'bridge' })).toEqual([]);
    // Whoever comes or goes is meant, where that is known; otherwise whoever may be.
    const left = (container: string) => event('network', 'n1', { name: 'shop_front', container }, 'disconnect');
    expect([left('w1'), left('f1'), left('unknown')]).toEqual([['service:shop/web'], [], ['service:shop/web']]);
    expect(event('volume', 'shop_data', { driver: 'local' })).toEqual(['volume:shop/data']);
    expect(event('volume', 'other', {})).toEqual([]);
  });
});

test('a unit is watched where an administrator would change it', () => {
  const content =
    '[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target a.target\nAlias=other.service\n';
  expect(unitPaths({ name: 'x.service', content, onChange: 'restart' })).toEqual([
    '/etc/systemd/system/x.service',
    '/etc/systemd/system/x.service.d/*',
    '/etc/systemd/system/multi-user.target.wants/x.service',
    '/etc/systemd/system/a.target.wants/x.service',
    '/etc/systemd/system/other.service',
  ]);
});

test('object paths of units are escaped as systemd does, without two units sharing one', () => {
  expect(escapeLabel('loop.service')).toBe('loop_2eservice');
  expect(escapeLabel('1-ü@x.timer')).toBe('_31_2d_c3_bc_40x_2etimer');
  const name = fc.string({ minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(name, name, (a, b) => {
      expect(escapeLabel(a)).toMatch(/^[A-Za-z0-9_]+$/);
      expect(escapeLabel(a) === escapeLabel(b)).toBe(a === b);
    }),
  );
});

test('the limit is told of when it is near, and what goes unwatched when it is passed', () => {
  expect(watchLimit('files', { watched: 89, left: 0 }, 100)).toBeNull();
  expect(watchLimit('files', { watched: 90, left: 0 }, 100)).toMatchObject({ reason: 'WatchLimitNear' });
  expect(watchLimit('files', { watched: 100, left: 3 }, 100)?.message).toContain('3 of 103 directories');
});

test('file descriptors are worth a problem only near their limit', () => {
  const { open, limit } = descriptors();
  expect(open).toBeGreaterThan(3);
  expect(limit).toBeGreaterThan(open);
  expect(descriptorLimit({ open: 799, limit: 1000 })).toBeNull();
  expect(descriptorLimit({ open: 5_000, limit: null })).toBeNull();
  expect(descriptorLimit({ open: 800, limit: 1000 })).toMatchObject({
    reason: 'DescriptorLimitNear',
    message: expect.stringMatching(/^800 of 1000 file descriptors/),
  });
});
