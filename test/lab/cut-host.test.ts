/**
 * The agent loses power right after it reported a result, at the moment that a change becomes visible, and at random moments of
 * its work, many times: nothing is half written, nothing that was reported is undone, and the declared state is reached.
 * `FAIRLEAD_CUTS` is their number (`npm run soak -- cuts`: 200); `FAIRLEAD_SEED` repeats them.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFailed, test } from 'vitest';
import { generator } from '../random.ts';
import { apiOf } from './api.ts';
import { type CutEngine, createCutEngine } from './cut-engine.ts';
import { type CutHost, createCutHost } from './cut-host.ts';
import { type Cuts, createCuts } from './cuts.ts';
import { type Lab, type LabHost, startLab } from './lab.ts';

const CUTS = Number(process.env.FAIRLEAD_CUTS ?? 3);
const SEED = Number(process.env.FAIRLEAD_SEED ?? Date.now() % 1_000_000);
const MINUTE = 60_000;
/** Duration of a run, before one was measured. */
const FIRST_RUN_MS = 3_000;
/** How often the power fails again while the agent repairs the effects of the previous cut. */
const AGAIN = 0.3;
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe.skipIf(process.getuid?.() !== 0)('a power cut of the agent', () => {
  let lab: Lab;
  let host: LabHost;
  let disk: CutHost;
  let engine: CutEngine;
  let cuts: Cuts;

  beforeAll(async () => {
    lab = await startLab({ name: 'cuts', hosts: [{ name: 'edge-1' }] });
    host = lab.host('edge-1');
    disk = createCutHost(host);
    engine = createCutEngine(host);
    await disk.begin();
    cuts = createCuts({ host, infra: lab.infra, repo: await lab.infra.createRepo('fleet') });
    await cuts.begin();
    // systemd would restart it before the disk is in its state after the cut.
    await host.write('/etc/systemd/system/fairlead.service.d/cuts.conf', '[Service]\nRestart=no\n');
    await host.sh('systemctl daemon-reload; sync -f /disk');
  }, 10 * MINUTE);
  afterAll(async () => {
    await engine?.remove();
    await disk?.remove();
    await lab?.stop();
  });

  beforeEach(() => onTestFailed(async () => console.error(await host.journal('fairlead.service'))));

  test('right after a run was reported as done undoes nothing of it', async () => {
    const generation = await cuts.next();
    const done = await apiOf(host).sync();
    await disk.cut();
    expect(done?.status.sync).toBe('synced');
    await cuts.whole();
    const found = await host.sh(
      `cd /srv; uniq app/only-${generation}; uniq app/tree/b/c; ls app; tail -n 1 migrated; grep -h -o 'GENERATION=.*' /etc/systemd/system/cut.service`,
      { check: false },
    );
    const text = `generation ${generation}`;
    expect(found.stdout.trim().split('\n')).toEqual([
      text,
      text,
      `only-${generation}`,
      'text',
      'tree',
      String(generation),
      `GENERATION=${generation}`,
    ]);
    await disk.start();
    await cuts.converged();
    // A job whose end was recorded does not run again.
    expect((await host.sh(`grep -cx ${generation} /srv/migrated`)).stdout.trim()).toBe('1');
  });

  test('when a change becomes visible loses neither the ownership of new resources nor the originals of old ones', async () => {
    await host.sh('echo theirs > /srv/taken; sync -f /srv');
    const generation = await cuts.next({ 'hosts/edge-1/taken.yaml': 'files: {/srv/taken: {content: "ours\\n"}}\n' });
    const sync = apiOf(host)
      .sync()
      .catch(() => null);
    await host.sh(`until [ -e /srv/app/only-${generation} ] && grep -q ours /srv/taken; do sleep 0.02; done`);
    await disk.cut();
    await sync;
    await cuts.whole();
    // Neither of the two is declared any more: a resource that the agent forgot to own would stay.
    await cuts.next();
    await disk.start();
    await cuts.converged();
    expect((await host.exec(['cat', '/srv/taken'])).stdout).toBe('theirs\n');
  });

  test(
    `at a random moment leaves nothing half written, ${CUTS} times (FAIRLEAD_SEED=${SEED})`,
    async () => {
      const api = apiOf(host);
      const random = generator(SEED);
      const before = cuts.generation;
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
      expect(cuts.generation).toBe(before + CUTS);
    },
    CUTS * 5 * MINUTE,
  );

  test('while a pulled image is being synced causes no container with empty files', async () => {
    await host.exec(['systemctl', 'stop', 'fairlead.service']);
    await engine.begin();
    // Work before the sync waits, and work after it, until the test continues.
    const wait = (at: string) => `{ touch /run/${at}; until [ -e /run/go-${at} ]; do sleep 0.1; done; }`;
    const ofEngine = `${wait('before')}; /usr/bin/sync "$@"; code=$?; ${wait('after')}; exit $code`;
    const program = `#!/bin/sh\ncase "$*" in */var/lib/docker*) ${ofEngine};; esac\nexec /usr/bin/sync "$@"\n`;
    await host.write('/usr/local/sbin/sync', program, '0755');
    const reached = (at: string) => host.sh(`until [ -e /run/${at} ]; do sleep 0.1; done`, { timeoutMs: 2 * MINUTE });
    await cuts.next();
    await disk.start();
    await reached('before');
    await disk.cut();
    await engine.cut();
    await host.sh('touch /run/go-before');
    await disk.start();
    await reached('after');
    const sizes = Object.values(await engine.programs());
    expect(sizes).not.toContain(0);
    expect(sizes).not.toEqual([]);
    await host.sh('touch /run/go-after');
    await cuts.converged();
  });
});
