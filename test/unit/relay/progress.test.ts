/** How far a fleet is with a commit, and in which words a forge is told. */
import { expect, test } from 'vitest';
import { progressOf } from '../../../agent/fleet/relay/forges/progress.ts';
import { MOST_LETTERS, reportOf, supersededBy } from '../../../agent/fleet/relay/forges/report.ts';
import { NEW, OLD, row, rowsOf } from './fleet-rows.ts';

const nobody = () => false;
const said = (rows: ReturnType<typeof rowsOf>, isGone: (host: string) => boolean = nobody) =>
  progressOf(rows, isGone).map((one) => {
    const { state, text } = reportOf(one, { hasSucceeded: false });
    return `${one.commit[0]} ${state}: ${text}`;
  });

test('hosts that have not heard of the newest commit of their ref are counted as well', () => {
  expect(said([...rowsOf(2, { commit: NEW }), ...rowsOf(3, { commit: OLD, from: 2 })])).toEqual([
    'b pending: 2 of 5 hosts',
  ]);
});

test('all hosts have it: success', () => {
  expect(said(rowsOf(500, { commit: NEW }))).toEqual(['b success: 500 of 500 hosts']);
  expect(said(rowsOf(1, { commit: NEW }))).toEqual(['b success: 1 of 1 host']);
});

test('one that failed is a failure, with the sentence of the first of them', () => {
  const failed = { sync: 'failed', reason: 'UnitFailed', message: 'unit:app.service failed' };
  expect(said([row('c', failed), row('b', { ...failed, sync: 'rolled-back' }), row('a', {})])).toEqual([
    'b failure: 1 of 3 hosts; 2 failed. b: unit:app.service failed',
  ]);
});

test('what passes by itself is waited for', () => {
  expect(said([row('a', { sync: 'failed', reason: 'RepositoryUnreachable', message: 'm' }), row('b', {})])).toEqual([
    'b pending: 1 of 2 hosts',
  ]);
});

test('held hosts, and hosts that are still at work on it, are waited for', () => {
  const rows = [row('a', { sync: 'held', reason: 'WindowClosed' }), row('b', { health: 'progressing' }), row('c', {})];
  expect(said(rows)).toEqual(['b pending: 1 of 3 hosts; 1 held']);
});

test('a host that is gone is named, and not waited for; one that has the commit counts wherever it is', () => {
  const rows = [
    row('a', { commit: OLD, presence: 'offline' }),
    row('b', { presence: 'offline' }),
    row('c', {}),
    row('d', { commit: OLD, presence: 'offline' }),
  ];
  expect(said(rows)).toEqual(['b pending: 2 of 4 hosts']);
  expect(said(rows, (host) => host === 'a' || host === 'd')).toEqual(['b success: 2 of 4 hosts; 2 offline']);
});

test('a fleet of which every host is gone has not succeeded', () => {
  expect(said([row('a', { sync: 'progressing', presence: 'offline' })], () => true)).toEqual([
    'b pending: 0 of 1 host; 1 offline',
  ]);
});

test('a host that is gone with a commit that the branch has not any more decides nothing', () => {
  const rows = [row('a', { commit: NEW, presence: 'offline' }), row('b', { commit: OLD }), row('c', { commit: OLD })];
  expect(said(rows, (host) => host === 'a')).toEqual(['a success: 2 of 3 hosts; 1 offline']);
});

test('a host that only looks, has no directory or says nothing is not counted', () => {
  const rows = [
    row('a', { sync: 'held', reason: 'Observing' }),
    row('b', { sync: 'unassigned' }),
    row('c', { commit: null, ref: null }),
    row('d', {}),
  ];
  expect(said(rows)).toEqual(['b success: 1 of 1 host']);
});

test('each ref has its newest commit, and a commit of several refs is told once', () => {
  const rows = [row('a', {}), row('b', { ref: 'canary' }), row('c', { ref: 'old', commit: OLD })];
  expect(said(rows)).toEqual(['b success: 2 of 2 hosts', 'a success: 1 of 1 host']);
});

test('what is no commit goes into no request', () => {
  expect(said([row('a', { commit: '../../user' }), row('b', { commit: 'ABC' })])).toEqual([]);
});

test('success is not taken back because a host is busy, unwell or new; a host that fails on it takes it back', () => {
  const state = (more: object) => {
    const [progress] = progressOf([row('a', {}), row('b', more)], nobody);
    return progress && reportOf(progress, { hasSucceeded: true }).state;
  };
  expect(state({ health: 'progressing' })).toBe('success');
  expect(state({ commit: OLD })).toBe('success');
  expect(state({ health: 'degraded' })).toBe('success');
  expect(state({ sync: 'failed', reason: 'UnitFailed' })).toBe('failure');
});

test('a line is one line, short, and shows no credential', () => {
  const message = `failed:\n\u001b[31mhttps://user:s3cr3t-word@example.com/ said no\u202e ${'x'.repeat(300)}`;
  const [progress] = progressOf([row('a', { sync: 'failed', reason: 'UnitFailed', message })], nobody);
  const { text } = reportOf(progress as NonNullable<typeof progress>, { hasSucceeded: false });
  expect(text).toHaveLength(MOST_LETTERS);
  expect(text).not.toMatch(/s3cr3t-word|\p{Cc}|\p{Cf}/u);
});

test('one that a newer commit came after says so, with how far it was', () => {
  const before = { state: 'pending', text: '412 of 500 hosts', hosts: 500, done: 412 } as const;
  expect(supersededBy(NEW, before)).toEqual({
    ...before,
    ...{ state: 'superseded', text: '412 of 500 hosts; superseded by bbbbbbb' },
  });
});
