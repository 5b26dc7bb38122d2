/** `npm test`: check, build, every test. Stops what it started. The last line is `N passed, N failed`. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { engineRuns, stopEngine } from './lab/engine.ts';

interface Summary {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  success: boolean;
}

const run = (...argv: string[]): boolean => spawnSync(argv[0] ?? '', argv.slice(1), { stdio: 'inherit' }).status === 0;
const wasRunning = engineRuns();
const report = path.join(mkdtempSync(path.join(os.tmpdir(), 'fairlead-test-')), 'report.json');

const sound = run('node', 'packaging/check.ts');
const tested = sound && run('vitest', 'run', '--reporter=default', '--reporter=json', `--outputFile=${report}`);
if (!wasRunning) await stopEngine();

const summary: Summary = existsSync(report)
  ? (JSON.parse(readFileSync(report, 'utf8')) as Summary)
  : { numPassedTests: 0, numFailedTests: 1, numPendingTests: 0, success: false };
const good = tested && summary.success && summary.numPassedTests > 0;
// A file that could not even be loaded has no failed test of its own.
const failed = good ? 0 : Math.max(1, summary.numFailedTests);
console.log(`${summary.numPassedTests} passed, ${failed} failed`);
process.exitCode = good ? 0 : 1;
