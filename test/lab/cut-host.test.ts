/**
 * The agent loses power at random moments of its work, many times: nothing is half written, and it comes to what is declared.
 * `FAIRLEAD_CUTS` of them (`npm run soak -- cuts`: 200); `FAIRLEAD_SEED` plays them again.
 */
import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest';
import { generator } from '../random.ts';
import { apiOf } from './api.ts';
import { type CutHost, createCutHost } from './cut-host.ts';
import { type Cuts, createCuts } from './cuts.ts';
import { type Lab, type LabHost, startLab } from './lab.ts';

const CUTS = Number(process.env.FAIRLEAD_CUTS ?? 3);
const SEED = Number(process.env.FAIRLEAD_SEED ?? Date.now() % 1_000_000);
const MINUTE = 60_000;
/** How long a run may take, before one was seen. */
const FIRST_RUN_MS = 3_000;
/** How often the power fails again while the agent puts right what the cut before it left. */
const AGAIN = 0.3;
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe.skipIf(process.getuid?.() !== 0)('the power of the agent', () => {
  let lab: Lab;
  let host: LabHost;
  let disk: CutHost;
  let cuts: Cuts;

  beforeAll(async () => {
    lab = await startLab({ name: 'cuts', hosts: [{ name: 'edge-1' }] });
    host = lab.host('edge-1');
    disk = createCutHost(host);
    await disk.begin();
    cuts = createCuts({ host, infra: lab.infra, repo: await lab.infra.createRepo('fleet') });
    await cuts.begin();
    // systemd would start it again before the disk is what the cut left.
    await host.write('/etc/systemd/system/fairlead.service.d/cuts.conf', '[Service]\nRestart=no\n');
    await host.sh('systemctl daemon-reload; sync -f /disk');
  }, 10 * MINUTE);
  afterAll(async () => {
    await disk?.remove();
    await lab?.stop();
  });

  test(
    `fails at a random moment, ${CUTS} times (FAIRLEAD_SEED=${SEED})`,
    async () => {
      onTestFailed(async () => console.error(await host.journal('fairlead.service')));
      const api = apiOf(host);
      const random = generator(SEED);
      let lastsMs = FIRST_RUN_MS;
      for (let n = 1; n <= CUTS; n++) {
        await cuts.next();
        const sync = api.sync().catch(() => null);
        await Promise.race([sleep(random() * lastsMs * 1.2), sync]);
        await disk.cut();
        await sync;
        await cuts.whole();
        await disk.start();
        while (random() < AGAIN) {
          await sleep(random() * 2 * lastsMs);
          await disk.cut();
          await cuts.whole();
          await disk.start();
        }
        await cuts.converged();
        const done = (await api.status())?.run;
        if (done && done.changed > 0) lastsMs = done.durationMs;
        if (n % 10 === 0) console.log(`${n} of ${CUTS} cuts, seed ${SEED}`);
      }
      expect(cuts.generation).toBe(CUTS + 1);
    },
    CUTS * 5 * MINUTE,
  );
});
