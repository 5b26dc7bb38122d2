/**
 * The virtual machine itself: it is like current hosts, its power cuts lose data without a sync, and the agent survives three of
 * them, the last with a real boot. `npm run soak -- cuts` has 200, including Docker.
 */
import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest';
import { generator } from '../../random.ts';
import { createCuts } from '../cuts.ts';
import { type Lab, startLab, until } from '../lab.ts';
import type { VirtualHost } from './host.ts';
import { whyNone } from './need.ts';

const SEED = Number(process.env.FAIRLEAD_SEED ?? Date.now() % 1_000_000);
const MINUTE = 60_000;
/** About this often the agent syncs the disk in a run that applies a generation (cuts.ts). */
const FLUSHES = 60;
const none = await whyNone();

describe.skipIf(none !== null)('a virtual machine', () => {
  let lab: Lab;
  let host: VirtualHost;
  const out = async (script: string) => (await host.sh(script)).stdout.trim();

  beforeAll(async () => {
    // The boot at the end starts Docker.
    lab = await startLab({ name: 'machine', hosts: [{ name: 'vm-1', flavour: 'vm', firewall: false, engine: false }] });
    host = lab.machine('vm-1');
  });
  afterAll(async () => lab?.stop());

  test('has a kernel and a systemd of its own, and cgroup v2', async () => {
    expect(await out('uname -r')).toContain('cloud');
    expect(Number((await out('systemctl --version')).split(' ')[1])).toBeGreaterThanOrEqual(262);
    expect(await out('stat -fc %T /sys/fs/cgroup')).toBe('cgroup2fs');
    expect(await out('findmnt -no FSTYPE /var/lib/docker')).toBe('ext4');
  });

  test('runs commands with input, environment, directory, errors and exit codes', async () => {
    const done = await host.exec(['sh', '-c', 'cat; pwd; echo "$WORD" >&2; exit 3'], {
      input: 'in\n',
      cwd: '/srv',
      env: { WORD: 'two words' },
      check: false,
    });
    expect(done).toEqual({ code: 3, stdout: 'in\n/srv\n', stderr: 'two words\n' });
    const large = 'x'.repeat(3_000_000);
    expect((await host.exec(['cat'], { input: large })).stdout === large).toBe(true);
    await expect(host.exec(['sh', '-c', 'echo said >&2; false'])).rejects.toThrow('said');
    expect((await host.exec(['sleep', '600'], { timeoutMs: 500, check: false })).code).toBe(137);
    expect((await host.exec(['sh', '-c', 'sleep 60 & echo started'])).stdout).toBe('started\n');
  });

  test('reaches infra, except while it is disconnected from the network', async () => {
    const reaches = async () =>
      (await host.exec(['curl', '-fsm', '20', 'http://infra:5000/v2/'], { check: false })).code;
    expect(await reaches()).toBe(0);
    await host.disconnect();
    expect(await reaches()).not.toBe(0);
    await host.connect();
    expect(await reaches()).toBe(0);
  });

  test('keeps synced data over a power cut, and loses the rest', async () => {
    await host.sh(
      'echo synced > /srv/synced; sync; echo lost > /srv/lost; mv /srv/lost /srv/renamed; echo x > /var/tmp/root-disk',
    );
    const boot = await out('cat /proc/sys/kernel/random/boot_id');
    await host.powerOff();
    await host.resume();
    expect(await out('cat /srv/synced; ls /srv; test -e /var/tmp/root-disk || echo new root')).toBe(
      'synced\nsynced\nnew root',
    );
    expect(await out('cat /proc/sys/kernel/random/boot_id')).not.toBe(boot);
    expect(Math.abs(Number(await out('date +%s')) - Date.now() / 1000)).toBeLessThan(60);
  });

  test(
    `loses power three times, first in its first run, at a random moment, and boots: nothing is half done (FAIRLEAD_SEED=${SEED})`,
    async () => {
      onTestFailed(async () => console.error(await host.journal('fairlead.service')));
      const random = generator(SEED);
      const cuts = createCuts({ host, infra: lab.infra, repo: await lab.infra.createRepo('fleet'), isLight: true });
      /** After a random number of the agent's fsyncs, or when everything is done: the moments are the same on a busy machine. */
      const failAtWork = async () => {
        const moment = (await host.written()).flushes + Math.floor(random() * FLUSHES);
        await until('the moment of the power cut', 10 * MINUTE, async () => {
          return (await host.written()).flushes >= moment || cuts.isDone();
        });
        await host.powerOff();
      };
      await cuts.install();
      await failAtWork();
      for (const _ of ['second', 'third']) {
        await host.resume();
        await cuts.whole();
        await cuts.next();
        await host.exec(['systemctl', 'start', '--no-block', 'fairlead.service']);
        await failAtWork();
      }
      await host.powerOn();
      await cuts.converged();
      expect(Number((await out("docker version -f '{{.Server.Version}}'")).split('.')[0])).toBeGreaterThanOrEqual(28);
    },
    30 * MINUTE,
  );
});
