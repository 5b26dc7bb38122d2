/** The rooms of the test suite, which are vitest's projects: what is in each, and how many minutes it may take. */
import os from 'node:os';
import { THOROUGH } from './sweep.ts';

export interface Room {
  readonly name: string;
  /** Globs, relative to the repository. */
  readonly include: readonly string[];
  readonly exclude?: readonly string[];
  /** Wall time on two quiet cores, in minutes (docs/testing.md, "Time"). */
  readonly budgetMinutes: number;
  /** Limit of one test, in milliseconds; for a machine that is ten times slower, or busy with other things. */
  readonly testTimeout: number;
  readonly hookTimeout: number;
  readonly globalSetup?: readonly string[];
  /** Files side by side: a number, or a share of the cores. vitest's default leaves one core free, which is half of two. */
  readonly maxWorkers?: number | string;
}

const MINUTE = 60_000;
const GIT = 'test/unit/git/**/*.test.ts';
/** Tests that measure time or memory, and so run without the counting of coverage, which slows the measured code. */
const MEASURED = ['test/unit/**/fuzz.test.ts', 'test/unit/hostile-files.test.ts', 'test/unit/git/hostile.test.ts'];

/**
 * Files that need many minutes of a processor, for what cheaper ones show as well: the main job from the image of a container, and on
 * a machine without hardware help; its clock, its broken disks, and its power while the agent is replaced; self-upgrades and drills of
 * recovery on hosts that install the package. `npm run soak -- lab` and `-- cuts` play them.
 */
export const SOAKED: readonly string[] = [
  ...['test/lab/main-job-container.test.ts', 'test/lab/vm/agent.test.ts', 'test/lab/vm/power.test.ts'],
  ...['test/lab/vm/state-disk.test.ts', 'test/lab/vm/clock.test.ts', 'test/lab/vm/upgrade.test.ts'],
  ...['test/lab/agent-upgrade.test.ts', 'test/lab/recovery.test.ts'],
  // The page of the fleet in a browser; `npm run soak -- dashboard`. One case of it is in the suite.
  'test/dashboard/page.test.ts',
];

/** In this order, one after another: so each has a wall time of its own, and the lab never runs beside rooms that compute. */
export const ROOMS: readonly Room[] = [
  {
    name: 'pure',
    include: ['test/unit/**/*.test.ts'],
    exclude: [GIT, ...MEASURED],
    // Some of these wait for sockets, brokers and watches.
    maxWorkers: os.availableParallelism() + 2,
    budgetMinutes: 1.25,
    testTimeout: 3 * MINUTE,
    hookTimeout: 3 * MINUTE,
  },
  {
    name: 'git',
    include: [GIT],
    exclude: MEASURED,
    maxWorkers: '100%',
    budgetMinutes: 1,
    testTimeout: 3 * MINUTE,
    hookTimeout: 3 * MINUTE,
  },
  {
    name: 'engine',
    include: ['test/engine/**/*.test.ts', 'test/dashboard/**/*.test.ts'],
    exclude: THOROUGH ? [] : SOAKED,
    globalSetup: ['test/engine/setup.ts'],
    maxWorkers: '100%',
    budgetMinutes: 3,
    testTimeout: 4 * MINUTE,
    hookTimeout: 4 * MINUTE,
  },
  {
    name: 'hostile',
    include: MEASURED,
    maxWorkers: '100%',
    budgetMinutes: 1,
    testTimeout: 3 * MINUTE,
    hookTimeout: 3 * MINUTE,
  },
  {
    name: 'lab',
    include: ['test/contract/**/*.test.ts', 'test/lab/**/*.test.ts', 'test/field/**/*.test.ts'],
    exclude: THOROUGH ? [] : SOAKED,
    globalSetup: ['test/engine/setup.ts', 'test/lab/setup.ts'],
    budgetMinutes: 20,
    // A test waits several times, each time long enough for a machine on which four files run.
    testTimeout: 10 * MINUTE,
    hookTimeout: 15 * MINUTE,
    // Lab hosts wait most of their time: each file keeps a third of a core busy.
    maxWorkers: 4,
  },
];

/** The rooms whose code runs inside vitest, so that coverage can be counted; `hostile` is left out because it measures time and memory. */
export const COVERED: readonly string[] = ['pure', 'git', 'engine'];

/**
 * Names of files that take long, in each room the longest first. They begin in this order, before all others, so that none
 * of them runs on alone after the others have ended.
 */
export const LONG_FILES: readonly string[] = [
  // The first keeps the cores busy, the next ones wait.
  ...[
    'services-compared',
    'lab/rollback',
    'pulls',
    'lab/recovery',
    'lab/packages',
    'agent-upgrade',
    'field-1',
    'field-2',
    'field-3',
    'host-faults',
    'vm/machine',
  ],
  ...['engine-trouble', 'services-many', 'services-old', 'lab/images', 'services-kill', 'services-update'],
  ...['services-order', 'cut-host', 'services-start-first', 'contract/providers', 'services-failures'],
  ...['engine-kill', 'drift', 'contract/systemd', 'host-units', 'secrets-compose', 'systemd-service'],
  ...['git/pull', 'service-crash', 'interrupt', 'engine/crash'],
  ...['relay/people', 'broker-remarks', 'unit-crash', 'broker-ways', 'unit/fleet', 'unit/layers', 'hostile-broker'],
  ...[
    'status-socket',
    'which-container',
    'unanswered',
    'presence',
    'durable-pulls',
    'fleet-repo',
    'cli-repository',
    'unit/channel',
    'encrypted',
  ],
];
