/**
 * `npm run soak [-- PART…]`: tests that take hours. Each part ends with a line, the whole with exit 1 if one failed.
 *
 * - growth: memory, descriptors and watches over 10,000 reconciles
 * - histories: random crashes of a run
 * - git: histories of adds, reverts, fetches and restarts
 * - kills: a real host loses its power
 * - sweeps: each moment of which `npm test` tries a sample (test/sweep.ts)
 * - field: all cases of test/field
 * - cuts: 200 power cuts of a lab host and of a virtual machine, and a state disk that is full, broken or read-only
 * - lab: long tests on real hosts and on the virtual machine: main job, clock, upgrades by a commit, recovery
 * - brokers: fleets of up to 10,000 hosts at each broker that Debian has
 * - dashboard: the page of the fleet in a browser
 * - demo: `npm run demo`, light and on real hosts
 * - packages: all packages as a release builds them, and the .deb on Debian's next release
 * - bootstrap: the samples, read by cloud-init and run by Ansible
 * - monitoring: alert rules and the dashboard's queries, by Debian's Prometheus
 * - docs: the site of docs/, whose generator reports dead links
 * - hostile: malicious servers, brokers, containers, users and files, with new seeds for an hour
 */
import { spawnSync } from 'node:child_process';

/** Duration of the hostile part, in minutes. */
const HOSTILE_MINUTES = Number(process.env.FAIRLEAD_HOSTILE_MINUTES ?? 60);
/** Cases of each property in a round of the hostile part; fast-check's own default is 100. */
const HOSTILE_RUNS = 500;
const HOSTILE = [
  '--testTimeout=600000',
  ...['--project', 'hostile', '--project', 'git', '--project', 'pure', '--project', 'engine'],
  ...['fuzz', 'hostile', 'false-refs', 'tame', 'reach', 'control', 'mount-guard', 'exposed', 'door', 'interrupt'],
];

const DEMO = ['node', 'test/demo/demo.ts', '--exit'];
const CUT = ['test/lab/cut-host.test.ts', 'test/lab/vm/power.test.ts', 'test/lab/vm/state-disk.test.ts'];
/** Parts that take minutes for each of their cases. */
const LONG = [
  ...['test/lab/main-job-container.test.ts', 'test/lab/agent-upgrade.test.ts', 'test/lab/recovery.test.ts'],
  ...['test/lab/vm/agent.test.ts', 'test/lab/vm/clock.test.ts', 'test/lab/vm/upgrade.test.ts'],
];
const SWEEPS = [
  'services-kill',
  'engine-kill',
  'services-many',
  'services-compared',
  'services-old',
  'engine/upgrade-script',
];

/** malloc and V8 return memory as early as they can, so that growth means a leak. */
const GROWTH_ENV = {
  MALLOC_ARENA_MAX: '1',
  MALLOC_MMAP_THRESHOLD_: '32768',
  MALLOC_TRIM_THRESHOLD_: '65536',
  MALLOC_TOP_PAD_: '65536',
};
const GROWTH_FLAGS = [
  ...['--expose-gc', '--optimize-for-size', '--no-sparkplug', '--no-maglev', '--no-opt'],
  '--max-semi-space-size=2',
];

function run(argv: readonly string[], env: Record<string, string> = {}): boolean {
  const [program = '', ...args] = argv;
  return spawnSync(program, args, { stdio: 'inherit', env: { ...process.env, ...env } }).status === 0;
}
const vitest = (env: Record<string, string>, ...args: string[]) => run(['vitest', 'run', ...args], env);

/** Rounds with new seeds; a round that fails prints its seed and ends the part. */
function hostile(): boolean {
  const end = Date.now() + HOSTILE_MINUTES * 60_000;
  for (let seed = Date.now() % 1_000_000; Date.now() < end; seed++) {
    console.log(`hostile: FAIRLEAD_SEED=${seed} FAIRLEAD_RUNS=${HOSTILE_RUNS}`);
    if (!vitest({ FAIRLEAD_SEED: String(seed), FAIRLEAD_RUNS: String(HOSTILE_RUNS) }, ...HOSTILE)) return false;
  }
  return true;
}

const PARTS: Readonly<Record<string, () => boolean>> = {
  growth: () => run(['node', ...GROWTH_FLAGS, 'test/soak/growth.ts'], GROWTH_ENV),
  histories: () => vitest({ FAIRLEAD_HISTORIES: '20000' }, '--project', 'engine', 'test/engine/crash.test.ts'),
  git: () => vitest({ FAIRLEAD_GIT_HISTORIES: '20000' }, '--project', 'git', 'test/unit/git/store.test.ts'),
  kills: () => vitest({ FAIRLEAD_KILLS: '100' }, '--project', 'lab', 'test/lab/host-faults.test.ts'),
  sweeps: () => vitest({ FAIRLEAD_THOROUGH: '1' }, '--project', 'lab', '--project', 'engine', ...SWEEPS),
  field: () => vitest({ FAIRLEAD_THOROUGH: '1' }, '--project', 'lab', 'test/field'),
  cuts: () =>
    vitest({ FAIRLEAD_CUTS: process.env.FAIRLEAD_CUTS ?? '200', FAIRLEAD_THOROUGH: '1' }, '--project', 'lab', ...CUT),
  lab: () => vitest({ FAIRLEAD_THOROUGH: '1' }, '--project', 'lab', ...LONG),
  dashboard: () => vitest({ FAIRLEAD_THOROUGH: '1' }, '--project', 'engine', 'test/dashboard/page.test.ts'),
  demo: () => run([...DEMO, '--light']) && run(DEMO),
  packages: () => run(['node', 'test/soak/packages.ts']),
  bootstrap: () => run(['node', 'test/soak/bootstrap.ts']),
  monitoring: () => run(['node', 'packaging/build.ts']) && run(['node', 'test/soak/monitoring.ts']),
  docs: () => run(['node', 'packaging/build-docs.ts']),
  brokers: () => run(['node', 'test/soak/brokers.ts']),
  hostile,
};

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !(name in PARTS));
if (unknown.length > 0) {
  console.error(`no such part: ${unknown.join(', ')}; there are ${Object.keys(PARTS).join(', ')}`);
  process.exit(64);
}
const failed: string[] = [];
for (const [name, part] of Object.entries(PARTS)) {
  if (asked.length > 0 && !asked.includes(name)) continue;
  const isGood = part();
  console.log(`soak: ${name} ${isGood ? 'ok' : 'FAILED'}`);
  if (!isGood) failed.push(name);
}
process.exitCode = failed.length === 0 ? 0 : 1;
