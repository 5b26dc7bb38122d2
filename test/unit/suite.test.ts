/** The arithmetic of the suite: rooms of tests, their wall time and budgets, the ratchet of coverage. */
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import floors from '../coverage.json' with { type: 'json' };
import { coverageByRoom, droppedBelow, roomOf, SLACK } from '../coverage.ts';
import { FAR_OVER, tableOf, timesOf } from '../room-times.ts';
import { COVERED, LONG_FILES, ROOMS, SOAKED } from '../rooms.ts';

const ROOT = path.join(import.meta.dirname, '../..');

test('every test file is in one room or in the soak, and every room has files', () => {
  const all = globSync('test/**/*.test.ts', { cwd: ROOT }).sort();
  const inRooms = ROOMS.map(({ name, include, exclude = [] }) => {
    const left = globSync([...exclude], { cwd: ROOT });
    return { name, files: globSync([...include], { cwd: ROOT }).filter((file) => !left.includes(file)) };
  });
  expect(inRooms.filter((room) => room.files.length === 0)).toEqual([]);
  expect([...inRooms.flatMap((room) => room.files), ...SOAKED].sort()).toEqual(all);
  const soak = readFileSync(path.join(ROOT, 'test/soak/soak.ts'), 'utf8');
  expect(SOAKED.filter((file) => !soak.includes(`'${file}'`))).toEqual([]);
});

test('each name of a long file matches one file', () => {
  const all = globSync('test/**/*.test.ts', { cwd: ROOT });
  const filesOf = (name: string) => all.filter((file) => file.endsWith(`/${name}.test.ts`));
  expect(LONG_FILES.filter((name) => filesOf(name).length !== 1)).toEqual([]);
});

test('the covered rooms exist', () => {
  expect(COVERED.filter((name) => !ROOMS.some((room) => room.name === name))).toEqual([]);
});

describe('wall time by room', () => {
  const rooms = [
    { name: 'pure', budgetMinutes: 1 },
    { name: 'lab', budgetMinutes: 10 },
  ];
  const span = (room: string, from: number, to: number) => ({ room, file: 'x', from: from * 60_000, to: to * 60_000 });

  test('runs from the first start to the last end, however many files run in parallel', () => {
    const times = timesOf([span('lab', 3, 5), span('lab', 2, 4), span('lab', 4, 9)], rooms);
    expect(times).toEqual([{ room: 'lab', minutes: 7, budgetMinutes: 10, state: 'within' }]);
  });

  test.each([
    [1, 'within'],
    [1.1, 'over'],
    [FAR_OVER, 'over'],
    [FAR_OVER + 0.1, 'far over'],
  ])('%d minutes of one are %s', (minutes, state) => {
    expect(timesOf([span('pure', 0, minutes)], rooms)[0]?.state).toBe(state);
  });

  test('over its budget is marked in the table', () => {
    const lines = tableOf(timesOf([span('pure', 0, 2), span('lab', 0, 2)], rooms)).split('\n');
    expect(lines[0]).toContain('OVER ITS BUDGET');
    expect(lines[1]).not.toContain('OVER');
  });
});

describe('coverage by room', () => {
  const counts = (covered: number, total: number) => ({ covered, total });
  const file = (covered: number, total: number) => ({ lines: counts(covered, total), branches: counts(1, 2) });

  test.each([
    ['agent/kinds/file/diff.ts', 'kinds'],
    ['agent/main.ts', 'main'],
    ['manifests-schema/host.ts', 'manifests-schema'],
  ])('%s is in %s', (name, room) => {
    expect(roomOf(name)).toBe(room);
  });

  test('counts a file by its lines, not by its own percentage', () => {
    const rooms = coverageByRoom({ 'agent/git/a.ts': file(0, 10), 'agent/git/b.ts': file(30, 30) });
    expect(rooms).toEqual({ git: { lines: 75, branches: 50 } });
  });

  const floor = { git: { lines: 75, branches: 50 } };

  test('of a room that drops is reported with both figures', () => {
    const dropped = droppedBelow(floor, { git: { lines: 75 - SLACK - 0.1, branches: 50 } });
    expect(dropped).toEqual([expect.stringMatching(/^git: coverage of lines dropped from 75 to 73\.9 %/)]);
  });

  test('passes within the slack, after a rise, and for a new room', () => {
    expect(droppedBelow(floor, { git: { lines: 75 - SLACK, branches: 60 }, new: { lines: 0, branches: 0 } })).toEqual(
      [],
    );
  });

  test('fails for a removed room until it is removed from the file', () => {
    expect(droppedBelow(floor, {})).toEqual([expect.stringContaining('remove it there')]);
  });

  test('has a floor for each room of the agent in the file', () => {
    const rooms = new Set(globSync('agent/**/*.ts', { cwd: ROOT }).map(roomOf));
    expect([...rooms].filter((room) => !Object.hasOwn(floors, room))).toEqual([]);
  });
});
