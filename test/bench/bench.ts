/** `npm run bench [-- PART …]`: what fairlead weighs, in ratios of one run on one machine. Without a part: all of them. */
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { agentBench } from './agent.ts';
import { driftBench } from './drift.ts';
import { fleetBench } from './fleet.ts';
import { gitBench } from './git.ts';
import { hostBench } from './host.ts';
import { idleBench } from './idle.ts';
import { servicesBench } from './services.ts';
import { togetherBench } from './together.ts';
import { validateBench } from './validate.ts';
import { writtenBench } from './written.ts';

const PARTS: Record<string, () => Promise<void>> = {
  agent: agentBench,
  drift: driftBench,
  fleet: fleetBench,
  git: gitBench,
  host: () => hostBench(),
  idle: idleBench,
  services: servicesBench,
  together: togetherBench,
  validate: validateBench,
  written: writtenBench,
};

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !Object.hasOwn(PARTS, name));
if (unknown.length > 0) {
  console.error(`bench: no part ${unknown.join(', ')}; there are ${Object.keys(PARTS).join(', ')}`);
  process.exit(64);
}
execFileSync(process.execPath, ['packaging/build.ts'], {
  cwd: path.join(import.meta.dirname, '../..'),
  stdio: 'inherit',
});
for (const [name, part] of Object.entries(PARTS)) {
  if (asked.length > 0 && !asked.includes(name)) continue;
  console.log(`\n── ${name} ──`);
  await part();
}
