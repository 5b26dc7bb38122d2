/** One host of the benchmark: pulls on request, and reports the cost. Messages use the fork's channel. */
import { readFileSync } from 'node:fs';
import { parseConfig } from '../../../agent/config.ts';
import type { Provenance } from '../../../agent/core/trust.ts';
import { createSource } from '../../../agent/git/source.ts';
import { silentLog } from '../../../agent/log.ts';
import { exec } from '../../../agent/system/exec.ts';

const [url = '', hostPath = '', gitdir = ''] = process.argv.slice(2);
const text = `host: edge-1\nrepo:\n  url: ${url}\n  ref: main\n  path: ${hostPath}\n`;
const { repo } = parseConfig('agent.yaml', text, 'edge-1');
const source = createSource({ url: repo.url, ref: repo.ref, path: repo.path, gitdir, env: {}, exec, log: silentLog });
const { signal } = new AbortController();
let accepted: string | null = null;
let newest: Provenance | null = null;

/** As the engine does. @returns the files of this host */
async function pull(): Promise<number | null> {
  const head = await source.head(signal);
  if (head === accepted) return null;
  const review = await source.review(head, { accepted, newest, named: false, allowRewind: false }, signal);
  if (review.hold) throw new Error(review.hold.message);
  const { files } = await source.checkout(head, signal);
  accepted = head;
  newest = review.provenance;
  return files.size;
}

/** For this process only: getrusage(2) counts what its parent was before it started, too. */
const peakKb = () => Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? 0);

process.on('message', async () => {
  const cpu = process.cpuUsage();
  const began = performance.now();
  const files = await pull();
  const wallMs = performance.now() - began;
  // Background work counts as well.
  await source.settled();
  const { user, system } = process.cpuUsage(cpu);
  process.send?.({ files, wallMs, cpuMs: (user + system) / 1000, peakKb: peakKb() });
});
process.on('disconnect', () => process.exit());
process.send?.({ baseKb: peakKb() });
