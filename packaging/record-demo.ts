/**
 * `npm run recording`: runs the demo in a terminal, and writes what the terminal showed to docs/images/demo.svg. `-- --full`
 * records the demo on real hosts instead of the one in a temporary directory. Needs script(1) of util-linux.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { framesOf, readScript } from './recording/frames.ts';
import { recordingSvg } from './recording/svg.ts';

const ROOT = path.join(import.meta.dirname, '..');
const SIZE = { columns: 98, rows: 30 };
const { values: flags } = parseArgs({ options: { full: { type: 'boolean' } } });
const command = flags.full ? 'npm run demo' : 'npm run demo -- --light';

const dir = mkdtempSync(path.join(os.tmpdir(), 'fairlead-recording-'));
try {
  const [bytes, timing] = [path.join(dir, 'bytes'), path.join(dir, 'timing')];
  const shown = `stty cols ${SIZE.columns} rows ${SIZE.rows}; npm run --silent demo -- --exit ${flags.full ? '' : '--light'}`;
  const args = ['--quiet', '--return', '--command', shown, '--log-out', bytes, '--log-timing', timing];
  const { status } = spawnSync('script', args, { cwd: ROOT, stdio: ['ignore', 'ignore', 'inherit'] });
  if (status !== 0) throw new Error(`\`${command}\` ended with ${status}; run it by hand to see why`);
  const frames = await framesOf(readScript(readFileSync(bytes), readFileSync(timing, 'utf8')), SIZE);
  const description = 'A recording: first sync, a commit, drift that is repaired, a commit with an error, the fleet.';
  const svg = recordingSvg({ frames, size: SIZE, title: command, description });
  writeFileSync(path.join(ROOT, 'docs/images/demo.svg'), svg);
  console.log(`docs/images/demo.svg: ${frames.length} frames, ${Math.ceil(svg.length / 1024)} KiB`);
} finally {
  rmSync(dir, { recursive: true, force: true });
}
