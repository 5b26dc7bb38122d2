/** How long `fairlead fleet status` takes for fleets of several sizes on a stock mosquitto, and how much memory. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { populate } from '../channel/populate.ts';
import { startLab } from '../lab/lab.ts';
import { median, print, type Row } from './table.ts';

const SIZES = [1, 1_000, 10_000];
const ROUNDS = 3;
const PROGRAM = path.join(import.meta.dirname, '../../dist/fairlead.cjs');
const LOOK_MS = 20;

export async function fleetBench(): Promise<void> {
  const lab = await startLab({ name: 'fleet', hosts: [], log: (line) => console.log(`   ${line}`) });
  try {
    const url = `mqtt://${await lab.infra.address()}:1883`;
    const rows: Row[] = [];
    for (const size of SIZES) {
      const hosts = Array.from({ length: size }, (_, i) => `edge-${i}`);
      await populate(url, `size-${size}`, hosts);
      const runs: Reading[] = [];
      for (let i = 0; i < ROUNDS; i++) runs.push(await read(url, `size-${size}`));
      const short = runs.find(({ hosts }) => hosts !== size);
      if (short) throw new Error(`${short.hosts} of ${size} hosts were read`);
      rows.push({ what: `fleet status, ${size} hosts`, value: median(runs.map(({ ms }) => ms)), unit: 'ms' });
      rows.push({ what: `   its memory at most`, value: Math.max(...runs.map(({ mb }) => mb)), unit: 'MB' });
    }
    print(rows);
  } finally {
    await lab.stop();
  }
}

interface Reading {
  ms: number;
  /** Resident, at its highest. */
  mb: number;
  /** That are well. */
  hosts: number;
}

async function read(url: string, prefix: string): Promise<Reading> {
  const began = performance.now();
  const argv = [PROGRAM, 'fleet', 'status', '--json', '--broker', url, '--prefix', prefix, '--fleet', 'f'];
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
