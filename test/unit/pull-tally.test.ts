/** The sums over the progress messages of a Docker engine during a pull. */
import { expect, test } from 'vitest';
import { createTally } from '../../agent/system/docker/pull-tally.ts';

test('bytes of all layers are added up; unpacking and existing layers do not count', () => {
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
  'a layer is complete if `%s` is its first message',
  (status) => {
    const tally = createTally();
    tally.note({ status: 'Downloading', id: 'a', progressDetail: { current: 90, total: 100 } });
    expect([tally.note({ status, id: 'a' }), tally.note({ status, id: 'a' })]).toEqual([true, false]);
    expect([tally.done(), tally.total()]).toEqual([100, 100]);
  },
);

test('a layer of unknown size counts as large as its received bytes', () => {
  const tally = createTally();
  tally.note({ status: 'Downloading', id: 'a', progressDetail: { current: 7 } });
  tally.note({ status: 'Downloading', id: 'a', progressDetail: { current: 9, total: -1 } });
  expect([tally.done(), tally.total()]).toEqual([9, 9]);
});
