/** The packages on real hosts: installed, set up, upgraded during work, downgraded, removed, purged. */
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, onTestFailed, test } from 'vitest';
import { lintianFindings, lintianOf } from '../../packaging/check-packages.ts';
import { debVersion } from '../../packaging/deb/changelog.ts';
import { differing, fairlead, fairleadJson, identities } from './agent.ts';
import { statusOf } from './api.ts';
import {
  type AptRepository,
  candidateOn,
  followRepository,
  startAptRepository,
  updateIndexes,
} from './apt-repository.ts';
import { builtPackage, VERSIONS } from './built-packages.ts';
import { type Lab, type LabHost, startLab, until } from './lab.ts';
import { ensurePrograms } from './packages.ts';
import { type ExecResult, run } from './run.ts';

const STATE = '/var/lib/fairlead';
const TREE = `${STATE}/tree/hosts/pkg-13/shop`;
const EVENTS = 'fairlead/default/hosts/pkg-13/events';
/** No event has this number. */
const PROBE = '{"seq":0}';
const UNIT = '[Service]\nExecStart=/bin/sleep infinity\n';

let lab: Lab;
let host: LabHost;
let plain: LabHost;
let out: string;
let repository: AptRepository;
let deb: Record<'now' | 'newer' | 'broken', string>;
/** Reads while the hosts work. */
let linting: Promise<ExecResult>;

beforeAll(async () => {
  await ensurePrograms({ gpg: 'gnupg', 'apt-ftparchive': 'apt-utils', lintian: 'lintian' });
  out = mkdtempSync(path.join(os.tmpdir(), 'fairlead-packages-'));
  const booting = startLab({
    name: 'packages',
    hosts: [{ name: 'pkg-13' }, { name: 'pkg-12', flavour: 'debian12' }],
    infra: 'shared',
  });
  deb = { now: await builtPackage('now'), newer: await builtPackage('newer'), broken: await builtPackage('broken') };
  linting = run(lintianOf(await builtPackage('light')), { check: false });
  lab = await booting;
  host = lab.host('pkg-13');
  plain = lab.host('pkg-12');
  await Promise.all([host.copyIn(deb.broken, '/root/broken.deb'), plain.copyIn(deb.now, '/root/now.deb')]);
  repository = await startAptRepository({ on: plain, dir: out });
  await repository.publish(deb.now);
});
afterAll(async () => {
  rmSync(out, { recursive: true, force: true });
  await lab?.stop();
});
beforeEach(() => onTestFailed(async () => console.error(await host.journal('fairlead.service'))));

/** A bare repository on the host itself, with these files. */
async function fleetRepository(on: LabHost, files: Record<string, string>): Promise<void> {
  for (const [file, content] of Object.entries(files)) await on.write(`/srv/work/${file}`, content);
  await on.sh(`cd /srv/work && git init -q -b main && git add -A
    git -c user.name=Ben -c user.email=ben@example.com commit -qm First && git clone -q --bare /srv/work /srv/fleet.git`);
}
/** @returns the output of apt-get and of the package's scripts, and the exit code */
async function aptGet(...args: string[]): Promise<{ code: number; said: string }> {
  const { code, stdout, stderr } = await host.exec(['apt-get', '-y', ...args], { check: false, timeoutMs: 500_000 });
  return { code, said: stdout + stderr };
}
const version = async () => (await fairlead(host, 'version')).stdout.trim();
const pid = async () => (await host.exec(['systemctl', 'show', '-P', 'MainPID', 'fairlead'])).stdout.trim();
const isActive = async () =>
  (await host.exec(['systemctl', 'is-active', 'fairlead'], { check: false })).stdout.trim() === 'active';
const form = async () => (await host.exec(['cat', `${STATE}/schema`])).stdout.trim();
/** The findings of doctor, at the end of init. */
const ailing = (printed: string): string[] => [...printed.matchAll(/^FAIL +(\S+)/gm)].map(([, name = '']) => name);
const watched = { files: ['/etc/greeting'], units: ['work.service'], containers: ['shop-web-1'] };

test('a bare Debian 12 host without a Docker engine is managed after apt install and init', async () => {
  await plain.sh('systemctl disable --now docker.service docker.socket; rm -f /var/run/docker.sock');
  await plain.exec(['apt-get', 'install', '-y', '/root/now.deb'], { timeoutMs: 500_000 });
  expect((await plain.exec(['systemctl', 'is-active', 'fairlead'], { check: false })).stdout.trim()).toBe('inactive');
  await fleetRepository(plain, {
    'hosts/pkg-12/a.yaml':
      'files: {/etc/greeting: {content: "hello\\n"}}\nunits: {work.service: {source: work.service, state: started}}\n',
    'hosts/pkg-12/work.service': UNIT,
  });
  const init = await fairlead(plain, 'init', '/srv/fleet.git', '--host', 'pkg-12', '--wait', '1m');
  expect(init.stdout).toContain("echo 'age: age1");
  expect(init.stdout).not.toMatch(/docker|engine/i);
  expect(ailing(init.stdout)).toEqual([]);
  // It has no time server, and its repository is a directory.
  expect([init.code, init.stdout]).toEqual([0, expect.stringMatching(/^\? +clock +could not be checked/m)]);
  await until('a managed host', 150_000, async () => (await statusOf(plain)).sync === 'synced');
  expect((await statusOf(plain)).problems).toEqual([]);
  expect((await plain.exec(['cat', '/etc/greeting'])).stdout).toBe('hello\n');
});

test('uninstall --remove-managed removes all managed resources, and the package is removed', async () => {
  const { code, stderr } = await fairlead(plain, 'uninstall', '--remove-managed');
  expect([code, code === 0 ? '' : stderr]).toEqual([0, '']);
  const left = await plain.sh('ls -d /etc/greeting /etc/systemd/system/work.service 2>/dev/null || true');
  expect(left.stdout).toBe('');
  await plain.exec(['apt-get', 'purge', '-y', 'fairlead'], { timeoutMs: 500_000 });
  expect((await plain.sh(`ls -d ${STATE} /etc/fairlead /usr/lib/fairlead 2>/dev/null || true`)).stdout).toBe('');
});

test('a Debian 13 host is managed after apt install from the repository, containers too', async () => {
  await followRepository(host, 'http://pkg-12');
  expect(await updateIndexes(host)).toBe(0);
  expect((await aptGet('install', 'fairlead')).code).toBe(0);
  await fleetRepository(host, {
    'hosts/pkg-13/a.yaml':
      'files: {/etc/greeting: {content: "hello\\n"}}\nunits: {work.service: {source: work.service, state: started}}\n',
    'hosts/pkg-13/work.service': UNIT,
    'hosts/pkg-13/shop/compose.yaml':
      'services: {web: {image: "infra:5000/app:1", volumes: ["./conf:/conf", "./data:/data"]}}\n',
    'hosts/pkg-13/shop/conf/app.conf': 'ours\n',
  });
  // It forks into the background before it has subscribed.
  await host.sh('mosquitto -d -p 1883; until mosquitto_pub -t up -m up 2>/dev/null; do sleep 0.1; done');
  // A session of the broker that outlives the agent: it gets everything that was sent.
  await host.sh(
    `nohup mosquitto_sub -V mqttv5 -q 1 -c -i keeper -x 3600 -t ${EVENTS} > /root/events 2>/dev/null & until grep -qx '${PROBE}' /root/events; do mosquitto_pub -q 1 -t ${EVENTS} -m '${PROBE}'; sleep 0.1; done`,
  );
  const init = await fairlead(host, 'init', '/srv/fleet.git', '--host', 'pkg-13', '--broker', 'mqtt://127.0.0.1:1883');
  expect(ailing(init.stdout)).toEqual([]);
  // It has no time server, and its repository is a directory.
  expect([init.code, init.stdout]).toEqual([0, expect.stringMatching(/^\? +clock +could not be checked/m)]);
  await until('a managed host', 150_000, async () => {
    const { sync, health } = await statusOf(host);
    return sync === 'synced' && health === 'healthy';
  });
});

test('apt accepts no index of another key, on either release of Debian', async () => {
  await followRepository(plain, 'http://localhost');
  expect(await updateIndexes(plain)).toBe(0);
  await repository.forge(deb.newer);
  for (const on of [plain, host]) {
    expect(await updateIndexes(on)).not.toBe(0);
    expect(await candidateOn(on)).toBe(debVersion(VERSIONS.now));
  }
});

test('apt installs no package that differs from the index', async () => {
  await repository.publish(deb.newer);
  expect(await updateIndexes(host)).toBe(0);
  expect(await candidateOn(host)).toBe(VERSIONS.newer);
  await plain.sh(`echo more >> /srv/apt/pool/stable/main/${path.basename(deb.newer)}`);
  const { code, said } = await aptGet('upgrade');
  expect(said).toContain('File has unexpected size');
  expect(code).not.toBe(0);
  expect(await version()).toBe(`fairlead ${VERSIONS.now}`);
  expect(await isActive()).toBe(true);
  await repository.restore();
});

test('an upgrade with a migration restarts nothing, and loses no event and no history', async () => {
  const before = await identities(host, watched);
  const runs = await fairleadJson<{ runs: { id: number }[] }>(host, 'history', '--limit', '100');
  const at = Number(await form());
  const { code, said } = await aptGet('upgrade');
  expect([code, code === 0 ? '' : said]).toEqual([0, '']);
  expect(await version()).toBe(`fairlead ${VERSIONS.newer}`);
  expect(Number(await form())).toBe(at + 1);
  await until('a run of the new version', 150_000, async () => {
    const { agent, run } = await statusOf(host);
    return run !== null && run.startedAt >= agent.startedAt;
  });
  expect(differing(before, await identities(host, watched))).toEqual([]);
  const after = await fairleadJson<{ runs: { id: number }[] }>(host, 'history', '--limit', '100');
  expect(after.runs.map(({ id }) => id)).toEqual(expect.arrayContaining(runs.runs.map(({ id }) => id)));
  await host.write('/etc/greeting', 'drift');
  const seqs = await until('the repair on the broker', 150_000, async () => {
    // The last line may be half written.
    const events = (await host.exec(['cat', '/root/events'])).stdout.split('\n').slice(0, -1);
    const found = events
      .filter((line) => line !== PROBE)
      .map((line) => JSON.parse(line) as { seq: number; type: string });
    return found.some(({ type }) => type === 'repair') && [...new Set(found.map(({ seq }) => seq))];
  });
  expect(seqs).toEqual(seqs.map((_, index) => (seqs[0] ?? 0) + index));
});

const downgrade = () => aptGet('install', '--allow-downgrades', `fairlead=${debVersion(VERSIONS.now)}`);

test('a downgrade that cannot read the state is refused before anything is changed', async () => {
  const before = await pid();
  const { code, said } = await downgrade();
  expect(code).not.toBe(0);
  expect(said).toContain('was written by a newer version');
  expect(await version()).toBe(`fairlead ${VERSIONS.newer}`);
  expect(await pid()).toBe(before);
});

test('the commands in the refusal lead back to the previous version, and no managed resource restarts', async () => {
  const before = await identities(host, watched);
  const [, commands = ''] = /lose the history since: (.*)/.exec((await downgrade()).said) ?? [];
  await host.sh(commands);
  const { code, said } = await downgrade();
  expect([code, code === 0 ? '' : said]).toEqual([0, '']);
  expect(await version()).toBe(`fairlead ${VERSIONS.now}`);
  await host.exec(['systemctl', 'start', 'fairlead']);
  await until('a host as it should be', 150_000, async () => (await statusOf(host)).sync === 'synced');
  expect(differing(before, await identities(host, watched))).toEqual([]);
  expect((await aptGet('upgrade')).code).toBe(0);
  expect(await version()).toBe(`fairlead ${VERSIONS.newer}`);
});

test('an upgrade whose agent does not start is rolled back, with its state', async () => {
  const before = await identities(host, watched);
  const at = await form();
  const { code, said } = await aptGet('install', '/root/broken.deb');
  expect(code).not.toBe(0);
  expect(said).toContain(`fairlead ${VERSIONS.newer} was restored and is active`);
  expect(await version()).toBe(`fairlead ${VERSIONS.newer}`);
  expect(await form()).toBe(at);
  expect(await isActive()).toBe(true);
  expect(differing(before, await identities(host, watched))).toEqual([]);
  expect((await aptGet('install', '--allow-downgrades', `fairlead=${VERSIONS.newer}`)).code).toBe(0);
  expect(await isActive()).toBe(true);
});

test('remove keeps managed resources and the state; purge keeps and lists everything that fairlead did not write', async () => {
  const before = await identities(host, watched);
  await host.write(`${TREE}/data/orders.db`, 'data');
  await host.exec(['apt-get', 'remove', '-y', 'fairlead'], { timeoutMs: 500_000 });
  expect(differing(before, await identities(host, watched))).toEqual([]);
  expect((await host.sh(`ls ${STATE}/history.db ${TREE}/conf/app.conf`)).stdout.trim().split('\n')).toHaveLength(2);
  await host.sh('docker rm -f shop-web-1');
  const { stdout, stderr } = await host.exec(['apt-get', 'purge', '-y', 'fairlead'], { timeoutMs: 500_000 });
  expect(stdout + stderr).toContain(`${TREE}/data/orders.db`);
  expect((await host.sh(`cd ${STATE} && find . ! -type d`)).stdout.trim()).toBe(
    './tree/hosts/pkg-13/shop/data/orders.db',
  );
});

test('lintian has no findings about the package', async () => {
  const { stdout, stderr } = await linting;
  expect(lintianFindings(stdout + stderr)).toBe('');
});
