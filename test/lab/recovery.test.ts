/**
 * Recovery as docs/recovery.md and its pages describe it: each drill types their commands, block after block. In between are the
 * steps of a person, who carries files from one machine to the other, and the faults.
 */
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, onTestFailed, test } from 'vitest';
import type { DoctorDocument } from '../../manifests-schema/documents.ts';
import { differing, fairlead, fairleadJson, identities, retained, statusWhere } from './agent.ts';
import { statusOf } from './api.ts';
import { builtPackage } from './built-packages.ts';
import { type FleetRepo, type Lab, type LabHost, startLab, until } from './lab.ts';
import { type Step, stepsOf } from './pages.ts';

const FLEET = '/srv/work/fleet';
const INSTEAD = {
  'https://git.example.com/': 'http://infra/git/',
  'mqtts://broker.example.com:8883': 'mqtt://infra:1883',
  'broker.example.com': 'infra',
  './fairlead_*_amd64.deb': '/root/fairlead.deb',
  '/backup/fleet': FLEET,
};
const COMPOSE = `services:
  db: {image: "infra:5000/app:1", volumes: ["data:/data"], restart: unless-stopped}
  web: {image: "infra:5000/app:1", volumes: ["./conf:/conf:ro"], env_file: [web.env.age], restart: unless-stopped}
volumes: {data: {}}
`;
const SYSTEM = `files:
  /etc/app/app.conf: {content: "hello\\n"}
  /etc/app/token: {source: token.age}
units:
  work.service: {content: "[Service]\\nExecStart=/bin/sleep infinity\\n", state: started}
`;
const watched = {
  files: ['/etc/app/app.conf', '/etc/app/token'],
  units: ['work.service'],
  containers: ['shop-db-1', 'shop-web-1'],
};

let lab: Lab;
let repo: FleetRepo;
/** The machine that dies, its replacement, and everything else: workstation, git server, broker. */
let old: LabHost;
let host: LabHost;
let infra: LabHost;

beforeAll(async () => {
  const booting = startLab({ name: 'recovery', hosts: [{ name: 'edge-1' }, { name: 'spare' }] });
  const deb = await builtPackage('now');
  lab = await booting;
  [old, host, infra] = [lab.host('edge-1'), lab.host('spare'), lab.infra];
  repo = await lab.infra.createRepo('fleet');
  await Promise.all([old, host, infra].map((on) => on.copyIn(deb, '/root/fairlead.deb')));
  await infra.sh(`apt-get install -y /root/fairlead.deb >/dev/null
    git config --global user.name Ann; git config --global user.email ann@example.com; age-keygen -o /root/admin.key`);
});
afterAll(async () => {
  await lab?.stop();
});
beforeEach(() => onTestFailed(async () => console.error(await host.journal('fairlead.service'))));

const play = async (on: LabHost, step: Step | undefined, where: string, cwd = '/root') => {
  expect(step?.where).toContain(where);
  return on.exec(['sh', '-ec', step?.script ?? ''], { cwd, timeoutMs: 170_000 });
};
const read = async (on: LabHost, file: string) => (await on.exec(['cat', file])).stdout;
/** From one machine to another, as a person copies it. */
const carry = async (from: LabHost, file: string, to: LabHost) =>
  to.sh(`mkdir -p ${path.dirname(file)}; base64 -d > ${file}`, {
    input: (await from.exec(['base64', file])).stdout,
  });
const carryRecipient = async (from: LabHost) =>
  infra.write('/tmp/edge-1.recipient', (await fairlead(from, 'secret', 'recipients')).stdout);

test('a new machine replaces the dead one, from the repository and a backup, under its name', async () => {
  await old.exec(['apt-get', 'install', '-y', '/root/fairlead.deb'], { timeoutMs: 170_000 });
  await fairlead(old, 'init', repo.httpUrl, '--broker', 'mqtt://infra:1883');
  const recipient = (await fairlead(old, 'secret', 'recipients')).stdout.trim();
  await repo.commit(
    {
      'hosts/edge-1/host.yaml': `age: ${recipient}\n`,
      'hosts/edge-1/system.yaml': SYSTEM,
      'hosts/edge-1/shop/compose.yaml': COMPOSE,
      'hosts/edge-1/shop/conf/web.conf': 'port=8080\n',
    },
    'Set up edge-1',
  );
  const seal = 'fairlead secret encrypt - --to edge-1 --recipient "$(age-keygen -y ~/admin.key)" -o hosts/edge-1';
  await infra.sh(`cd ${FLEET}; echo s3cret | ${seal}/token.age; echo PASSWORD=pw | ${seal}/shop/web.env.age
    git add -A; git commit -qm Secrets; git push -q origin HEAD:main; git branch -q -u origin/main`);
  expect((await fairlead(old, 'sync')).code).toBe(0);
  await old.sh('docker exec shop-db-1 sh -c "echo precious > /data/orders"');
  const [backup] = stepsOf('recovery.md', INSTEAD);
  await play(old, backup, 'on the host');
  await carry(old, '/var/backups/shop_data.tar.gz', infra);
  const before = await statusWhere(lab.infra, 'edge-1', 'synced', (s) => s.sync === 'synced');
  await old.powerOff();

  const began = Date.now();
  const [look, install, floor, restore, secrets, start] = stepsOf('recovery/dead-host.md', INSTEAD);
  expect((await play(infra, look, 'on your machine')).stdout.trim()).toBe(before.applied?.commit);
  await play(host, install, 'on the new machine');
  await carry(infra, '/tmp/edge-1.since', host);
  await carry(infra, '/var/backups/shop_data.tar.gz', host);
  await play(host, floor, 'on the new machine');
  await play(host, restore, 'on the new machine');
  await carryRecipient(host);
  await play(infra, secrets, 'on your machine', FLEET);
  await play(host, start, 'on the new machine');
  console.log(`recovery: a dead host was rebuilt in ${Math.round((Date.now() - began) / 1_000)} s`);

  const after = await statusWhere(
    lab.infra,
    'edge-1',
    'the new machine, synced',
    (s) => s.sync === 'synced' && s.agent.instance !== before.agent.instance,
  );
  expect([after.health, after.problems]).toEqual(['healthy', []]);
  // The Last Will of the dead one may arrive last at the broker, and is corrected.
  await until('presence', 30_000, async () => (await retained(lab.infra, PRESENCE)) === 'online');
  expect(await read(host, '/etc/app/token')).toBe('s3cret\n');
  expect((await host.exec(['docker', 'exec', 'shop-db-1', 'cat', '/data/orders'])).stdout).toBe('precious\n');
  expect((await host.exec(['docker', 'exec', 'shop-web-1', 'cat', '/conf/web.conf'])).stdout).toBe('port=8080\n');
});
const PRESENCE = 'fairlead/default/hosts/edge-1/presence';

test('the old machine that returns is reported, and gives up the name when it is told to', async () => {
  await old.powerOn();
  const taken = await until('the new machine to notice', 60_000, async () => {
    const { findings } = await fairleadJson<DoctorDocument>(host, 'doctor');
    return findings.find(({ name, ok }) => name === 'daemon' && !ok);
  });
  expect(taken.message).toContain('another agent took over as host edge-1');
  expect(taken.fix).toContain('systemctl disable --now fairlead');
  const [leave, again] = stepsOf('recovery/dead-host.md', INSTEAD).slice(-2);
  await play(old, leave, 'on the old machine');
  await play(host, again, 'on the new machine');
  const { instance } = (await statusOf(host)).agent;
  await statusWhere(lab.infra, 'edge-1', 'the new machine', (s) => s.agent.instance === instance);
  await until('presence', 30_000, async () => (await retained(lab.infra, PRESENCE)) === 'online');
});

test('a lost age identity: the host keeps its state, reports what to write, and follows again', async () => {
  const before = await identities(host, watched);
  await host.sh('systemctl stop fairlead; rm /var/lib/fairlead/age.key; systemctl start fairlead');
  const lost = await fairlead(host, 'sync');
  expect([lost.code, lost.stdout]).toEqual([1, expect.stringContaining('is not encrypted to this host (age1')]);
  const [show, write] = stepsOf('recovery/age-identity.md', INSTEAD);
  const { stdout: recipient } = await play(host, show, 'on the host');
  expect(lost.stdout).toContain(`(${recipient.trim()})`);
  await carryRecipient(host);
  await play(infra, write, 'on your machine', FLEET);
  expect((await fairlead(host, 'sync')).code).toBe(0);
  expect(differing(before, await identities(host, watched))).toEqual([]);
});

test('lost state: running resources are adopted as they are, once the secrets are encrypted again', async () => {
  const before = await identities(host, watched);
  const [lose, restart] = stepsOf('recovery/state.md', INSTEAD);
  await play(host, lose, 'on the host');
  await carryRecipient(host);
  await play(infra, stepsOf('recovery/age-identity.md', INSTEAD)[1], 'on your machine', FLEET);
  expect((await fairlead(host, 'sync')).code).toBe(0);
  const problem = await until('what the host says of it', 30_000, async () =>
    (await statusOf(host)).problems.find(({ reason }) => reason === 'RestartNeeded'),
  );
  expect(problem.message).toContain('`docker restart shop-web-1`');
  expect(differing(before, await identities(host, watched))).toEqual([]);
  await play(host, restart, 'on the host');
  await until('a host that is well', 30_000, async () => {
    const { sync, health, problems } = await statusOf(host);
    return sync === 'synced' && health === 'healthy' && problems.length === 0;
  });
  expect((await host.exec(['docker', 'exec', 'shop-web-1', 'cat', '/conf/web.conf'])).stdout).toBe('port=8080\n');
});

test('a lost git server: repairs continue, and a clone replaces it', async () => {
  await infra.sh('mv /srv/git/fleet.git /srv/git/lost.git');
  await host.write('/etc/app/app.conf', 'drift\n');
  await until('the repair', 30_000, async () => (await read(host, '/etc/app/app.conf')) === 'hello\n');
  expect((await fairlead(host, 'sync')).code).toBe(1);
  const before = await identities(host, watched);
  const [clone, sync] = stepsOf('recovery/git-server.md', INSTEAD);
  await play(infra, clone, 'on the git server');
  await play(host, sync, 'on the host');
  expect((await statusOf(host)).problems).toEqual([]);
  expect(differing(before, await identities(host, watched))).toEqual([]);
});

test('a lost git server without a clone: the repository is restored from the hosts, and a person confirms it', async () => {
  const before = await identities(host, watched);
  await host.sh("sed -i '/^  since:/d' /etc/fairlead/agent.yaml; systemctl reload fairlead");
  const [, , collect, rebuild, accept] = stepsOf('recovery/git-server.md', INSTEAD);
  await play(host, collect, 'on the host');
  await carry(host, '/tmp/edge-1.tar', infra);
  await infra.sh(`rm -rf /srv/git/fleet.git ${FLEET}`);
  await play(infra, rebuild, 'on the git server');
  // The agent reads agent.yaml again meanwhile.
  const held = await until('the hold', 30_000, async () => {
    const { code, stdout } = await fairlead(host, 'sync');
    return code === 2 && stdout;
  });
  expect(held).toContain('--allow-rewind');
  expect((await statusOf(host)).reason).toBe('HistoryRewritten');
  await play(host, accept, 'on the host');
  expect(await statusOf(host)).toMatchObject({ sync: 'synced', desired: { subject: 'Rescued from the hosts' } });
  expect(differing(before, await identities(host, watched))).toEqual([]);
});

test('a lost deploy key: the host reports it, and a new one gives access', async () => {
  const keyscan = 'ssh-keyscan infra >> /root/.ssh/known_hosts 2>/dev/null';
  const repository = 'repo: {url: "ssh://root@infra/srv/git/fleet.git", auth: {sshKeyFile: /etc/fairlead/ssh_key}}';
  const config = (await read(host, '/etc/fairlead/agent.yaml')).replace(/^repo:\n(?: .*\n)*/m, `${repository}\n`);
  await lab.infra.authorize(await read(host, '/etc/fairlead/ssh_key.pub'));
  await host.sh(`mkdir -p -m 700 /root/.ssh; ${keyscan}; cat > /etc/fairlead/agent.yaml; systemctl reload fairlead`, {
    input: config,
  });
  await until('ssh', 60_000, async () => (await fairlead(host, 'sync')).code === 0);
  await infra.sh('rm /root/.ssh/authorized_keys');
  expect((await fairlead(host, 'sync')).code).toBe(1);
  expect((await statusOf(host)).problems.map(({ reason }) => reason)).toEqual(['AuthenticationFailed']);
  const [renew] = stepsOf('recovery/keys.md', INSTEAD);
  const { stdout } = await play(host, renew, 'on the host');
  expect(stdout).toContain((await read(host, '/etc/fairlead/ssh_key.pub')).trim());
  await lab.infra.authorize(await read(host, '/etc/fairlead/ssh_key.pub'));
  expect((await fairlead(host, 'sync')).code).toBe(0);
});

test("a lost broker: an empty one has the host's topics again, without any step on the host", async () => {
  const [replace] = stepsOf('recovery/broker.md', INSTEAD);
  const { seq } = await statusWhere(lab.infra, 'edge-1', 'synced', (s) => s.sync === 'synced');
  await infra.sh((replace?.script ?? '').replace('systemctl start mosquitto', ''));
  await host.write('/etc/app/app.conf', 'drift\n');
  await until('the repair', 30_000, async () => (await read(host, '/etc/app/app.conf')) === 'hello\n');
  await play(infra, replace, 'on the broker');
  await statusWhere(lab.infra, 'edge-1', 'the repair', (s) => s.seq > seq && s.sync === 'synced');
  await until('presence', 30_000, async () => (await retained(lab.infra, PRESENCE)) === 'online');
});
