/** The virtual machine itself: that it is what today's hosts are, and that its power cuts lose what was not synced. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Lab, startLab } from '../lab.ts';
import type { VirtualHost } from './host.ts';
import { whyNone } from './need.ts';

const none = await whyNone();

describe.skipIf(none !== null)('a virtual machine', () => {
  let lab: Lab;
  let host: VirtualHost;
  const out = async (script: string) => (await host.sh(script)).stdout.trim();

  beforeAll(async () => {
    lab = await startLab({ name: 'machine', infra: 'shared', hosts: [{ name: 'vm-1', flavour: 'vm' }] });
    host = lab.machine('vm-1');
  });
  afterAll(async () => lab?.stop());

  test('has a kernel, a systemd and an engine of its own, and cgroup v2', async () => {
    expect(await out('uname -r')).toContain('cloud');
    expect(Number((await out('systemctl --version')).split(' ')[1])).toBeGreaterThanOrEqual(262);
    expect(await out('stat -fc %T /sys/fs/cgroup')).toBe('cgroup2fs');
    expect(Number((await out("docker version -f '{{.Server.Version}}'")).split('.')[0])).toBeGreaterThanOrEqual(28);
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

  test('reaches infra, and not when it is cut off the network', async () => {
    const reaches = async () =>
      (await host.exec(['curl', '-fsm', '20', 'http://infra:5000/v2/'], { check: false })).code;
    expect(await reaches()).toBe(0);
    await host.disconnect();
    expect(await reaches()).not.toBe(0);
    await host.connect();
    expect(await reaches()).toBe(0);
    await host.exec(['docker', 'pull', '-q', 'infra:5000/app:1']);
  });

  test('keeps what was synced over a power cut, and loses what was not', async () => {
    await host.sh(
      'echo synced > /srv/synced; sync; echo lost > /srv/lost; mv /srv/lost /srv/renamed; echo x > /var/tmp/root-disk',
    );
    await host.powerOff();
    await host.resume();
    expect(await out('cat /srv/synced; ls /srv; test -e /var/tmp/root-disk || echo new root')).toBe(
      'synced\nsynced\nnew root',
    );
    expect(Math.abs(Number(await out('date +%s')) - Date.now() / 1000)).toBeLessThan(60);
  });
});
