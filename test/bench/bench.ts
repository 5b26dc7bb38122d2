/**
 * `npm run bench [-- BENCH …] [--quick] [--write] [--slow]`: the costs of fairlead, beside its peers and the floors. Without a
 * name: all benches. `--quick` has fewer repetitions and smaller sizes, for under five minutes. `--write` writes
 * docs/performance.md and its plots, from this run and the earlier ones. `--slow` includes ansible-pull among the peers, which
 * needs minutes for a run that changes nothing.
 */
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { dashboardBench } from './fleet/dashboard.ts';
import { fleetBench } from './fleet/fleet.ts';
import { agentBench } from './host/agent.ts';
import { driftBench } from './host/drift.ts';
import { growthBench } from './host/growth.ts';
import { hostBench } from './host/host.ts';
import { idleBench } from './host/idle.ts';
import { servicesBench } from './host/services.ts';
import { togetherBench } from './host/together.ts';
import { writtenBench } from './host/written.ts';
import { gitBench } from './repo/git.ts';
import { loadingBench } from './repo/loading.ts';
import { validateBench } from './repo/validate.ts';
import type { BenchName } from './report/catalogue.ts';
import { RESULT_FILES, readResults, writePage, writeResults } from './report/files.ts';
import { stampNow } from './report/machine.ts';
import { mergeResults, publishable } from './report/results.ts';
import { type Benches, runBenches } from './report/runner.ts';
import { verdictsText } from './report/terminal.ts';
import { verdictsOf } from './report/verdict.ts';
import { isMeasured } from './report/weights.ts';

const REPO = path.join(import.meta.dirname, '../..');
/** Cheap ones first, so that a problem of the machine shows early. */
const BENCHES: Benches = {
  loading: loadingBench,
  validate: validateBench,
  git: gitBench,
  idle: idleBench,
  agent: agentBench,
  drift: driftBench,
  services: servicesBench,
  growth: growthBench,
  host: hostBench,
  together: togetherBench,
  written: writtenBench,
  fleet: fleetBench,
  dashboard: dashboardBench,
};

const NAMES = Object.keys(BENCHES) as BenchName[];
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: 'boolean' }, write: { type: 'boolean' }, slow: { type: 'boolean' } },
});
const isQuick = values.quick === true;
const unknown = positionals.filter((name) => !Object.hasOwn(BENCHES, name));
if (unknown.length > 0 || (isQuick && values.write === true)) {
  const why =
    unknown.length > 0
      ? `no bench ${unknown.join(', ')}; there are ${NAMES.join(', ')}`
      : 'figures of --quick are not written down; leave out --quick or --write';
  console.error(`bench: ${why}`);
  process.exit(64);
}

execFileSync(process.execPath, ['packaging/build.ts'], { cwd: REPO, stdio: 'inherit' });
if (isQuick)
  console.log(
    '--quick: fewer repetitions and smaller sizes; these figures show what is broken, not what fairlead weighs',
  );
const file = isQuick ? RESULT_FILES.quick : RESULT_FILES.full;
const outcomes = await runBenches({
  benches: BENCHES,
  names: NAMES.filter((name) => positionals.length === 0 || positionals.includes(name)),
  isQuick,
  hasSlowPeers: values.slow === true,
  print: (line) => console.log(line),
  stamp: stampNow,
  finished: (one) => writeResults(file, mergeResults(readResults(file), one)),
});
console.log(`\n── the table${isQuick ? ', of smaller sizes than its rows say' : ''} ──`);
const verdicts = verdictsOf(outcomes);
const own = verdicts.filter(
  ({ weight }) => positionals.length === 0 || (isMeasured(weight) && weight.bench in outcomes),
);
for (const line of verdictsText(own, verdicts.length - own.length)) console.log(line);
console.log(`results are in ${path.relative(REPO, file)}${isQuick ? '; --quick: no figure to quote' : ''}`);
if (values.write === true) {
  // Everything that was measured on this machine: several runs may make one page.
  writePage(mergeResults(readResults(RESULT_FILES.published), publishable(readResults(file))));
  console.log('docs/performance.md and its plots are written; look at them before you commit them');
}
// A row that misses its target is a result. A broken bench is a failure.
if (Object.values(outcomes).some(({ failure }) => failure !== null)) process.exitCode = 1;
