/** One reading of a fleet by the command line: its time and its memory. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';

const PROGRAM = path.join(import.meta.dirname, '../../../dist/fairlead.cjs');
const LOOK_MS = 20;

export interface StatusReading {
  ms: number;
  /** Peak resident memory. */
  mb: number;
  /** Number of hosts that are well. */
  hosts: number;
}

/** Started as by a person: `fairlead fleet status --json`, from the bundle. */
export async function readStatus({
  url,
  prefix,
  fleet,
}: Record<'url' | 'prefix' | 'fleet', string>): Promise<StatusReading> {
  const began = performance.now();
  const argv = [PROGRAM, 'fleet', 'status', '--json', '--broker', url, '--prefix', prefix, '--fleet', fleet];
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  let mb = 0;
  const look = setInterval(() => {
    try {
      // proc_pid_status(5): the peak so far, in KiB.
      const peak = /^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1];
      mb = Math.max(mb, Number(peak ?? 0) / 1024);
    } catch {
      // It has ended.
    }
  }, LOOK_MS);
  await new Promise((resolve) => child.once('close', resolve));
  clearInterval(look);
  const { counts } = JSON.parse(text) as { counts: { well: number } };
  return { ms: performance.now() - began, mb, hosts: counts.well };
}
