/** The progress of a fleet with a commit, and the texts for a forge. */
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

test('hosts that have not seen the newest commit of their ref are counted as well', () => {
  expect(said([...rowsOf(2, { commit: NEW }), ...rowsOf(3, { commit: OLD, from: 2 })])).toEqual([
    'b pending: 2 of 5 hosts',
  ]);
});

test('if all hosts have it, the state is success', () => {
  expect(said(rowsOf(500, { commit: NEW }))).toEqual(['b success: 500 of 500 hosts']);
  expect(said(rowsOf(1, { commit: NEW }))).toEqual(['b success: 1 of 1 host']);
});

test('if one host failed, the state is failure, with the sentence of the first failed host', () => {
  const failed = { sync: 'failed', reason: 'UnitFailed', message: 'unit:app.service failed' };
  expect(said([row('c', failed), row('b', { ...failed, sync: 'rolled-back' }), row('a', {})])).toEqual([
    'b failure: 1 of 3 hosts; 2 failed. b: unit:app.service failed',
  ]);
});

test('temporary failures are waited for', () => {
  expect(said([row('a', { sync: 'failed', reason: 'RepositoryUnreachable', message: 'm' }), row('b', {})])).toEqual([
    'b pending: 1 of 2 hosts',
  ]);
});

test('held hosts, and hosts that still apply it, are waited for', () => {
  const rows = [row('a', { sync: 'held', reason: 'WindowClosed' }), row('b', { health: 'progressing' }), row('c', {})];
  expect(said(rows)).toEqual(['b pending: 1 of 3 hosts; 1 held']);
});

test('an offline host is named, and not waited for; one that has the commit counts even if offline', () => {
  const rows = [
    row('a', { commit: OLD, presence: 'offline' }),
    row('b', { presence: 'offline' }),
    row('c', {}),
    row('d', { commit: OLD, presence: 'offline' }),
  ];
  expect(said(rows)).toEqual(['b pending: 2 of 4 hosts']);
  expect(said(rows, (host) => host === 'a' || host === 'd')).toEqual(['b success: 2 of 4 hosts; 2 offline']);
});

test('a fleet whose hosts are all offline is no success', () => {
  expect(said([row('a', { sync: 'progressing', presence: 'offline' })], () => true)).toEqual([
    'b pending: 0 of 1 host; 1 offline',
  ]);
});

test('an offline host with a commit that is no longer on the branch decides nothing', () => {
  const rows = [row('a', { commit: NEW, presence: 'offline' }), row('b', { commit: OLD }), row('c', { commit: OLD })];
  expect(said(rows, (host) => host === 'a')).toEqual(['a success: 2 of 3 hosts; 1 offline']);
});

test('a host in observe mode, without a directory or without a status is not counted', () => {
  const rows = [
    row('a', { sync: 'held', reason: 'Observing' }),
    row('b', { sync: 'unassigned' }),
    row('c', { commit: null, ref: null }),
    row('d', {}),
  ];
  expect(said(rows)).toEqual(['b success: 1 of 1 host']);
});

test('each ref has its newest commit, and a commit of several refs is reported once', () => {
  const rows = [row('a', {}), row('b', { ref: 'canary' }), row('c', { ref: 'old', commit: OLD })];
  expect(said(rows)).toEqual(['b success: 2 of 2 hosts', 'a success: 1 of 1 host']);
});

test('an invalid commit id is never put into a request', () => {
  expect(said([row('a', { commit: '../../user' }), row('b', { commit: 'ABC' })])).toEqual([]);
});

test('success stays if a host is busy, unwell or new, and ends if a host fails on the commit', () => {
  const state = (more: object) => {
    const [progress] = progressOf([row('a', {}), row('b', more)], nobody);
    return progress && reportOf(progress, { hasSucceeded: true }).state;
  };
  expect(state({ health: 'progressing' })).toBe('success');
  expect(state({ commit: OLD })).toBe('success');
  expect(state({ health: 'degraded' })).toBe('success');
  expect(state({ sync: 'failed', reason: 'UnitFailed' })).toBe('failure');
});

test('a description is one short line, without credentials', () => {
  const message = `failed:\n\u001b[31mhttps://user:s3cr3t-word@example.com/ said no\u202e ${'x'.repeat(300)}`;
  const [progress] = progressOf([row('a', { sync: 'failed', reason: 'UnitFailed', message })], nobody);
  const { text } = reportOf(progress as NonNullable<typeof progress>, { hasSucceeded: false });
  expect(text).toHaveLength(MOST_LETTERS);
  expect(text).not.toMatch(/s3cr3t-word|\p{Cc}|\p{Cf}/u);
});

test('a superseded commit is reported as such, with its progress', () => {
  const before = { state: 'pending', text: '412 of 500 hosts', hosts: 500, done: 412 } as const;
  expect(supersededBy(NEW, before)).toEqual({
    ...before,
    ...{ state: 'superseded', text: '412 of 500 hosts; superseded by bbbbbbb' },
  });
});
