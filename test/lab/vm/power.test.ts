/**
 * The power of a whole machine fails, and data without a sync is lost, of the agent, Docker and systemd alike: once when
 * everything is done, with a real boot after it, and in `npm run soak -- cuts` at 200 random moments (`FAIRLEAD_CUTS`;
 * `FAIRLEAD_SEED` repeats them), where Docker may lose what it unpacked or created just then.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFailed, test } from 'vitest';
import { generator } from '../../random.ts';
import { apiOf, type DaemonApi } from '../api.ts';
import { type Cuts, createCuts } from '../cuts.ts';
import { type FleetRepo, type Lab, startLab } from '../lab.ts';
import { createBadDisk } from './bad-disk.ts';
import type { VirtualHost } from './host.ts';
import { whyNone } from './need.ts';

const CUTS = Number(process.env.FAIRLEAD_CUTS ?? 0);
const SEED = Number(process.env.FAIRLEAD_SEED ?? Date.now() % 1_000_000);
const MINUTE = 60_000;
/** Duration of a run, before one was measured. */
const FIRST_RUN_MS = 15_000;
/** How often the power fails again while the agent repairs the effects of the previous cut. */
const AGAIN = 0.2;
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const none = await whyNone();

describe.skipIf(none !== null)('a machine', () => {
  let lab: Lab;
  let host: VirtualHost;
  let repo: FleetRepo;
  let cuts: Cuts;
  let api: DaemonApi;
  let lastsMs = FIRST_RUN_MS;
  const random = generator(SEED);

  beforeAll(async () => {
    // Docker is started again after each cut.
    lab = await startLab({ name: 'power', hosts: [{ name: 'vm-1', flavour: 'vm', firewall: false }] });
    host = lab.machine('vm-1');
    api = apiOf(host);
    repo = await lab.infra.createRepo('fleet');
    const images = [1, 2, 3].map((n) => `docker pull -q infra:5000/app:${n}`);
    await host.sh(images.join('\n'), { timeoutMs: 10 * MINUTE });
    await syncEngine();
    cuts = createCuts({ host, infra: lab.infra, repo });
    await cuts.begin();
  }, 30 * MINUTE);
  afterAll(async () => lab?.stop());
  beforeEach(() => onTestFailed(async () => console.error(await host.journal('fairlead.service'))));

  /**
   * Docker does not sync unpacked files: a cut soon after a pull leaves an image with empty files, which no agent can repair.
   * File by file, so that nothing of the agent is synced along.
   */
  const syncEngine = () =>
    host.sh('find /var/lib/docker /var/lib/containerd -xdev \\( -type f -o -type d \\) -exec sync {} + || true', {
      timeoutMs: 10 * MINUTE,
    });
  /** A commit has been pushed when the power fails, at a random moment of its run or soon after it. */
  const failAtWork = async () => {
    await cuts.next();
    const sync = api.sync().catch(() => null);
    await Promise.race([sleep(random() * lastsMs * 1.2), sync]);
    await host.powerOff();
    await sync;
  };
  const converge = async () => {
    await cuts.converged();
    const done = (await api.status())?.run;
    // Duration of a run on this machine, as busy as it is.
    if (done && done.changed > 0) lastsMs = done.durationMs;
  };

  if (CUTS > 0)
    test(
      `loses power ${CUTS} times at a random moment, and nothing is half done (FAIRLEAD_SEED=${SEED})`,
      async () => {
        const [beganAt, beganS] = [performance.now(), host.processorS()];
        let [commits, done] = [0, 0];
        const fail = async (how: () => Promise<unknown>) => {
          await how();
          done++;
          await host.resume();
          await cuts.whole();
          await host.startAll();
        };
        while (done < CUTS) {
          commits++;
          await fail(failAtWork);
          while (random() < AGAIN)
            await fail(async () => {
              await sleep(random() * 2 * lastsMs);
              await host.powerOff();
            });
          await converge();
          if (commits % 10 !== 0 && done < CUTS) continue;
          const wallS = (performance.now() - beganAt) / 1_000 / done;
          const processorS = (host.processorS() - beganS) / done;
          console.log(
            `${done} of ${CUTS} power cuts of a virtual machine, ${commits} commits, seed ${SEED}: ${wallS.toFixed(0)} s a cut with all checks, ${processorS.toFixed(0)} s of a processor`,
          );
        }
        expect(cuts.generation).toBe(commits + 1);
      },
      CUTS * 20 * MINUTE,
    );

  test(
    'boots after a power cut with everything that was reported as done',
    async () => {
      await cuts.next();
      await converge();
      await syncEngine();
      await host.powerOff();
      await host.powerOn();
      await converge();
    },
    40 * MINUTE,
  );

  test(
    'has a disk of managed files that returns errors: no commit is blamed, the rest is applied, and it is retried',
    async () => {
      const disk = createBadDisk({ host, name: 'bad-files', place: '/mnt/bad' });
      const files = (word: string) => ({
        'hosts/vm-1/bad.yaml': `files:\n  /mnt/bad/file: {content: "${word}\\n"}\n  /srv/other: {content: "${word}\\n"}\n`,
      });
      const isOfFile = ({ id }: { id: string }) => id === 'file:/mnt/bad/file';
      await disk.make();
      const one = await repo.commit(files('one'), 'One');
      await api.sync();
      await api.statusWhere('in place', (s) => s.sync === 'synced' && s.applied?.commit === one);
      await disk.break();
      const two = await repo.commit(files('two'), 'Two');
      await api.sync();
      const failed = await api.statusWhere('the error', (s) => s.desired?.commit === two && s.problems.some(isOfFile));
      expect(failed.problems.find(isOfFile)?.message).toMatch(/input\/output error|read-only/);
      expect(failed.bad).toEqual([]);
      expect((await host.exec(['cat', '/srv/other'])).stdout).toBe('two\n');
      await disk.mend();
      await api.sync();
      await api.statusWhere('in place after all', (s) => s.sync === 'synced' && s.applied?.commit === two);
      expect((await host.exec(['cat', '/mnt/bad/file'])).stdout).toBe('two\n');
    },
    20 * MINUTE,
  );
});
