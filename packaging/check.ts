/** `npm run check`: everything that can be checked without running the code on a host. Ends at the first step's failure. */
import { spawnSync } from 'node:child_process';

const STEPS: readonly (readonly string[])[] = [
  ['tsc', '--noEmit'],
  // The page has a browser's types instead of Node's.
  ['tsc', '--noEmit', '-p', 'agent/dashboard'],
  ['biome', 'check', '.'],
  ['node', 'manifests-schema/generate.ts', '--check'],
  ['knip'],
  ['vitest', 'run', '--project', 'pure', 'test/unit/layers.test.ts', 'test/unit/reasons.test.ts'],
];

for (const [program = '', ...args] of STEPS) {
  const began = Date.now();
  const { status } = spawnSync(program, args, {
    stdio: 'inherit',
    env: { ...process.env, PATH: `node_modules/.bin:${process.env.PATH}` },
  });
  console.log(`check: ${program} ${status === 0 ? 'ok' : 'FAILED'} (${((Date.now() - began) / 1000).toFixed(1)} s)`);
  if (status !== 0) process.exit(1);
}
