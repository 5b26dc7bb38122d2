/** A commit requests a version of the agent: real hosts upgrade themselves, roll a bad version back, and are killed meanwhile. */
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest';
import type { StatusDocument } from '../../manifests-schema/payloads.ts';
import { THOROUGH } from '../sweep.ts';
import { differing, fairlead, fairleadJson, identities, NODE } from './agent.ts';
import { statusOf } from './api.ts';
import { builtPackage, VERSIONS } from './built-packages.ts';
import { type Lab, type LabHost, startLab, until } from './lab.ts';
import { ensurePrograms } from './packages.ts';
import { run } from './run.ts';
import { bringRpm } from './upgrade/rpm.ts';

const UPGRADE = '/var/lib/fairlead/upgrade';
const MORE_HOSTS = [
  { name: 'up-12', flavour: 'debian12' as const },
  { name: 'up-rpm', flavour: 'debian12' as const },
];
const UNIT = '[Service]\nExecStart=/bin/sleep infinity\n';
/** A trial is ten minutes; here it only has to be longer than the steps in between. */
const TRIAL = '[Service]\nEnvironment=FAIRLEAD_UPGRADE_TRIAL=8\n';

let out: string;
let lab: Lab;
let debs: Record<'now' | 'newer' | 'mute', string>;
let tarballs: Record<'now' | 'newer', string>;
let rpms: Record<'now' | 'newer', string>;

/** The lab's hosts have no zstd. */
async function gzippedTarball(build: 'now' | 'newer'): Promise<string> {
  const gz = path.join(out, `${build}.tar.gz`);
  await run(['sh', '-c', `zstd -dcq ${await builtPackage(build, 'tarball')} | gzip -1 > ${gz}`]);
  return gz;
}
const sumOf = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex');

beforeAll(async () => {
  out = mkdtempSync(path.join(os.tmpdir(), 'fairlead-upgrades-'));
  const booting = startLab({
    name: 'agent-upgrade',
    hosts: [{ name: 'up-13' }, ...(THOROUGH ? MORE_HOSTS : [])],
    infra: 'shared',
  });
  debs = { now: await builtPackage('now'), newer: await builtPackage('newer'), mute: await builtPackage('mute') };
  if (THOROUGH) {
    tarballs = { now: await gzippedTarball('now'), newer: await gzippedTarball('newer') };
    await ensurePrograms({ rpmbuild: 'rpm' });
    rpms = { now: await builtPackage('now', 'rpm'), newer: await builtPackage('newer', 'rpm') };
  }
  lab = await booting;
});
afterAll(async () => {
  rmSync(out, { recursive: true, force: true });
  await lab?.stop();
});

/** Writes files into the working tree and commits; a host's repository is on the host itself. */
async function commit(on: LabHost, subject: string, files: Record<string, string>): Promise<string> {
  for (const [file, content] of Object.entries(files)) await on.write(`/srv/work/${file}`, content);
  const { stdout } = await on.sh(`cd /srv/work && { [ -d .git ] || git init -q -b main; } && git add -A
    git -c user.name=Ben -c user.email=ben@example.com commit -qm '${subject}'
    [ -d /srv/fleet.git ] && git push -q /srv/fleet.git main || git clone -q --bare /srv/work /srv/fleet.git
    git rev-parse HEAD`);
  return stdout.trim();
}
const declared = (greeting: string) =>
  `files: {/etc/greeting: {content: "${greeting}"}}\nunits: {work.service: {content: ${JSON.stringify(UNIT)}, state: started}}\n`;
const agentOf = (version: string, source: string, file: string) =>
  JSON.stringify({ agent: { version, source, sha256: sumOf(file) } });

async function init(on: LabHost, ...more: string[]): Promise<void> {
  await on.write('/etc/systemd/system/fairlead.service.d/trial.conf', TRIAL);
  await on.exec(['systemctl', 'daemon-reload']);
  await fairlead(on, 'init', '/srv/fleet.git', '--host', on.name, ...more);
  await settled(on, (s) => s.sync === 'synced' && s.health === 'healthy');
}

/** While an agent is replaced, nobody answers. */
async function settled(on: LabHost, fits: (status: StatusDocument) => boolean): Promise<StatusDocument> {
  let last = '';
  onTestFailed(async () => console.error(last, await on.journal('fairlead.service'), await watcherLog(on)));
  return until(`a status of ${on.name}`, 120_000, async () => {
    const status = await statusOf(on);
    last = JSON.stringify(status);
    return fits(status) && status;
  });
}
const watcherLog = async (on: LabHost) =>
  (await on.exec(['journalctl', '-u', 'fairlead-upgrade', '-o', 'cat', '--no-pager', '-n', '60'], { check: false }))
    .stdout;
const text = async (on: LabHost, file: string) => (await on.exec(['cat', file], { check: false })).stdout.trim();
/** The order is finished, and nothing of it is left. */
const ended = (on: LabHost) =>
  until('the end of the upgrade', 120_000, async () => {
    const { stdout } = await on.sh(
      `ls -d ${UPGRADE}/order ${UPGRADE}/phase /usr/lib/fairlead.before /etc/systemd/system/fairlead-upgrade.service 2>/dev/null || true`,
    );
    return stdout === '';
  });
const inPhase = (on: LabHost, phase: string) =>
  until(`phase ${phase}`, 120_000, async () => (await text(on, `${UPGRADE}/phase`)) === phase);
const form = (on: LabHost) => text(on, '/var/lib/fairlead/schema');
const version = async (on: LabHost) => (await fairlead(on, 'version')).stdout.trim();
const pid = async (on: LabHost) => (await on.exec(['systemctl', 'show', '-P', 'MainPID', 'fairlead'])).stdout.trim();
const killWatcher = (on: LabHost) =>
  on.exec(['systemctl', 'kill', '--kill-whom=main', '-s', 'KILL', 'fairlead-upgrade'], { check: false });
const watched = { files: [], units: ['work.service'], containers: ['shop-web-1'] };

test('a commit upgrades a Debian 13 host to another version, although the former one cannot read it', async () => {
  const host = lab.host('up-13');
  const H = `hosts/${host.name}`;
  await Promise.all(Object.entries(debs).map(([name, deb]) => host.copyIn(deb, `/root/${name}.deb`)));
  await host.exec(['apt-get', 'install', '-y', '/root/now.deb'], { timeoutMs: 170_000 });
  await commit(host, 'First', {
    [`${H}/a.yaml`]: declared('one'),
    [`${H}/shop/compose.yaml`]: 'services: {web: {image: "infra:5000/app:1"}}\n',
  });
  // It forks into the background before it has subscribed.
  await host.sh('mosquitto -d -p 1883; until mosquitto_pub -t up -m up 2>/dev/null; do sleep 0.1; done');
  await host.sh(
    "nohup mosquitto_sub -V mqttv5 -q 1 -c -i keeper -x 3600 -t 'fairlead/default/hosts/up-13/events' > /root/events 2>/dev/null &",
  );
  await init(host, '--broker', 'mqtt://127.0.0.1:1883');
  const before = await identities(host, watched);
  await host.sh(`cp /root/newer.deb /srv/work/${H}/fairlead.deb`);
  const head = await commit(host, 'Second', {
    'fleet.yaml': "requires: '>=9.1'\n",
    [`${H}/host.yaml`]: agentOf(VERSIONS.newer, 'fairlead.deb', debs.newer),
    [`${H}/a.yaml`]: declared('two'),
  });
  await fairlead(host, 'sync', '--no-wait');
  const status = await settled(
    host,
    (s) => s.agent.version === VERSIONS.newer && s.sync === 'synced' && s.desired?.commit === head,
  );
  await ended(host);
  expect(status.problems).toEqual([]);
  expect(await text(host, '/etc/greeting')).toBe('two');
  expect(await version(host)).toBe(`fairlead ${VERSIONS.newer}`);
  expect(differing(before, await identities(host, watched))).toEqual([]);
  await fairlead(host, 'sync');
  const history = await fairleadJson<{ runs: { id: number }[] }>(
    host,
    'history',
    '--resource',
    `agent:${VERSIONS.newer}`,
  );
  expect(history.runs).toHaveLength(1);
  const seqs = await until('the upgrade on the broker', 60_000, async () => {
    const events = (await text(host, '/root/events')).split('\n');
    const found = events.map((line) => JSON.parse(line) as { seq: number; data: { resource?: string } });
    return (
      found.some(({ data }) => data.resource === `agent:${VERSIONS.newer}`) && [...new Set(found.map(({ seq }) => seq))]
    );
  });
  expect(seqs).toEqual(seqs.map((_, index) => (seqs[0] ?? 0) + index));
});

test('a version that does not answer is rolled back with its state, and the former one applies the commit', async () => {
  const host = lab.host('up-13');
  const H = `hosts/${host.name}`;
  const before = await identities(host, watched);
  const at = await form(host);
  await host.sh(`cp /root/mute.deb /srv/work/${H}/fairlead.deb`);
  await commit(host, 'Third', {
    [`${H}/host.yaml`]: agentOf(VERSIONS.mute, 'fairlead.deb', debs.mute),
    [`${H}/a.yaml`]: declared('three'),
  });
  await fairlead(host, 'sync', '--no-wait');
  await inPhase(host, 'switching');
  await killWatcher(host);
  await inPhase(host, 'judging');
  await killWatcher(host);
  await ended(host);
  const status = await settled(host, (s) => s.problems.some(({ reason }) => reason === 'AgentUpgradeFailed'));
  expect(status.agent.version).toBe(VERSIONS.newer);
  expect(status.problems[0]).toMatchObject({ id: `agent:${VERSIONS.mute}`, file: `${H}/host.yaml`, line: 1 });
  await settled(host, (s) => s.applied?.commit === s.desired?.commit);
  expect(await text(host, '/etc/greeting')).toBe('three');
  expect(await form(host)).toBe(at);
  expect(differing(before, await identities(host, watched))).toEqual([]);
});

/** Takes minutes more; engine/upgrade-script.test.ts kills the script itself at each of its commands. */
if (THOROUGH) {
  test('a power cut during the upgrade leaves one running agent', async () => {
    const host = lab.host('up-13');
    await fairlead(host, 'sync', '--force', '--no-wait');
    await inPhase(host, 'judging');
    await host.powerOff();
    await host.powerOn();
    await ended(host);
    expect((await settled(host, (s) => s.run !== null)).agent.version).toBe(VERSIONS.newer);
    expect(await version(host)).toBe(`fairlead ${VERSIONS.newer}`);
  });

  test('a Debian 12 host that was installed from the archive is upgraded over https', async () => {
    const host = lab.host('up-12');
    const H = `hosts/${host.name}`;
    await host.exec(['mkdir', '-p', '/srv/www']);
    await Promise.all(
      Object.entries(tarballs).map(([name, tarball]) => host.copyIn(tarball, `/srv/www/${name}.tar.gz`)),
    );
    await host.sh('mkdir -p /root/old && tar -xzf /srv/www/now.tar.gz -C /root/old && sh /root/old/*/install.sh', {
      timeoutMs: 170_000,
    });
    await commit(host, 'First', { [`${H}/a.yaml`]: declared('one') });
    await init(host);
    await serve(host);
    const before = await identities(host, { ...watched, containers: [] });
    await commit(host, 'Second', {
      [`${H}/host.yaml`]: agentOf(VERSIONS.newer, 'https://localhost:8443/newer.tar.gz', tarballs.newer),
    });
    await fairlead(host, 'sync', '--no-wait');
    await inPhase(host, 'switching');
    await killWatcher(host);
    await inPhase(host, 'judging');
    await host.exec(['systemctl', 'kill', '-s', 'KILL', 'fairlead']);
    await ended(host);
    expect((await settled(host, (s) => s.sync === 'synced')).agent.version).toBe(VERSIONS.newer);
    expect(differing(before, await identities(host, { ...watched, containers: [] }))).toEqual([]);
  });

  test('a host that was installed by rpm is upgraded by rpm', async () => {
    const host = lab.host('up-rpm');
    const H = `hosts/${host.name}`;
    await bringRpm(host);
    await Promise.all(Object.entries(rpms).map(([name, rpm]) => host.copyIn(rpm, `/root/${name}.rpm`)));
    await host.exec(['rpm', '-i', '/root/now.rpm'], { timeoutMs: 170_000 });
    await commit(host, 'First', { [`${H}/a.yaml`]: declared('one') });
    await init(host);
    const before = await identities(host, { ...watched, containers: [] });
    await host.sh(`cp /root/newer.rpm /srv/work/${H}/fairlead.rpm`);
    await commit(host, 'Second', {
      [`${H}/host.yaml`]: agentOf(VERSIONS.newer, 'fairlead.rpm', rpms.newer),
      [`${H}/a.yaml`]: declared('two'),
    });
    await fairlead(host, 'sync', '--no-wait');
    await inPhase(host, 'switching');
    await killWatcher(host);
    await ended(host);
    const status = await settled(host, (s) => s.sync === 'synced');
    expect([status.agent.version, status.problems]).toEqual([VERSIONS.newer, []]);
    expect(await text(host, '/etc/greeting')).toBe('two');
    expect((await host.exec(['rpm', '-q', 'fairlead'])).stdout.trim()).toBe(`fairlead-${VERSIONS.newer}-1.x86_64`);
    expect(differing(before, await identities(host, { ...watched, containers: [] }))).toEqual([]);
  });

  test('a downgrade that cannot read the state is refused before anything is changed', async () => {
    const host = lab.host('up-12');
    const H = `hosts/${host.name}`;
    const running = await pid(host);
    await commit(host, 'Third', {
      [`${H}/host.yaml`]: agentOf(VERSIONS.now, 'https://localhost:8443/now.tar.gz', tarballs.now),
      [`${H}/a.yaml`]: declared('three'),
    });
    await fairlead(host, 'sync', '--no-wait');
    const status = await settled(host, (s) => s.problems.some(({ reason }) => reason === 'AgentUpgradeFailed'));
    expect(status.problems[0]?.message).toContain('was written by a newer version');
    expect(await pid(host)).toBe(running);
    expect(await text(host, '/etc/greeting')).toBe('three');
  });
}

/** /srv/www over https, with a certificate that the agent trusts as the repository's. */
async function serve(on: LabHost): Promise<void> {
  await on.write(
    '/root/serve.cjs',
    `const fs = require('fs');
require('https').createServer({ key: fs.readFileSync('/root/tls.key'), cert: fs.readFileSync('/root/tls.crt') },
  (q, r) => fs.createReadStream('/srv/www' + q.url).pipe(r)).listen(8443);`,
  );
  await on.sh(`cp ${NODE} /root/node
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /root/tls.key -out /root/tls.crt -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost 2>/dev/null
    printf '[Service]\\nEnvironment=NODE_EXTRA_CA_CERTS=/root/tls.crt\\n' > /etc/systemd/system/fairlead.service.d/ca.conf
    systemctl daemon-reload; systemctl restart fairlead
    nohup /root/node /root/serve.cjs >/dev/null 2>&1 &`);
  await until('the server', 30_000, async () => {
    const { code } = await on.exec(['bash', '-c', '</dev/tcp/localhost/8443'], { check: false });
    return code === 0;
  });
}
