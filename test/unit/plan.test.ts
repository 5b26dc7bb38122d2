import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { findCycle, predecessors, removalOrder } from '../../agent/core/order/graph.ts';
import { claimIssues, type InventoryEntry, makePlan, plannedActions, pruneHold } from '../../agent/core/plan/plan.ts';
import type { Provider } from '../../agent/core/provider.ts';
import type { Change, Desired, Kind, ResourceId } from '../../agent/core/types.ts';
import { KINDS } from '../../agent/kinds/index.ts';

const origin = { file: 'hosts/a/system.yaml', line: 1, layer: 'host' };
const res = (id: ResourceId, more: Partial<Desired<unknown>> = {}): Desired => ({
  id,
  spec: id,
  hash: `h:${id}`,
  after: [],
  notify: [],
  origin,
  ...more,
});

type Fake = Pick<Provider, 'diff' | 'claims'>;
const comparing = (changed: readonly ResourceId[]): ReadonlyMap<Kind, Fake> => {
  const fake: Fake = {
    claims: (spec) => [`path:${String(spec)}`],
    diff: (want, seen): Change =>
      seen === undefined
        ? { op: 'create', why: [] }
        : changed.includes(want.id)
          ? { op: 'update', why: [{ field: 'x', from: '1', to: '2' }] }
          : { op: 'none' },
  };
  return new Map((['file', 'unit', 'service', 'network', 'volume'] as const).map((k) => [k, fake]));
};
const row = (id: ResourceId, hash: string | null = `h:${id}`): InventoryEntry => ({
  id,
  hash,
  intent: hash ?? 'i',
  info: { claims: [`path:${id}`] },
});
const rows = (...all: InventoryEntry[]) => new Map(all.map((r) => [r.id, r]));
const seen = (...ids: ResourceId[]) => new Map(ids.map((id) => [id, { fact: id }]));

describe('makePlan', () => {
  test('creates what is missing, leaves what matches, removes what is no longer declared', () => {
    const plan = makePlan({
      desired: [res('file:/a'), res('file:/b')],
      seen: seen('file:/b', 'file:/c'),
      inventory: rows(row('file:/b'), row('file:/c')),
      pendingNotifies: [],
      kinds: KINDS,
      providers: comparing([]),
    });
    expect(plannedActions(plan).map((a) => `${a.op} ${a.id}`)).toEqual(['create file:/a', 'remove file:/c']);
  });

  test('a resource in observe mode has no work, whatever differs or notifies it, and notifies nothing', () => {
    const looked = { mode: 'observe' as const, notify: ['unit:b.service' as const] };
    const plan = makePlan({
      desired: [res('file:/a', looked), res('file:/new', looked), res('unit:b.service'), res('unit:c.service', looked)],
      seen: seen('file:/a', 'unit:b.service', 'unit:c.service'),
      inventory: rows(row('file:/a')),
      pendingNotifies: [{ target: 'unit:c.service', source: 'file:/x' }],
      kinds: KINDS,
      providers: comparing(['file:/a']),
    });
    expect(plan.steps.every((s) => s.change.op === 'none' && s.refreshFor.length === 0 && !s.drift)).toBe(true);
    expect(plannedActions(plan)).toMatchObject([
      { id: 'file:/a', op: 'update', why: [{ field: 'x' }], held: expect.stringContaining('observe') },
      { id: 'file:/new', op: 'create', held: expect.stringContaining('observe') },
    ]);
  });

  test('effects of an interrupted change of another resource are no drift', () => {
    const network: ResourceId = 'network:shop/front';
    const told: ResourceId = 'service:shop/a';
    const after: ResourceId = 'service:shop/b';
    const other: ResourceId = 'service:shop/c';
    const all = [told, after, other];
    const plan = makePlan({
      desired: [res(network), res(told), res(after, { after: [network] }), res(other)],
      seen: seen(network, ...all),
      inventory: rows({ ...row(network, 'h:before'), intent: `h:${network}` }, ...all.map((id) => row(id))),
      pendingNotifies: [{ target: told, source: network }],
      kinds: KINDS,
      providers: comparing([network, ...all]),
    });
    const drift = Object.fromEntries(plan.steps.map((s) => [s.want.id, s.drift]));
    expect(drift).toEqual({
      [network]: false,
      'service:shop/a': false,
      'service:shop/b': false,
      'service:shop/c': true,
    });
  });

  test('a difference from a confirmed declaration is drift; from a new one it is not', () => {
    const input = {
      desired: [res('file:/a'), res('file:/b')],
      seen: seen('file:/a', 'file:/b'),
      pendingNotifies: [],
      kinds: KINDS,
      providers: comparing(['file:/a', 'file:/b']),
    };
    const plan = makePlan({ ...input, inventory: rows(row('file:/a'), row('file:/b', 'h:older')) });
    expect(plan.steps.map((s) => [s.want.id, s.drift])).toEqual([
      ['file:/a', true],
      ['file:/b', false],
    ]);
  });

  test('a changed source refreshes its target, a recreated target needs no refresh, a pending notify is kept', () => {
    const desired = [
      res('file:/a', { notify: ['unit:x.service', 'service:p/new'] }),
      res('unit:x.service'),
      res('service:p/new'),
      res('unit:y.service'),
    ];
    const plan = makePlan({
      desired,
      seen: seen('file:/a', 'unit:x.service', 'unit:y.service'),
      inventory: rows(),
      pendingNotifies: [{ target: 'unit:y.service', source: 'file:/gone' }],
      kinds: KINDS,
      providers: comparing(['file:/a']),
    });
    const refreshes = Object.fromEntries(plan.steps.map((s) => [s.want.id, s.refreshFor]));
    expect(refreshes).toEqual({
      'file:/a': [],
      'unit:x.service': ['file:/a'],
      'service:p/new': [],
      'unit:y.service': ['file:/gone'],
    });
  });

  test('a removal comes first if another resource now needs its claim', () => {
    const plan = makePlan({
      desired: [res('service:p/new', { spec: 'file:/old' })],
      seen: seen('file:/old'),
      inventory: rows(row('file:/old'), row('file:/other')),
      pendingNotifies: [],
      kinds: KINDS,
      providers: comparing([]),
    });
    expect(plan.removals.map((r) => [r.id, r.neededBy])).toEqual([
      ['file:/other', []],
      ['file:/old', ['service:p/new']],
    ]);
  });

  test('order: every predecessor comes first, for any graph, and independent of the input order', () => {
    const graph = fc.uniqueArray(fc.nat(30), { minLength: 1, maxLength: 15 }).chain((ids) =>
      fc.record({
        ids: fc.constant(ids),
        edges: fc.array(fc.tuple(fc.constantFrom(...ids), fc.constantFrom(...ids)), { maxLength: 30 }),
        seed: fc.nat(),
      }),
    );
    fc.assert(
      fc.property(graph, ({ ids, edges }) => {
        const name = (n: number): ResourceId =>
          n % 3 === 0 ? `file:/${n}` : n % 3 === 1 ? `unit:${n}.service` : `service:p/${n}`;
        // An edge from the smaller to the larger number: never a cycle.
        const after = (n: number) =>
          edges.filter(([a, b]) => Math.max(a, b) === n && a !== b).map(([a, b]) => name(Math.min(a, b)));
        const desired = ids.map((n) => res(name(n), { after: after(n) }));
        const order = (d: readonly Desired[]) =>
          makePlan({
            desired: d,
            seen: new Map(),
            inventory: rows(),
            pendingNotifies: [],
            kinds: KINDS,
            providers: comparing([]),
          }).steps.map((s) => s.want.id);
        const ordered = order(desired);
        for (const [id, before] of predecessors(desired))
          for (const b of before) expect(ordered.indexOf(b)).toBeLessThan(ordered.indexOf(id));
        expect(order([...desired].reverse())).toEqual(ordered);
        expect(findCycle(desired)).toBeNull();
      }),
    );
  });
});

test('a cycle is found and shown as a loop', () => {
  const cycle = findCycle([
    res('file:/a', { after: ['file:/c'] }),
    res('file:/b', { after: ['file:/a'] }),
    res('file:/c', { after: ['file:/b'] }),
    res('file:/d'),
  ]);
  expect(cycle?.at(0)).toBe(cycle?.at(-1));
  expect(new Set(cycle)).toEqual(new Set(['file:/a', 'file:/b', 'file:/c']));
});

test('two owners of one claim are an error that names both places', () => {
  const twice = [res('file:/a', { spec: 'same' }), res('file:/b', { spec: 'same', origin: { ...origin, line: 9 } })];
  const [issue] = claimIssues(twice, comparing([]));
  expect(issue).toMatchObject({ line: 9, message: expect.stringContaining('hosts/a/system.yaml:1') });
});

test('removals are in reverse order: containers, units, files from the deepest, volumes, networks last', () => {
  const ids: ResourceId[] = ['network:p/n', 'file:/d', 'service:p/s', 'file:/d/x', 'volume:p/v', 'unit:u.service'];
  expect(removalOrder(KINDS, ids)).toEqual([
    'service:p/s',
    'unit:u.service',
    'file:/d/x',
    'file:/d',
    'volume:p/v',
    'network:p/n',
  ]);
});

test('the prune limit applies from four resources on, and only above the share', () => {
  expect(pruneHold(2, 4, 50)).toBeNull();
  expect(pruneHold(3, 4, 50)).toContain('--allow-prune');
  expect(pruneHold(3, 3, 50)).toBeNull();
  expect(pruneHold(0, 0, 0)).toBeNull();
});
