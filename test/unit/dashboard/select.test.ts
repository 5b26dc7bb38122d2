/** Filters of the page, its address, its groups and its commits. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { commitsOf, rolloutOf } from '../../../agent/dashboard/model/commits.ts';
import { causesOf, countsOf, groupsOf, labelKeys, select } from '../../../agent/dashboard/model/select.ts';
import { STATES } from '../../../agent/dashboard/model/state.ts';
import { HOME, isFiltered, type Place, placeOf, queryOf } from '../../../agent/dashboard/model/url.ts';
import { hostsOf, judged, MINUTE, NOW } from './rows.ts';

const NEW = 'a'.repeat(40);
const OLD = 'b'.repeat(40);
const ALL = [
  judged('berlin-1', { labels: { site: 'berlin', ring: 'canary' } }),
  judged('berlin-2', {
    labels: { site: 'berlin' },
    runs: OLD,
    sync: 'failed',
    reason: 'ImagePullFailed',
    message: 'cannot pull shop:2',
  }),
  judged('oslo-1', { labels: { site: 'oslo' }, runs: '', presence: 'offline' }),
];
const shown = (change: Partial<Place>) => hostsOf(select(ALL, { ...HOME, ...change }));

describe('filters', () => {
  test.each<[string, Partial<Place>, string[]]>([
    ['none', {}, ['berlin-1', 'berlin-2', 'oslo-1']],
    ['a part of the name', { search: 'oslo' }, ['oslo-1']],
    ['a label as it is written', { search: 'SITE=berlin' }, ['berlin-1', 'berlin-2']],
    ['two words that both match', { search: 'berlin pull' }, ['berlin-2']],
    ['a commit by its first letters', { search: 'bbbb' }, ['berlin-2']],
    ['several states', { states: ['failed', 'offline'] }, ['berlin-2', 'oslo-1']],
    ['hosts that need attention', { isNeeding: true }, ['berlin-2', 'oslo-1']],
    [
      'a label',
      {
        labels: [
          ['site', 'berlin'],
          ['ring', 'canary'],
        ],
      },
      ['berlin-1'],
    ],
    ['hosts without a label', { labels: [['ring', '']] }, ['berlin-2', 'oslo-1']],
    ['a commit', { commit: OLD }, ['berlin-2']],
    ['hosts that run no commit', { commit: 'none' }, ['oslo-1']],
    ['a reason', { cause: 'ImagePullFailed' }, ['berlin-2']],
  ])('%s', (_name, place, hosts) => {
    expect(shown(place)).toEqual(hosts);
  });

  test('without criteria return the same list object', () => {
    expect(select(ALL, HOME)).toBe(ALL);
  });
});

describe('the address', () => {
  const text = fc.string({ minLength: 1, maxLength: 20 });
  const place: fc.Arbitrary<Place> = fc.record({
    view: fc.constantFrom('fleet', 'groups', 'commits', 'live'),
    host: fc.constant(''),
    search: text,
    states: fc.subarray([...STATES]),
    isNeeding: fc.boolean(),
    labels: fc.array(
      fc.tuple(
        text.filter((key) => !key.includes('=')),
        fc.string({ maxLength: 20 }),
      ),
      { maxLength: 4 },
    ),
    commit: text,
    cause: text,
    by: text,
  });

  test('survives a round trip through its place', () => {
    fc.assert(fc.property(place, (one) => void expect(placeOf(queryOf(one))).toEqual(one)));
  });

  test('accepts any text', () => {
    fc.assert(fc.property(fc.string(), (query) => void placeOf(query)));
  });

  test('of the fleet is empty', () => {
    expect(queryOf(HOME)).toBe('?');
    expect(isFiltered(HOME)).toBe(false);
  });

  test('of a host names it', () => {
    expect(placeOf('?host=oslo-1')).toMatchObject({ view: 'host', host: 'oslo-1' });
  });

  test('drops states that do not exist', () => {
    expect(placeOf('?state=failed&state=happy').states).toEqual(['failed']);
  });
});

describe('totals over hosts', () => {
  test('count by need and by state', () => {
    const { all, needs, well, byState } = countsOf(ALL);
    expect({ all, needs, well, offline: byState.get('offline') }).toEqual({ all: 3, needs: 2, well: 1, offline: 1 });
  });

  test('report a common cause once for all its hosts', () => {
    const more = judged('berlin-3', { sync: 'failed', reason: 'ImagePullFailed' });
    expect(causesOf([...ALL, more]).map(({ cause, hosts }) => ({ cause, hosts }))).toEqual([
      { cause: 'ImagePullFailed', hosts: 2 },
      { cause: 'offline', hosts: 1 },
    ]);
  });

  test('rank labels by their number of hosts', () => {
    expect(labelKeys(ALL)).toEqual(['site', 'ring']);
  });

  test('group by a label: groups that need attention first, hosts without the label as a group of their own', () => {
    expect(groupsOf(ALL, 'ring').map(({ value, counts }) => [value, counts.all, counts.needs])).toEqual([
      ['', 2, 2],
      ['canary', 1, 0],
    ]);
  });
});

describe('commits over hosts', () => {
  test('are listed newest first, with the hosts that run them and those still on the way', () => {
    const groups = commitsOf(ALL);
    expect(groups.map(({ commit, counts, asked }) => ({ commit, hosts: counts.all, asked }))).toEqual([
      { commit: NEW, hosts: 1, asked: 2 },
      { commit: OLD, hosts: 1, asked: 0 },
      { commit: 'none', hosts: 1, asked: 0 },
    ]);
  });

  test('a rollout curve rises to the number of hosts that run the commit, by the time of each apply', () => {
    const at = (minutes: number) => judged(`h${minutes}`, { appliedAt: NOW - minutes * MINUTE });
    const groups = commitsOf([at(30), at(20), at(10)]);
    const { times, series } = rolloutOf(groups, NOW);
    const byTime = new Map(times.map((second, i) => [second * 1_000 - NOW, series[0]?.[i]]));
    expect(byTime.get(-30 * MINUTE - 1_000)).toBe(0);
    expect(byTime.get(-30 * MINUTE)).toBe(1);
    expect(byTime.get(-20 * MINUTE)).toBe(2);
    expect(byTime.get(0)).toBe(3);
  });

  test('a rollout curve of ten thousand hosts is thinned, and ends with all of them', () => {
    const all = Array.from({ length: 10_000 }, (_, i) => judged(`h${i}`, { appliedAt: NOW - i * 1_000 }));
    const { times, series } = rolloutOf(commitsOf(all), NOW);
    expect(times.length).toBeLessThan(500);
    expect(series[0]?.at(-1)).toBe(10_000);
  });

  test('an empty fleet has no curve', () => {
    expect(rolloutOf([], NOW)).toEqual({ times: [], series: [] });
  });
});
