/** Resources that are observed together with one that may have drifted. */
import { describe, expect, test } from 'vitest';
import { affected } from '../../agent/core/order/subset.ts';
import type { Desired, ResourceId } from '../../agent/core/types.ts';
import { KINDS } from '../../agent/kinds/index.ts';

const res = (id: ResourceId, more: Partial<Desired> = {}): Desired => ({
  id,
  spec: {},
  hash: id,
  after: [],
  notify: [],
  origin: { file: 'a.yaml', line: 1, layer: 'host' },
  ...more,
});

describe('resources observed together', () => {
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

  test('are those that it notifies, transitively, those before it and those after it', () => {
    expect(of('file:/a')).toEqual(['file:/a', 'service:p/s', 'unit:a.service', 'unit:b.service']);
    expect(of('service:p/s')).toEqual(['file:/a', 'network:p/n', 'service:p/s', 'service:p/t']);
    expect(of('unit:b.service')).toEqual(['unit:b.service']);
  });
  test('include jobs and checks only if they are hinted themselves, and nothing undeclared', () => {
    expect(of('job:j', 'file:/gone')).toEqual(['file:/a', 'job:j']);
    expect(of('file:/gone')).toEqual([]);
  });
});
