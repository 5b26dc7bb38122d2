/** How the page presents a host: its state, whether it needs attention, and the sentence that explains it. */
import { describe, expect, test } from 'vitest';
import { createJudge } from '../../../agent/dashboard/model/judged.ts';
import type { Row, Trouble } from '../../../agent/dashboard/model/row.ts';
import { needOf, sentenceOf, stateOf } from '../../../agent/dashboard/model/state.ts';
import { hostsOf, MINUTE, NOW, rowOf } from './rows.ts';

const trouble = (change: Partial<Trouble> = {}): Trouble => ({
  ...{
    id: 'service:shop/web',
    reason: 'ImagePullFailed',
    message: 'cannot be pulled',
    turn: 'commit',
    isWaitOnly: false,
  },
  ...change,
});
const saying = (change: Partial<Row>) => {
  const row = rowOf('edge-1', change);
  const state = stateOf(row, NOW);
  return { state, need: needOf(row, state), sentence: sentenceOf(row, state, NOW) };
};

test('a host that is online, synced and healthy is well and has no sentence', () => {
  expect(saying({})).toEqual({ state: 'well', need: 'well', sentence: '' });
});

test.each([
  ['a failed host', { sync: 'failed', problem: trouble() }, 'failed', 'needs'],
  ['a failure that passes by itself', { sync: 'failed', problem: trouble({ isWaitOnly: true }) }, 'failed', 'waits'],
  ['a host that went back', { sync: 'rolled-back' }, 'rolled-back', 'needs'],
  ['a host that is degraded', { health: 'degraded' }, 'degraded', 'needs'],
  ['a host that is held for a decision', { sync: 'held' }, 'held', 'needs'],
  ['a host that waits for its window', { sync: 'held', gate: { kind: 'window', until: NOW + 1 } }, 'held', 'waits'],
  ['a host that is paused for a while', { gate: { kind: 'pause', until: NOW + 1 } }, 'paused', 'waits'],
  ['a host that is paused without an end', { gate: { kind: 'pause', until: null } }, 'paused', 'needs'],
  ['a paused host that drifted', { sync: 'held', gate: { kind: 'pause', until: NOW + 1 } }, 'held', 'waits'],
  ['a host at work', { sync: 'progressing' }, 'progressing', 'waits'],
  ['a host that is offline, whatever it said last', { presence: 'offline', sync: 'failed' }, 'offline', 'needs'],
  ['a host of which the broker gave no status', { missing: 'status' }, 'not delivered', 'needs'],
  ['a status that cannot be read', { isUnreadable: true }, 'not delivered', 'needs'],
  ['a host whose sync is long due', { next: NOW - 16 * MINUTE }, 'stale', 'needs'],
  ['a host whose sync has just been due', { next: NOW - MINUTE }, 'well', 'well'],
  ['a host that has no directory', { sync: 'unassigned' }, 'unassigned', 'waits'],
  ['a word of a later version', { sync: 'pondering' }, 'unknown', 'waits'],
] as const)('%s', (_name, change, state, need) => {
  expect(saying(change as Partial<Row>)).toMatchObject({ state, need });
});

describe('the sentence', () => {
  test('of an offline host has the time of its last report, and what was wrong then', () => {
    const { sentence } = saying({ presence: 'offline', at: NOW - 5 * 60 * MINUTE, problem: trouble() });
    expect(sentence).toBe('offline; it last reported 5 h ago: service:shop/web: cannot be pulled');
  });

  test('has the time at which it went offline, if this page saw that', () => {
    const { sentence } = saying({ presence: 'offline', presenceSince: NOW - 3 * MINUTE });
    expect(sentence).toBe('offline since 3 min ago; it last reported 60 s ago');
  });

  test('of a stale host has the length of its silence', () => {
    expect(saying({ next: NOW - 20 * MINUTE }).sentence).toBe(
      'online, but silent: a sync was due 20 min ago, and nothing was reported since',
    );
  });

  test('of a paused host has the reason and the end of the pause', () => {
    const gate = { kind: 'pause', reason: 'paused: a disk is changed', until: NOW + 30 * MINUTE };
    expect(saying({ gate }).sentence).toBe('paused: a disk is changed; ends in 30 min');
  });

  test('of a host that waits for its window has the time at which it opens', () => {
    const gate = { kind: 'window', reason: '', until: NOW + 3 * 60 * MINUTE };
    expect(saying({ sync: 'held', gate, message: 'commit a1b2c3d waits for the window' }).sentence).toBe(
      'commit a1b2c3d waits for the window; opens in 3 h',
    );
  });

  test('names the messages that the broker did not deliver', () => {
    expect(saying({ missing: 'presence' }).sentence).toContain('gave no presence of this host');
  });
});

describe('the table', () => {
  const rows = (...all: Row[]) => new Map(all.map((row) => [row.host, row]));

  test('lists hosts that need attention first, then those that wait, then the others, each by name', () => {
    const all = createJudge().all(
      rows(
        rowOf('b'),
        rowOf('a'),
        rowOf('waits', { sync: 'failed', problem: trouble({ isWaitOnly: true }) }),
        rowOf('offline', { presence: 'offline' }),
        rowOf('failed', { sync: 'failed' }),
      ),
      1,
      NOW,
    );
    expect(hostsOf(all)).toEqual(['failed', 'offline', 'waits', 'a', 'b']);
  });

  test('reuses the judgement of rows that did not change', () => {
    const jury = createJudge();
    const kept = rowOf('a');
    const before = jury.all(rows(kept, rowOf('b')), 1, NOW);
    const after = jury.all(rows(kept, rowOf('b', { health: 'degraded' })), 2, NOW);
    expect(after[1]).toBe(before[0]);
    expect(hostsOf(after)).toEqual(['b', 'a']);
  });

  test('is the same list object as long as nothing changed', () => {
    const jury = createJudge();
    const one = rows(rowOf('a'));
    expect(jury.all(one, 1, NOW)).toBe(jury.all(one, 1, NOW + 1));
  });

  test('marks a host that fell silent, without a message from it', () => {
    const jury = createJudge();
    const one = rows(rowOf('a', { next: NOW }));
    expect(jury.all(one, 1, NOW)[0]?.state).toBe('well');
    expect(jury.all(one, 1, NOW + 20 * MINUTE)[0]?.state).toBe('stale');
  });

  test('unmarks a host that reports again after a silence', () => {
    const jury = createJudge();
    jury.all(rows(rowOf('a', { next: NOW - 20 * MINUTE })), 1, NOW);
    expect(jury.all(rows(rowOf('a')), 2, NOW + 1)[0]?.state).toBe('well');
  });
});
