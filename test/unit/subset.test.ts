/** What is observed together with something that may have drifted. */
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
