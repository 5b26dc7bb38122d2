/**
 * `npm test`: the checks, then every test, in two runs of vitest: first the rooms that count for coverage, then those that
 * measure time or need real hosts. Prints wall time and coverage by room. Stops what it started. The last line is `N passed, N
 * failed`.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { checkCoverage } from './coverage.ts';
import { engineRuns, stopEngine } from './lab/engine.ts';
import { type Span, tableOf, timesOf } from './room-times.ts';
import { COVERED, ROOMS } from './rooms.ts';

/** The parts of a report of vitest's JSON reporter. */
interface Summary {
  numPassedTests: number;
  numFailedTests: number;
  success: boolean;
  testResults: { name: string; message: string; assertionResults: Result[] }[];
}
interface Result {
  status: string;
  fullName: string;
  failureMessages: string[] | null;
}
interface Counted {
  passed: number;
  failed: number;
  /**
   * The failures, each with the beginning of its message: printed again at the end, because a reader of a CI log may have only
   * that.
   */
  failures?: string[];
}

const results = mkdtempSync(path.join(os.tmpdir(), 'fairlead-test-'));
const times = path.join(results, 'times.jsonl');
/** Minutes for `npm run check`, beside those of the rooms. */
const CHECK = { name: 'check', budgetMinutes: 0.5 };

const run = (argv: readonly string[]): boolean =>
  spawnSync(argv[0] ?? '', argv.slice(1), {
    stdio: 'inherit',
    env: { ...process.env, FAIRLEAD_TEST_TIMES: times },
  }).status === 0;

/** Runs the tests of some rooms. A run that was interrupted, or found no test, counts as one failure. */
function test(rooms: readonly string[], ...more: readonly string[]): Counted {
  const report = path.join(results, `${rooms[0]}.json`);
  const projects = rooms.flatMap((room) => ['--project', room]);
  const reporters = ['--reporter=default', '--reporter=./test/room-times.ts', '--reporter=json'];
  const ended = run(['vitest', 'run', ...projects, ...reporters, `--outputFile=${report}`, ...more]);
  if (!existsSync(report)) return { passed: 0, failed: 1 };
  const summary = JSON.parse(readFileSync(report, 'utf8')) as Summary;
  const { numPassedTests, numFailedTests, success } = summary;
  const good = ended && success && numPassedTests > 0;
  // A file that could not even be loaded has no failed test of its own.
  const failed = good ? 0 : Math.max(1, numFailedTests);
  return { passed: numPassedTests, failed, failures: failuresOf(summary) };
}

function failuresOf({ testResults }: Summary): string[] {
  return testResults.flatMap(({ name, message, assertionResults }) => {
    const file = path.relative(path.join(import.meta.dirname, '..'), name);
    const ofTests = assertionResults
      .filter((result) => result.status === 'failed')
      .map(({ fullName, failureMessages }, i) => {
        const room = i === 0 ? FIRST : LATER;
        return `${file}: ${fullName}\n${beginningOf(failureMessages?.[0] ?? '', room)}`;
      });
    return ofTests.length === 0 && message ? [`${file}: ${message.split('\n')[0]}`] : ofTests;
  });
}

/** Enough to show the comparison, and the seed and the counterexample of a property. */
const FIRST = { lines: 14, width: 1000 };
/** Later failures of the same file mostly follow from the first one, which has to be in the end of the log. */
const LATER = { lines: 3, width: 300 };

const beginningOf = (message: string, { lines, width }: typeof FIRST): string =>
  stripVTControlCharacters(message)
    .split('\n')
    .filter((line) => !/^\s+at .*node_modules|node:internal/.test(line))
    .slice(0, lines)
    .map((line) => `    ${line.slice(0, width)}`)
    .join('\n');

/** One failure for each room that is far over its budget of minutes. */
function judgeTimes(checked: Span): Counted {
  const spans = existsSync(times)
    ? readFileSync(times, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Span)
    : [];
  const found = timesOf([checked, ...spans], [CHECK, ...ROOMS]);
  const minutes = found.reduce((sum, room) => sum + room.minutes, 0);
  console.log(`\nwall time by room, ${minutes.toFixed(1)} minutes in all:\n${tableOf(found)}`);
  return { passed: 0, failed: found.filter((room) => room.state === 'far over').length };
}

function everything(): Counted[] {
  const from = Date.now();
  if (!run(['node', 'packaging/check.ts'])) return [{ passed: 0, failed: 1 }];
  const checked: Span = { room: CHECK.name, file: 'packaging/check.ts', from, to: Date.now() };
  const counted = test(COVERED, '--coverage.enabled');
  const covered = checkCoverage() ? 0 : 1;
  const others = ROOMS.map((room) => room.name).filter((name) => !COVERED.includes(name));
  return [counted, { passed: 0, failed: covered }, test(others), judgeTimes(checked)];
}

const wasRunning = engineRuns();
const all = everything();
// Continues if another checkout tests on it by now.
if (!wasRunning) await stopEngine();
const passed = all.reduce((sum, counted) => sum + counted.passed, 0);
const failed = all.reduce((sum, counted) => sum + counted.failed, 0);
const failures = all.flatMap((counted) => counted.failures ?? []);
if (failures.length > 0) console.log(`\nwhat failed:\n${failures.map((failure) => `  ${failure}`).join('\n')}`);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
