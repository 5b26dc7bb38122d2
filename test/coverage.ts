/**
 * Coverage by room, with a ratchet: `node test/coverage.ts` reads vitest's counts (coverage/), prints them beside
 * test/coverage.json and fails if a room has dropped. `--raise` writes the counts into that file.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** Percentage points by which a room may drop: properties are tested with other values each time. */
export const SLACK = 1;

export interface Counts {
  covered: number;
  total: number;
}
/** The part of istanbul's json-summary for one file. */
export interface FileSummary {
  lines: Counts;
  branches: Counts;
}
/** Percent, with one digit. */
export interface Coverage {
  lines: number;
  branches: number;
}
export type Rooms = Readonly<Record<string, Coverage>>;

const ROOT = path.join(import.meta.dirname, '..');
const RATCHET = path.join(import.meta.dirname, 'coverage.json');

/** `agent/kinds/file/diff.ts` → `kinds`; the files of the composition root are `main`. */
export function roomOf(file: string): string {
  const [first = '', second = '', ...rest] = file.split('/');
  if (first !== 'agent') return first;
  return rest.length === 0 ? 'main' : second;
}

/** @param files path relative to the repository → its counts */
export function coverageByRoom(files: Readonly<Record<string, FileSummary>>): Rooms {
  const names = [...new Set(Object.keys(files).map(roomOf))].sort();
  return Object.fromEntries(
    names.map((name) => {
      const own = Object.entries(files).flatMap(([file, summary]) => (roomOf(file) === name ? [summary] : []));
      const percent = (of: keyof FileSummary): number => {
        const covered = own.reduce((sum, file) => sum + file[of].covered, 0);
        const total = own.reduce((sum, file) => sum + file[of].total, 0);
        return total === 0 ? 100 : Math.round((1000 * covered) / total) / 10;
      };
      return [name, { lines: percent('lines'), branches: percent('branches') }];
    }),
  );
}

/** Rooms that have dropped, one sentence each. A new room cannot drop; a removed one must be removed from the file. */
export function droppedBelow(ratchet: Rooms, counted: Rooms): string[] {
  return Object.entries(ratchet).flatMap(([room, floor]) => {
    const now = counted[room];
    if (!now) return [`${room} is in test/coverage.json and not in the code; remove it there`];
    return (['lines', 'branches'] as const)
      .filter((of) => now[of] < floor[of] - SLACK)
      .map((of) => `${room}: coverage of ${of} dropped from ${floor[of]} to ${now[of]} %; test what is new`);
  });
}

/** The counts of the last run; null if it left no summary, because it was stopped. */
function countedNow(): Rooms | null {
  const summary = path.join(ROOT, 'coverage/coverage-summary.json');
  if (!existsSync(summary)) return null;
  const { total: _, ...files } = JSON.parse(readFileSync(summary, 'utf8')) as Record<string, FileSummary>;
  return coverageByRoom(
    Object.fromEntries(Object.entries(files).map(([file, counts]) => [path.relative(ROOT, file), counts])),
  );
}

const percents = ({ lines, branches }: Coverage): string =>
  `${lines.toFixed(1).padStart(6)} ${branches.toFixed(1).padStart(8)}`;

/** Prints the table. @returns whether no room has dropped */
export function checkCoverage(raise = false): boolean {
  const ratchet = JSON.parse(readFileSync(RATCHET, 'utf8')) as Rooms;
  const counted = countedNow();
  if (!counted) {
    console.error('coverage: vitest has counted nothing; run `npm run coverage`');
    return false;
  }
  console.log('\ncoverage by room, in percent (in process; the lab is not counted):');
  console.log('  room               lines branches    floor');
  for (const [room, now] of Object.entries(counted)) {
    const floor = ratchet[room];
    console.log(`  ${room.padEnd(16)} ${percents(now)}   ${floor ? percents(floor) : '      new'}`);
  }
  if (raise) {
    writeFileSync(RATCHET, `${JSON.stringify(counted, null, 2)}\n`);
    return true;
  }
  const dropped = droppedBelow(ratchet, counted);
  for (const line of dropped) console.error(`coverage: ${line}`);
  return dropped.length === 0;
}

if (process.argv[1] === import.meta.filename)
  process.exitCode = checkCoverage(process.argv.includes('--raise')) ? 0 : 1;
