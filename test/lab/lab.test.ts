/** The lab itself: what the other tests assume about its hosts. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { ensureEngine } from './engine.ts';
import { type Lab, removeShared, startLab } from './lab.ts';
import { until } from './run.ts';

let lab: Lab;
beforeAll(async () => {
  lab = await startLab({ name: 'lab', hosts: [{ name: 'edge-1' }, { name: 'edge-2', flavour: 'debian12' }] });
});
afterAll(async () => lab?.stop());

test('hosts boot with systemd as their first process and an engine of their own', async () => {
  for (const [name, debian] of [
    ['edge-1', '13'],
    ['edge-2', '12'],
  ] as const) {
    const host = lab.host(name);
    expect((await host.exec(['cat', '/proc/1/comm'])).stdout).toBe('systemd\n');
    expect((await host.exec(['cat', '/etc/debian_version'])).stdout).toMatch(new RegExp(`^${debian}`));
    expect((await host.exec(['docker', 'info', '--format', '{{.Name}}'])).stdout).toBe(`${name}\n`);
    expect((await host.exec(['systemctl', 'is-system-running'], { check: false })).stdout).toBe('running\n');
  }
});

test('a file is copied with its mode, and a failed command throws with its output', async () => {
  const local = path.join(mkdtempSync(path.join(os.tmpdir(), 'fairlead-lab-')), 'x');
  writeFileSync(local, 'from here\n', { mode: 0o640 });
  const host = lab.host('edge-1');
  await host.copyIn(local, '/root/x');
  expect((await host.exec(['stat', '-c', '%a', '/root/x'])).stdout).toBe('640\n');
  await expect(host.exec(['ls', '/nowhere'])).rejects.toThrow(/nowhere.*No such file/);
});

test('the infra host serves git over http and ssh, images and a broker', async () => {
  const host = lab.host('edge-1');
  const repo = await lab.infra.createRepo('fleet');
  const commit = await repo.commit({ 'hosts/edge-1/a.yaml': 'files: {}\n' }, 'First', 'Ann <ann@example.com>');
  expect((await host.exec(['git', 'ls-remote', repo.httpUrl, 'main'])).stdout).toContain(commit);
  await lab.infra.authorize(
    (await host.sh('ssh-keygen -q -t ed25519 -N "" -f /root/.ssh/id && cat /root/.ssh/id.pub')).stdout,
  );
  await host.sh('ssh-keyscan -t ed25519 infra > /root/.ssh/known_hosts 2>/dev/null');
  const over = { GIT_SSH_COMMAND: 'ssh -i /root/.ssh/id' };
  const env = Object.entries(over).map(([k, v]) => `${k}=${v}`);
  expect((await host.exec(['env', ...env, 'git', 'ls-remote', repo.sshUrl, 'main'])).stdout).toContain(commit);
  await host.exec(['docker', 'pull', '-q', 'infra:5000/app:2']);
  expect(
    (await host.exec(['docker', 'run', '--rm', 'infra:5000/app:2', '/bin/busybox', 'cat', '/version'])).stdout,
  ).toBe('2\n');
  await host.exec(['mosquitto_pub', '-h', 'infra', '-t', 'lab/x', '-r', '-m', 'kept']);
  expect((await host.exec(['mosquitto_sub', '-h', 'infra', '-t', 'lab/x', '-C', '1', '-W', '30'])).stdout).toBe(
    'kept\n',
  );
});

test('a host can be disconnected and reconnected at its address, frozen and thawed', async () => {
  const host = lab.host('edge-1');
  const reaches = async () =>
    (await host.exec(['git', 'ls-remote', 'http://infra/git/fleet.git'], { check: false })).code === 0;
  const address = await host.address();
  await host.disconnect();
  expect(await reaches()).toBe(false);
  await host.connect();
  expect(await host.address()).toBe(address);
  expect(await reaches()).toBe(true);

  const other = lab.host('edge-2');
  const answers = async () =>
    (await other.exec(['curl', '-fs', '-m', '1', `http://${address}:8000/`], { check: false })).code === 0;
  await host.sh('mkdir -p /srv/www; echo hi > /srv/www/index.html; busybox httpd -p 8000 -h /srv/www');
  await until('the web server', 60_000, answers);
  await host.freeze();
  expect(await answers()).toBe(false);
  await host.thaw();
  await until('the web server again', 60_000, answers);
});

test('a power cut ends every process at once and keeps the disk; the journal can be read', async () => {
  const host = lab.host('edge-2');
  await host.sh('echo kept > /root/kept; sync; systemd-run --unit doomed sleep infinity');
  expect(await host.journal('doomed.service')).toContain('doomed.service');
  await host.powerOff();
  await host.powerOn();
  expect((await host.exec(['cat', '/root/kept'])).stdout).toBe('kept\n');
  expect((await host.exec(['systemctl', 'is-active', 'doomed.service'], { check: false })).stdout).toBe('inactive\n');
});

test('the shared infra host stays while a lab uses it, although another run of the suite begins or ends', async () => {
  // A shared host of its own: that of the suite is in use.
  vi.stubEnv('FAIRLEAD_LAB', `${process.env.FAIRLEAD_LAB ?? ''}.shared`);
  onTestFinished(() => {
    vi.unstubAllEnvs();
  });
  const docker = await ensureEngine(() => undefined);
  const user = await startLab({ name: 'user', hosts: [], infra: 'shared' });
  expect(await removeShared(docker)).toBe(null);
  expect((await user.infra.exec(['curl', '-fs', 'http://127.0.0.1:5000/v2/'])).code).toBe(0);
  await user.stop();
  expect(await removeShared(docker)).toBe(1);
});
