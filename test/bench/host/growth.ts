/** How the costs of one host grow with its resources, from 10 to 1,000: nine files for each unit, beside the script. */
import { startLab } from '../../lab/lab.ts';
import { SIZES } from '../report/catalogue.ts';
import type { BenchRun } from '../report/runner.ts';
import { mountDisk, prepare, type Stage } from './host-tools.ts';
import { SCRIPT_ALONE } from './peers.ts';
import { holdContest } from './whole-host.ts';

const ROUNDS = { full: 3, quick: 1 };
const NO_OPS = { full: 5, quick: 3 };
const QUICK_LIMIT = 100;

export async function growthBench({ isQuick, log, record, leaveOut }: BenchRun<'growth'>): Promise<void> {
  const lab = await startLab({ name: 'bench-growth', hosts: [{ name: 'edge-1' }], log });
  let unmount = async () => {};
  try {
    const stage: Stage = { lab, host: lab.host('edge-1') };
    unmount = await mountDisk(stage.host);
    const { ready } = await prepare(stage, SCRIPT_ALONE, log);
    for (const size of SIZES) {
      if (isQuick && size > QUICK_LIMIT) {
        const ids = (['first', 'noop'] as const).flatMap((what) => [
          `${what}.${size}.fairlead` as const,
          `${what}.${size}.script` as const,
        ]);
        leaveOut(ids, '--quick leaves this size out');
        continue;
      }
      const units = size / 10;
      log(`${size - units} files, ${units} units`);
      await holdContest({
        stage,
        load: { files: size - units, units, services: 0 },
        peers: ready,
        rounds: isQuick ? ROUNDS.quick : ROUNDS.full,
        noOps: isQuick ? NO_OPS.quick : NO_OPS.full,
        log,
        took: (what, name, ms) => record(`${what}.${size}.${name as 'fairlead' | 'script'}`, ms),
      });
    }
  } finally {
    await lab.stop();
    await unmount();
  }
}
