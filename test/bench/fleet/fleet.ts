/**
 * How long `fairlead fleet status` takes for fleets of several sizes on a stock mosquitto, and how much memory; then the load of
 * a connected fleet on its broker (fleet-load.ts).
 */
import { populate } from '../../channel/populate.ts';
import { startLab } from '../../lab/lab.ts';
import { FLEET_SIZES } from '../report/catalogue.ts';
import type { BenchRun } from '../report/runner.ts';
import { fleetLoadBench } from './fleet-load.ts';
import { readStatus } from './fleet-reading.ts';

const ROUNDS = { full: 5, quick: 2 };
const QUICK_LIMIT = 1_000;

export async function fleetBench(run: BenchRun<'fleet'>): Promise<void> {
  await readingBench(run);
  await fleetLoadBench(run);
}

async function readingBench({ isQuick, log, record, leaveOut }: BenchRun<'fleet'>): Promise<void> {
  const lab = await startLab({ name: 'fleet', hosts: [], log });
  try {
    const url = `mqtt://${await lab.infra.address()}:1883`;
    for (const size of FLEET_SIZES) {
      if (isQuick && size > QUICK_LIMIT) {
        leaveOut([`status.${size}.ms`, `status.${size}.memory`], '--quick leaves this size out');
        continue;
      }
      const hosts = Array.from({ length: size }, (_, i) => `edge-${i}`);
      await populate(url, `size-${size}`, hosts);
      for (let i = 0; i < (isQuick ? ROUNDS.quick : ROUNDS.full); i++) {
        const reading = await readStatus({ url, prefix: `size-${size}`, fleet: 'f' });
        if (reading.hosts !== size) throw new Error(`${reading.hosts} of ${size} hosts were read`);
        record(`status.${size}.ms`, [reading.ms]);
        record(`status.${size}.memory`, [reading.mb]);
      }
    }
  } finally {
    await lab.stop();
  }
}
