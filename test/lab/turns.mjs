/**
 * Loaded before the agent under test (`NODE_OPTIONS=--import=…`): records the processor time of the agent's longest turn of the
 * event loop, in milliseconds, in a file that survives restarts. The first turn, which loads the program, does not count.
 */
import { readFileSync, writeFileSync } from 'node:fs';

const FILE = '/run/fairlead-longest-turn';
const BEAT_MS = 20;

const before = () => {
  try {
    return Number(readFileSync(FILE, 'utf8')) || 0;
  } catch {
    return 0;
  }
};

if (process.argv.includes('agent')) {
  let longest = before();
  let last = null;
  const beat = () => {
    const { user, system } = process.threadCpuUsage(last ?? process.threadCpuUsage());
    const tookMs = (user + system) / 1_000;
    if (tookMs > longest) {
      longest = tookMs;
      writeFileSync(FILE, String(longest));
    }
    last = process.threadCpuUsage();
  };
  setInterval(beat, BEAT_MS).unref();
}
