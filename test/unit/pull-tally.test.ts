/** The sums of what an engine tells while it pulls. */
import { expect, test } from 'vitest';
import { createTally } from '../../agent/system/docker/pull-tally.ts';

test('bytes of all layers are added up; unpacking and layers that are here count for nothing', () => {
  const tally = createTally();
  const told = [
    { status: 'Pulling from app', id: '1' },
    { status: 'Pulling fs layer', id: 'a' },
    { status: 'Already exists', id: 'z' },
    { status: 'Downloading', id: 'a', progressDetail: { current: 10, total: 100 } },
    { status: 'Downloading', id: 'b', progressDetail: { current: 5, total: 50 } },
    { status: 'Downloading', id: 'b', progressDetail: { current: 5, total: 50 } },
    { status: 'Download complete', id: 'b' },
    { status: 'Extracting', id: 'b', progressDetail: { current: 900, total: 1000 } },
    { status: 'Downloading', id: 'a', progressDetail: { current: 60, total: 100 } },
    { status: 'Download complete', id: 'c' },
  ].map((line) => (tally.note(line) ? `${tally.done()}/${tally.total()}` : ''));
  expect(told).toEqual(['', '', '', '10/100', '15/150', '', '60/150', '', '110/150', '']);
});

test.each(['Download complete', 'Extracting', 'Pull complete'])(
  'a layer has come when `%s` is the first that is said',
  (status) => {
    const tally = createTally();
    tally.note({ status: 'Downloading', id: 'a', progressDetail: { current: 90, total: 100 } });
    expect([tally.note({ status, id: 'a' }), tally.note({ status, id: 'a' })]).toEqual([true, false]);
    expect([tally.done(), tally.total()]).toEqual([100, 100]);
  },
);

test('a layer whose size the registry does not tell is as large as what has come of it', () => {
  const tally = createTally();
  tally.note({ status: 'Downloading', id: 'a', progressDetail: { current: 7 } });
  tally.note({ status: 'Downloading', id: 'a', progressDetail: { current: 9, total: -1 } });
  expect([tally.done(), tally.total()]).toEqual([9, 9]);
});
