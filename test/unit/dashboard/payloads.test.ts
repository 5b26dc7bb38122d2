/** How the page reads payloads of a broker: completely, within bounds, and safely. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { detailOf, resourcesOf } from '../../../agent/dashboard/model/detail.ts';
import { createFeed } from '../../../agent/dashboard/model/feed.ts';
import { changesSince, happeningOf, historyOf } from '../../../agent/dashboard/model/history.ts';
import { createHostReader } from '../../../agent/dashboard/model/host-file.ts';
import { sampleOf } from '../../../agent/dashboard/model/metrics.ts';
import { unknownRow, withPresence, withStatus } from '../../../agent/dashboard/model/row.ts';
import { createFleetStore } from '../../../agent/dashboard/model/store.ts';
import { eventOf, metricsAt, sixHosts } from '../../dashboard/hosts.ts';
import { NOW } from './rows.ts';

const SIX = sixHosts(NOW);
const payload = (host: string, leaf: string) => SIX.get(host)?.[leaf] ?? '';
const DAY = 86_400_000;

describe('a status', () => {
  test('becomes a row with its first problem', () => {
    const row = withStatus(unknownRow('oslo-1'), payload('oslo-1', 'status'));
    expect(row).toMatchObject({ sync: 'failed', health: 'degraded', problems: 1, labels: { site: 'oslo' } });
    expect(row.problem).toMatchObject({ id: 'service:shop/web', turn: 'commit', isWaitOnly: false });
  });

  test('of a host that matches a commit shows that commit, even if nothing was applied', () => {
    const status = JSON.parse(payload('berlin-1', 'status'));
    const applied = { ...status.applied, commit: 'f'.repeat(40) };
    expect(withStatus(unknownRow('h'), JSON.stringify({ ...status, applied })).runs).toBe(status.desired.commit);
    expect(withStatus(unknownRow('h'), JSON.stringify({ ...status, applied, sync: 'failed' })).runs).toBe(
      applied.commit,
    );
  });

  test('that is invalid keeps the previous row', () => {
    const before = withStatus(unknownRow('h'), payload('oslo-1', 'status'));
    expect(withStatus(before, '{"schema":2}')).toEqual({ ...before, isUnreadable: true });
  });

  test('shares its labels object with the row before if they are equal', () => {
    const before = withStatus(unknownRow('h'), payload('oslo-1', 'status'));
    expect(withStatus(before, payload('oslo-1', 'status')).labels).toBe(before.labels);
  });

  test('of a megabyte becomes a row of a few kilobytes', () => {
    const huge = JSON.stringify({
      ...JSON.parse(payload('oslo-1', 'status')),
      message: 'x'.repeat(1_000_000),
      labels: Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`k${i}`, 'y'.repeat(500)])),
    });
    expect(JSON.stringify(withStatus(unknownRow('h'), huge)).length).toBeLessThan(10_000);
  });

  test('cannot change the direction of the text around it', () => {
    const text = JSON.stringify({ ...JSON.parse(payload('oslo-1', 'status')), message: 'a\u202eb\u0007' });
    expect(withStatus(unknownRow('h'), text).message).toBe('a·b·');
  });

  test('gives its details', () => {
    expect(detailOf(payload('lyon-2', 'status'))?.gate).toMatchObject({ kind: 'window', until: NOW + 26 * 3_600_000 });
  });
});

test('no payload of any shape makes a reader throw', () => {
  const readers = [
    (text: string) => withStatus(unknownRow('h'), text),
    (text: string) => withPresence(unknownRow('h'), text, NOW, true),
    ...[detailOf, resourcesOf, historyOf, sampleOf],
    (text: string) => happeningOf('h', text),
  ];
  const keys = [
    'desired',
    'applied',
    'problems',
    'labels',
    'gate',
    'runs',
    'actions',
    'resources',
    'data',
    'cpu',
    'at',
  ];
  const hostile = fc.oneof(
    fc.string(),
    fc.json(),
    fc.dictionary(fc.constantFrom(...keys), fc.jsonValue()).map((fields) => JSON.stringify({ schema: 1, ...fields })),
  );
  fc.assert(
    fc.property(hostile, (text) => {
      for (const read of readers) read(text);
    }),
  );
});

describe('presence', () => {
  test('that changes while the page is open has a time', () => {
    const online = withPresence(unknownRow('h'), 'online', NOW, false);
    expect(online.presenceSince).toBeNull();
    expect(withPresence(online, 'offline', NOW + 1, true).presenceSince).toBe(NOW + 1);
  });

  test('with an unknown word is ignored', () => {
    const row = unknownRow('h');
    expect(withPresence(row, 'maybe', NOW, true)).toBe(row);
  });
});

describe('history', () => {
  const history = historyOf(payload('oslo-1', 'history')) ?? [];

  test('of the last day has changes, repairs and failures', () => {
    expect(changesSince(history, NOW - DAY)).toMatchObject({ changed: 1, failed: 1, repaired: 1, isCut: false });
  });

  test('of the last hour leaves out earlier events', () => {
    expect(changesSince(history, NOW - 3_600_000).runs.map(({ id }) => id)).toEqual([42]);
  });

  test('reports what differed', () => {
    expect(history[0]?.actions[0]?.why).toBe('image: shop:2.3 → shop:2.4; no such manifest');
  });

  test('that is full within the last day is marked as possibly incomplete', () => {
    const [run] = history;
    expect(changesSince(run === undefined ? [] : Array(50).fill(run), NOW - DAY).isCut).toBe(true);
  });
});

test('the history keeps an event once, and only the newest events', () => {
  const feed = createFeed(2);
  for (const seq of [1, 2, 2, 3]) {
    const event = happeningOf('h', eventOf('h', seq, 'drift', { resource: 'file:/etc/motd' }));
    if (event) feed.add(event);
  }
  expect(feed.list.map(({ key }) => key)).toEqual(['h h-3', 'h h-2']);
  expect(feed.total).toBe(3);
});

test('the samples of a host are kept in order of time', () => {
  const reader = createHostReader('h');
  reader.take('metrics', metricsAt(NOW, 0.5));
  reader.take('metrics', metricsAt(NOW - 1, 0.9));
  reader.take('metrics', metricsAt(NOW + 1, 0.7));
  expect(reader.file.metrics.map(({ cpu }) => cpu)).toEqual([0.5, 0.7]);
});

describe('the store', () => {
  const open = () => {
    let woken = 0;
    const store = createFleetStore({ now: () => NOW, onWaiting: () => woken++ });
    return { store, woken: () => woken, all: () => store.work(() => false) };
  };

  test('reads only the newest waiting message of a topic', () => {
    const { store, all } = open();
    for (const word of ['online', 'offline']) store.offer('h', 'presence', word, true);
    expect(store.waiting()).toBe(1);
    expect(all()).toBe(true);
    expect(store.rows.get('h')?.presence).toBe('offline');
  });

  test('stops when its time slice is over, and asks to continue', () => {
    const { store, woken } = open();
    for (const host of ['a', 'b', 'c']) store.offer(host, 'presence', 'online', false);
    store.work(() => true);
    expect({ rows: store.rows.size, waiting: store.waiting(), woken: woken() }).toEqual({
      rows: 1,
      waiting: 2,
      woken: 2,
    });
  });

  test('reports no change if a host repeats its message', () => {
    const { store, all } = open();
    store.offer('h', 'presence', 'online', false);
    all();
    store.offer('h', 'presence', 'online', true);
    expect(all()).toBe(false);
  });

  test('forgets a host whose messages were deleted', () => {
    const { store, all } = open();
    store.offer('h', 'presence', 'online', false);
    all();
    store.offer('h', 'presence', '', true);
    all();
    expect(store.rows.size).toBe(0);
  });

  test('lists undelivered hosts until their messages arrive', () => {
    const { store, all } = open();
    store.missing('h', 'presence');
    expect(store.rows.get('h')?.missing).toBe('presence');
    store.offer('h', 'presence', 'online', false);
    all();
    expect(store.rows.get('h')?.missing).toBeNull();
  });

  test('keeps only the hosts of the index', () => {
    const { store, all } = open();
    for (const host of ['a', 'b']) store.offer(host, 'presence', 'online', false);
    all();
    store.keep(new Set(['b']));
    expect([...store.rows.keys()]).toEqual(['b']);
  });
});
