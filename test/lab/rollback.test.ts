/**
 * On a real host: a commit that does not settle, and commits that cut the host's connection, are rolled back by the host itself.
 */
import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest';
import type { StatusDocument } from '../../manifests-schema/payloads.ts';
import { fairlead, fairleadJson, installAgent, retained, statusWhere } from './agent.ts';
import { statusOf } from './api.ts';
import { type FleetRepo, type Lab, type LabHost, startLab, until } from './lab.ts';
import { HEALTH } from './story.ts';

const H = 'hosts/edge-1';
let lab: Lab;
let host: LabHost;
let repo: FleetRepo;
let good: string;

beforeAll(async () => {
  lab = await startLab({ name: 'rollback', hosts: [{ name: 'edge-1' }] });
  host = lab.host('edge-1');
  repo = await lab.infra.createRepo('fleet');
  good = await repo.commit(
    {
      // Shorter than the timeout of a connectivity probe: one unanswered probe is enough.
      [`${H}/host.yaml`]: 'settle: {timeout: 9s}\n',
      [`${H}/system.yaml`]: 'files: {/etc/app.conf: {content: "good\\n"}}\n',
      [`${H}/shop/compose.yaml`]: compose('infra:5000/app:1', HEALTH),
    },
    'All well',
  );
  await installAgent(host, { repoUrl: repo.httpUrl });
  await statusWhere(lab.infra, 'edge-1', 'synced', (s) => s.sync === 'synced' && s.applied?.commit === good);
});
afterAll(async () => lab?.stop());
const withJournal = () => onTestFailed(async () => console.error(await host.journal('fairlead.service')));

const compose = (image: string, health: string) =>
  `services:\n  web:\n    image: ${image}\n    restart: unless-stopped\n    ${health}\n`;
/** Without a healthcheck a container counts as well after this time. */
const SOON = 'deploy: {update_config: {monitor: 500ms}}';
const SICK = 'healthcheck: {test: [CMD, /bin/false], interval: 1s, timeout: 1s, retries: 2}';
const image = async () =>
  (await host.exec(['docker', 'inspect', '-f', '{{.Config.Image}}', 'shop-web-1'])).stdout.trim();

test('a commit that makes a service unhealthy is rolled back, reported, and not tried again', async () => {
  withJournal();
  const bad = await repo.commit(
    {
      [`${H}/system.yaml`]: 'files: {/etc/app.conf: {content: "bad\\n"}, /etc/new.conf: {content: "x"}}\n',
      [`${H}/shop/compose.yaml`]: compose('infra:5000/app:2', SICK),
    },
    'A sick service',
  );
  const out = await fairlead(host, 'sync');
  expect([out.code, out.stdout]).toEqual([1, expect.stringContaining('rolled back')]);
  expect(await image()).toBe('infra:5000/app:1');
  expect((await host.exec(['cat', '/etc/app.conf'])).stdout).toBe('good\n');
  const status = await statusWhere(
    lab.infra,
    'edge-1',
    'rolled back',
    (s) => s.sync === 'rolled-back' && s.health === 'healthy',
  );
  expect(status).toMatchObject({
    health: 'healthy',
    reason: 'Unhealthy',
    desired: { commit: bad },
    applied: { commit: good },
    bad: [{ commit: bad, reason: 'Unhealthy' }],
  });
  expect(status.problems[0]).toMatchObject({ id: 'service:shop/web', file: `${H}/shop/compose.yaml` });

  const id = (await host.exec(['docker', 'inspect', '-f', '{{.Id}}', 'shop-web-1'])).stdout;
  await repo.commit({ 'README.md': 'the same for this host\n' }, 'The same content under another id');
  expect((await fairlead(host, 'sync')).stdout).toContain('same content');
  expect((await host.exec(['docker', 'inspect', '-f', '{{.Id}}', 'shop-web-1'])).stdout).toBe(id);
  // Resources that only the bad commit declared are gone.
  expect((await host.exec(['ls', '/etc/new.conf'], { check: false })).code).not.toBe(0);

  const mended = await repo.commit(
    {
      [`${H}/system.yaml`]: 'files: {/etc/app.conf: {content: "good\\n"}}\n',
      [`${H}/shop/compose.yaml`]: compose('infra:5000/app:2', HEALTH),
    },
    'Mend it',
  );
  expect((await fairlead(host, 'sync')).code).toBe(0);
  expect(await image()).toBe('infra:5000/app:2');
  good = mended;
});

describe('failures that are not the commit’s own fault', () => {
  const fault = (compose: string | null) => repo.commit({ [`${H}/fault/compose.yaml`]: compose }, 'Whose fault');
  const stateOf = async () =>
    (await host.exec(['docker', 'inspect', '-f', '{{.State.Status}}', 'fault-web-1'], { check: false })).stdout.trim();
  const cleared = async () => {
    good = await fault(null);
    expect((await fairlead(host, 'sync')).code).toBe(0);
    expect((await fairleadJson<StatusDocument>(host, 'status')).bad).toEqual([]);
  };

  test('a missing external network: the rest is applied, and the service follows when somebody creates it', async () => {
    withJournal();
    const commit = await fault(
      `services: {web: {image: "infra:5000/app:1", ${SOON}, networks: [web]}, well: {image: "infra:5000/app:1", ${SOON}}}\nnetworks: {web: {external: true}}\n`,
    );
    expect((await fairlead(host, 'sync')).code).toBe(1);
    const status = await fairleadJson<StatusDocument>(host, 'status');
    expect(status).toMatchObject({ sync: 'failed', reason: 'NetworkMissing', bad: [], applied: { commit } });
    expect(status.problems[0]).toMatchObject({ id: 'network:fault/web', turn: 'host' });
    expect((await host.exec(['docker', 'inspect', '-f', '{{.State.Status}}', 'fault-well-1'])).stdout.trim()).toBe(
      'running',
    );
    await host.exec(['docker', 'network', 'create', 'web']);
    await until('the service to follow by itself', 150_000, async () => (await stateOf()) === 'running');
    await statusWhere(
      lab.infra,
      'edge-1',
      'well again',
      (s) => s.sync === 'synced' && s.problemsTotal === 0 && s.applied?.commit === commit,
    );
    await cleared();
    await host.exec(['docker', 'network', 'rm', 'web']);
  });

  test('a port in use: the service follows when the port is free', async () => {
    withJournal();
    const { stdout } = await host.sh(
      '/usr/bin/docker run -d --name squatter -p 8099:80 infra:5000/app:1 /bin/busybox sleep 1000',
    );
    expect(stdout.trim()).not.toBe('');
    await fault(`services: {web: {image: "infra:5000/app:1", ${SOON}, ports: ["8099:8080"]}}\n`);
    expect((await fairlead(host, 'sync')).code).toBe(1);
    expect(await fairleadJson<StatusDocument>(host, 'status')).toMatchObject({ reason: 'PortInUse', bad: [] });
    await host.exec(['docker', 'rm', '-f', 'squatter']);
    await until('the service to follow by itself', 150_000, async () => (await stateOf()) === 'running');
    await cleared();
  });

  test('an application that restarts until its database is up is waited for', async () => {
    withJournal();
    await host.sh('mkdir -p /srv/db; (sleep 10; touch /srv/db/up) >/dev/null 2>&1 &');
    await fault(
      'services:\n  web:\n    image: infra:5000/app:1\n    restart: always\n    command: ["/bin/busybox", "sh", "-c", "test -e /db/up || exit 1; exec /bin/busybox sleep 1000"]\n    volumes: ["/srv/db:/db"]\n    x-fairlead: {patience: 2m}\n',
    );
    expect((await fairlead(host, 'sync')).code).toBe(0);
    expect(await fairleadJson<StatusDocument>(host, 'status')).toMatchObject({ sync: 'synced', bad: [] });
    await cleared();
  });

  test('a job of minutes: status names it, and another sync does not wait for it', async () => {
    withJournal();
    await repo.commit(
      {
        [`${H}/long.yaml`]:
          'jobs: {long: {run: [sh, -c, "until test -e /run/long-done; do sleep 0.2; done"], timeout: 1h}}\n',
      },
      'A long job',
    );
    await fairlead(host, 'sync', '--no-wait');
    await statusWhere(lab.infra, 'edge-1', 'waiting', (s) => s.waiting?.some((w) => w.id === 'job:long') ?? false);
    good = await repo.commit({ [`${H}/beside.yaml`]: 'files: {/etc/beside: {content: "x"}}\n' }, 'Beside it');
    await fairlead(host, 'sync', '--no-wait');
    await until(
      'the other commit',
      120_000,
      async () => (await host.exec(['cat', '/etc/beside'], { check: false })).stdout === 'x',
    );
    await host.exec(['touch', '/run/long-done']);
    await statusWhere(lab.infra, 'edge-1', 'done', (s) => s.sync === 'synced' && s.applied?.commit === good);
    expect((await host.exec(['pgrep', '-fc', 'run/long-done'], { check: false })).stdout.trim()).toBe('0');
  });
});

const once = (command: string, undo: string) =>
  `units:\n  cut.service:\n    content: |\n      [Service]\n      Type=oneshot\n      RemainAfterExit=yes\n      ExecStart=${command}\n      ExecStop=${undo}\n    state: started\n`;

test.each([
  [
    'a firewall',
    {
      [`${H}/cut.yaml`]: once(
        '/usr/sbin/iptables -w -I OUTPUT -o eth0 -j DROP',
        '/usr/sbin/iptables -w -D OUTPUT -o eth0 -j DROP',
      ),
    },
  ],
  ['a broken hosts file', { [`${H}/cut.yaml`]: 'files: {/etc/nsswitch.conf: {content: "hosts: files\\n"}}\n' }],
  [
    'a network that is stopped',
    { [`${H}/cut.yaml`]: once('/usr/sbin/ip link set eth0 down', '/usr/sbin/ip link set eth0 up') },
  ],
])("%s that cuts the host's connection is undone by the host itself", async (what, files) => {
  withJournal();
  const cut = await repo.commit(files, `Cut off by ${what}`);
  await fairlead(host, 'sync', '--no-wait');
  const status = await statusOnceBackFrom(cut);
  expect(status).toMatchObject({ reason: 'WayHomeShut', applied: { commit: good } });
  expect((await host.exec(['git', 'ls-remote', repo.httpUrl, 'main'], { check: false })).code).toBe(0);
  await until(
    'the host to be online',
    120_000,
    async () => (await retained(lab.infra, 'fairlead/default/hosts/edge-1/presence')) === 'online',
  );
  good = await repo.commit({ [`${H}/cut.yaml`]: null }, 'Without it');
  expect((await fairlead(host, 'sync')).code).toBe(0);
  good = (await fairleadJson<{ applied: { commit: string } }>(host, 'status')).applied.commit;
});

test("a commit that cuts the host's connection is rolled back although other syncs are requested meanwhile, and the agent is restarted", async () => {
  withJournal();
  const cut = await repo.commit(
    {
      [`${H}/cut.yaml`]: once(
        '/usr/sbin/iptables -w -I OUTPUT -o eth0 -j DROP',
        '/usr/sbin/iptables -w -D OUTPUT -o eth0 -j DROP',
      ),
    },
    'Cut off, and asked again',
  );
  const isBlocked = async () => {
    const { code, stderr } = await host.exec(['iptables', '-w', '-C', 'OUTPUT', '-o', 'eth0', '-j', 'DROP'], {
      check: false,
    });
    // iptables(8): 1 if there is no such rule; any other code says nothing about it.
    if (code > 1) throw new Error(`iptables ended with ${code}: ${stderr}`);
    return code === 0;
  };
  await fairlead(host, 'sync', '--no-wait');
  await until('the firewall rule to exist', 60_000, isBlocked);
  await fairlead(host, 'sync', '--no-wait');
  await host.exec(['systemctl', 'restart', 'fairlead']);
  await fairlead(host, 'sync', '--no-wait');
  await until('the firewall rule to be gone', 120_000, async () => {
    await fairlead(host, 'sync', '--no-wait');
    return !(await isBlocked());
  });
  const status = await statusOnceBackFrom(cut);
  expect(status).toMatchObject({ reason: 'WayHomeShut', applied: { commit: good } });
  expect(await isBlocked()).toBe(false);
  // A packet filter that drops packets looks like an outage, which proves nothing: the commit is tried again later.
  expect(status.bad.map((b) => b.commit)).not.toContain(cut);
  expect((await host.exec(['systemctl', 'is-active', 'cut.service'], { check: false })).stdout).not.toBe('active\n');
  good = await repo.commit({ [`${H}/cut.yaml`]: null }, 'Without the wall');
  expect((await fairlead(host, 'sync')).code).toBe(0);
  good = (await fairleadJson<{ applied: { commit: string } }>(host, 'status')).applied.commit;
});

test('a server that goes down for all hosts meanwhile causes no rollback', async () => {
  withJournal();
  const commit = await repo.commit(
    {
      [`${H}/slow.yaml`]:
        'units:\n  slow.service:\n    content: |\n      [Service]\n      Type=oneshot\n      RemainAfterExit=yes\n      ExecStart=/bin/sleep 4\n    state: started\n',
    },
    'While the server goes down',
  );
  await fairlead(host, 'sync', '--no-wait');
  await until('the slow unit to be starting', 30_000, async () =>
    (await host.exec(['systemctl', 'is-active', 'slow.service'], { check: false })).stdout.startsWith('activating'),
  );
  await lab.infra.exec(['systemctl', 'stop', 'nginx', 'mosquitto']);
  await until('the commit to be applied', 150_000, async () => {
    return (await statusOf(host)).applied?.commit === commit;
  });
  expect((await host.exec(['systemctl', 'is-active', 'slow.service'])).stdout).toBe('active\n');
  await lab.infra.exec(['systemctl', 'start', 'nginx', 'mosquitto']);
  await statusWhere(
    lab.infra,
    'edge-1',
    'all well',
    (s) => s.sync === 'synced' && s.applied?.commit === commit && s.bad.every((b) => b.commit !== commit),
  );
});

/**
 * Creates a private CA and a certificate of it for `infra`; nginx serves the repository with it.
 * @returns the CA's PEM, and that of another one
 */
async function privateTls(): Promise<{ right: string; wrong: string }> {
  await lab.infra.sh(`mkdir -p /srv/tls; cd /srv/tls
for ca in right wrong; do
  openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=$ca lab CA" -keyout $ca.key -out $ca.pem 2>/dev/null
done
openssl req -newkey rsa:2048 -nodes -subj /CN=infra -keyout infra.key -out infra.csr 2>/dev/null
printf 'subjectAltName=DNS:infra\\n' > san
openssl x509 -req -in infra.csr -CA right.pem -CAkey right.key -CAcreateserial -days 2 -extfile san -out infra.pem 2>/dev/null
sed -e 's#listen 80 default_server;#listen 443 ssl default_server; ssl_certificate /srv/tls/infra.pem; ssl_certificate_key /srv/tls/infra.key;#' /etc/nginx/sites-enabled/default > /etc/nginx/sites-enabled/tls
systemctl reload nginx`);
  const pem = async (name: string) => (await lab.infra.exec(['cat', `/srv/tls/${name}.pem`])).stdout;
  return { right: await pem('right'), wrong: await pem('wrong') };
}

test('a wrong CA file that cuts the host off from its repository is undone by the host itself', async () => {
  withJournal();
  const { right, wrong } = await privateTls();
  const caFile = (pem: string) =>
    `files:\n  /etc/ssl/fleet-ca.pem:\n    content: |\n${pem.trimEnd().replace(/^/gm, '      ')}\n`;
  await repo.commit({ [`${H}/ca.yaml`]: caFile(right) }, 'The CA of the repository');
  expect((await fairlead(host, 'sync')).code).toBe(0);
  const url = repo.httpUrl.replace('http:', 'https:');
  await host.sh(
    `sed -i 's#^repo: .*#repo: {url: "${url}", ca: /etc/ssl/fleet-ca.pem}#' /etc/fairlead/agent.yaml; systemctl reload fairlead`,
  );
  good = await repo.commit({ [`${H}/files/note`]: 'by https\n' }, 'The first over https');
  expect((await fairlead(host, 'sync')).code).toBe(0);
  await statusWhere(lab.infra, 'edge-1', 'over https', (s) => s.sync === 'synced' && s.desired?.commit === good);
  const applied = (await fairleadJson<{ applied: { commit: string } }>(host, 'status')).applied.commit;

  const cut = await repo.commit({ [`${H}/ca.yaml`]: caFile(wrong) }, 'Another CA');
  await fairlead(host, 'sync', '--no-wait');
  await expectRolledBack(cut, applied, 'repository');
  expect((await host.exec(['cat', '/etc/ssl/fleet-ca.pem'])).stdout.trim()).toBe(right.trim());
  good = await repo.commit({ [`${H}/ca.yaml`]: caFile(right) }, 'The right one again');
  expect((await fairlead(host, 'sync')).code).toBe(0);
});

test('an unreachable address of repository and broker is undone by the host itself', async () => {
  withJournal();
  const applied = (await fairleadJson<{ applied: { commit: string } }>(host, 'status')).applied.commit;
  const infra = await lab.infra.address();
  // Nobody has this address in the lab's own network, so packets to it are lost.
  const route = `${infra}/32 via ${infra.replace(/\d+$/, '250')}`;
  const cut = await repo.commit(
    { [`${H}/cut.yaml`]: once(`/usr/sbin/ip route add ${route}`, `/usr/sbin/ip route del ${route}`) },
    'Another way to infra, it says',
  );
  await fairlead(host, 'sync', '--no-wait');
  await expectRolledBack(cut, applied, 'repository, broker');
  expect((await host.exec(['ip', 'route'])).stdout).not.toContain(infra);
  await repo.commit({ [`${H}/cut.yaml`]: null }, 'There is none');
  expect((await fairlead(host, 'sync')).code).toBe(0);
});

const statusOnceBackFrom = (commit: string) =>
  statusWhere(
    lab.infra,
    'edge-1',
    'rolled back',
    (s) => s.sync === 'rolled-back' && s.desired?.commit === commit,
    240_000,
  );

/**
 * The host itself rolled back, and reports so in its status, its history and, if the broker had been cut off, at the broker
 * again.
 */
async function expectRolledBack(cut: string, applied: string, way: string): Promise<void> {
  const status = await statusOnceBackFrom(cut);
  expect(status).toMatchObject({ reason: 'WayHomeShut', applied: { commit: applied } });
  // An error of this host itself (no trust, no route to that host) makes a commit bad.
  expect(status.bad[0]).toMatchObject({ commit: cut, reason: 'WayHomeShut' });
  expect(status.problems[0]).toMatchObject({ id: way, reason: 'WayHomeShut' });
  const { runs } = await fairleadJson<{ runs: { sync: string; reason: string; message: string }[] }>(host, 'history');
  expect(runs).toContainEqual(
    expect.objectContaining({
      sync: 'rolled-back',
      reason: 'WayHomeShut',
      message: expect.stringMatching(/reachable before this commit, and not after it.*rolled back to/),
    }),
  );
}
