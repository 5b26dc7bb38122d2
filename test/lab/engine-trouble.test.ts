/**
 * Trouble of the Docker engine on a real host: it stops, hangs, its disk is full, and the agent dies between any two of its
 * calls. No commit is blamed.
 */
import { afterAll, beforeAll, beforeEach, expect, onTestFailed, test } from 'vitest';
import type { StatusDocument } from '../../manifests-schema/payloads.ts';
import { fairlead, fairleadJson, installAgent, isOfAnother, NODE, statusWhere } from './agent.ts';
import { statusOf } from './api.ts';
import { type FleetRepo, type Lab, type LabHost, startLab, until } from './lab.ts';
import { HEALTH, HEALTH_BY_SECONDS } from './story.ts';

const H = 'hosts/edge-1';
let lab: Lab;
let host: LabHost;
let repo: FleetRepo;

interface Service {
  image: string;
  more?: string;
}
const stack = (services: Record<string, Service>) =>
  `services:\n${Object.entries(services)
    .map(
      ([name, { image, more = HEALTH }]) =>
        `  ${name}:\n    image: infra:5000/app:${image}\n    stop_grace_period: 1s\n    ${more}\n`,
    )
    .join('')}`;
const containers = async (on = host) =>
  (await on.exec(['docker', 'ps', '-a', '--format', '{{.Names}} {{.Image}} {{.State}}'])).stdout
    .trim()
    .split('\n')
    .filter(Boolean)
    .sort();
const running = (names: Record<string, string>) =>
  Object.entries(names)
    .map(([name, image]) => `${name} infra:5000/app:${image} running`)
    .sort();
/** Exactly these, as soon as the containers that were set aside are gone. */
const exactly = (names: Record<string, string>, on = host) =>
  until(
    `exactly ${Object.keys(names).join(', ')}`,
    150_000,
    async () => (await containers(on)).join() === running(names).join(),
  );
const synced = async (commit: string, name = 'edge-1') => {
  const status = await statusWhere(
    lab.infra,
    name,
    'synced and healthy',
    (s) => s.sync === 'synced' && s.health === 'healthy' && s.desired?.commit === commit,
    180_000,
  );
  expect(status.bad).toEqual([]);
  return status;
};
const problem = (reason: string, name = 'edge-1') =>
  statusWhere(lab.infra, name, reason, (s) => s.problems.some((p) => p.reason === reason), 150_000);

beforeAll(async () => {
  lab = await startLab({
    name: 'engine-trouble',
    hosts: [{ name: 'edge-1' }, { name: 'edge-2', flavour: 'debian12' }],
  });
  host = lab.host('edge-1');
  repo = await lab.infra.createRepo('fleet');
  const commit = await repo.commit(
    {
      [`${H}/system.yaml`]: 'files: {/etc/app.conf: {content: "ours\\n"}}\n',
      [`${H}/shop/compose.yaml`]: stack({ web: { image: '1' }, db: { image: '1' } }),
    },
    'All well',
  );
  await installAgent(host, { repoUrl: repo.httpUrl });
  await synced(commit);
});
afterAll(async () => lab?.stop());
beforeEach(() =>
  onTestFailed(async () => console.error((await host.journal('fairlead.service')).split('\n').slice(-60).join('\n'))),
);

test('a restart of Docker during an apply: the rest is done when it is back, and its events are received again', async () => {
  const names = Array.from({ length: 6 }, (_, i) => `s${i}`);
  const commit = await repo.commit(
    {
      [`${H}/shop/compose.yaml`]: stack({
        web: { image: '2' },
        db: { image: '2' },
        ...Object.fromEntries(names.map((name) => [name, { image: '2' }])),
      }),
    },
    'Eight containers',
  );
  await fairlead(host, 'sync', '--no-wait');
  await until('the first new container', 60_000, async () => (await containers()).some((line) => /app:2/.test(line)));
  await host.exec(['systemctl', 'restart', 'docker.service'], { timeoutMs: 60_000 });
  await synced(commit);
  const all = Object.fromEntries(['web', 'db', ...names].map((name) => [`shop-${name}-1`, '2']));
  await exactly(all);
  await host.exec(['docker', 'rm', '-f', 'shop-s0-1']);
  await until('the repair of a drift that only an event can have reported', 150_000, async () =>
    (await containers()).includes('shop-s0-1 infra:5000/app:2 running'),
  );
});

test('a missing socket of Docker is reported, files are repaired nevertheless, and containers when it is back', async () => {
  await host.exec(['mv', '/run/docker.sock', '/run/docker.sock.away']);
  // An existing connection continues to work: only a new one finds the socket gone.
  await host.exec(['systemctl', 'restart', 'fairlead.service'], { timeoutMs: 60_000 });
  await host.write('/etc/app.conf', 'tampered\n');
  await problem('EngineUnreachable');
  await until('the repair', 150_000, async () => (await host.exec(['cat', '/etc/app.conf'])).stdout === 'ours\n');
  await host.exec(['mv', '/run/docker.sock.away', '/run/docker.sock']);
  const commit = await repo.commit(
    { [`${H}/shop/compose.yaml`]: stack({ web: { image: '1' }, db: { image: '1' } }) },
    'Two again',
  );
  await fairlead(host, 'sync', '--allow-prune');
  await synced(commit);
});

/** A proxy between agent and Docker engine: on SIGUSR2 it cuts the streams of events and lets none through, until SIGHUP. */
const PROXY = `const net = require('net'), fs = require('fs');
const streams = new Set();
let shut = false;
fs.rmSync('/run/proxy.sock', { force: true });
net.createServer((client) => {
  const engine = net.connect('/run/docker.sock');
  const end = () => { client.destroy(); engine.destroy(); streams.delete(end); };
  client.once('data', (head) => {
    if (!String(head).startsWith('GET /events')) return;
    streams.add(end);
    if (shut) end();
  });
  for (const side of [client, engine]) side.on('error', end).on('close', end);
  client.pipe(engine);
  engine.pipe(client);
}).listen('/run/proxy.sock');
process.on('SIGUSR2', () => { shut = true; for (const end of [...streams]) end(); });
process.on('SIGHUP', () => { shut = false; });
`;

test('a cut event stream of Docker is reported, and changes without an event are found when it is back', async () => {
  await host.write('/srv/proxy.cjs', PROXY);
  await host.sh(
    `systemd-run -q --unit proxy ${NODE} /srv/proxy.cjs; echo 'docker: {socket: /run/proxy.sock}' >> /etc/fairlead/agent.yaml`,
  );
  await until(
    'the proxy',
    60_000,
    async () => (await host.exec(['test', '-S', '/run/proxy.sock'], { check: false })).code === 0,
  );
  await host.exec(['systemctl', 'restart', 'fairlead.service'], { timeoutMs: 60_000 });
  await fairlead(host, 'sync');
  const start = async () => (await host.exec(['docker', 'inspect', '-f', '{{.State.StartedAt}}', 'shop-web-1'])).stdout;
  const repaired = async (before: string) =>
    until(
      'the repair',
      150_000,
      async () => (await start()) !== before && (await containers()).includes('shop-web-1 infra:5000/app:1 running'),
    );
  const since = (await host.sh('date "+%F %T"')).stdout.trim();
  const said = (what: RegExp) =>
    until(String(what), 120_000, async () =>
      what.test((await host.exec(['journalctl', '-u', 'fairlead.service', '--since', since, '-o', 'cat'])).stdout),
    );
  await host.exec(['systemctl', 'kill', '-s', 'USR2', 'proxy.service']);
  await said(/events of the Docker engine are lost/);
  const before = await start();
  await host.exec(['docker', 'kill', 'shop-web-1']);
  await host.exec(['systemctl', 'kill', '-s', 'HUP', 'proxy.service']);
  await repaired(before);
  await said(/events of the Docker engine are heard again/);
  const after = await start();
  await host.exec(['docker', 'kill', 'shop-web-1']);
  await repaired(after);
  const { instance } = (await statusOf(host)).agent;
  await host.sh(
    "sed -i '$d' /etc/fairlead/agent.yaml; systemctl restart fairlead.service; systemctl stop proxy.service",
  );
  const hasLooked = isOfAnother(instance);
  await statusWhere(lab.infra, 'edge-1', 'well', (s) => hasLooked(s) && s.sync === 'synced' && s.health === 'healthy');
});

test('Docker hangs: every call times out, the agent reports it and stays alive, and continues when Docker does', async () => {
  const pid = (await host.exec(['systemctl', 'show', '--value', '-p', 'MainPID', 'docker.service'])).stdout.trim();
  const commit = await repo.commit(
    { [`${H}/shop/compose.yaml`]: stack({ web: { image: '2' }, db: { image: '1' } }) },
    'While it hangs',
  );
  await host.exec(['kill', '-STOP', pid]);
  try {
    await fairlead(host, 'sync', '--no-wait');
    const said = (await problem('EngineUnreachable')).problems.find((p) => p.reason === 'EngineUnreachable');
    expect(said?.message).toMatch(/no answer within \d+ s/);
    expect((await fairleadJson<StatusDocument>(host, 'status')).host).toBe('edge-1');
  } finally {
    await host.exec(['kill', '-CONT', pid]);
  }
  await synced(commit);
  await exactly({ 'shop-web-1': '2', 'shop-db-1': '1' });
});

/** While `/run/hang` exists, it creates no container; a power cut removes the file. */
const HANGING_RUNC =
  '#!/bin/sh\ncase " $* " in *" create "*) [ ! -e /run/hang ] || exec sleep 1000 ;; esac\nexec /usr/sbin/runc.real "$@"\n';

test('a port that Docker lost track of in a power cut is reported, no commit is blamed, and a restart of Docker fixes it', async () => {
  // Docker 28 allocates a port when the container exists; older engines before.
  const old = lab.host('edge-2');
  await old.sh('mv /usr/sbin/runc /usr/sbin/runc.real');
  await old.write('/usr/sbin/runc', HANGING_RUNC, '0755');
  await old.exec(['touch', '/run/hang']);
  await installAgent(old, { repoUrl: repo.httpUrl });
  const web = { image: '3', more: `${HEALTH_BY_SECONDS}\n    ports: ["8080:8080"]` };
  const commit = await repo.commit({ 'hosts/edge-2/shop/compose.yaml': stack({ web }) }, 'A port');
  await fairlead(old, 'sync', '--no-wait');
  await until(
    'the port to be in use',
    150_000,
    async () => (await old.exec(['pgrep', 'docker-proxy'], { check: false })).code === 0,
  );
  await old.powerOff();
  await old.powerOn();
  const lost = await problem('EngineLostPort', 'edge-2');
  expect(lost).toMatchObject({ sync: 'failed', desired: { commit }, bad: [] });
  expect(lost.problems.find((p) => p.reason === 'EngineLostPort')?.message).toMatch(
    /8080 failed: port is already allocated, and no container has it: .* a restart of docker\.service mends/,
  );
  await old.exec(['systemctl', 'restart', 'docker.service'], { timeoutMs: 60_000 });
  await synced(commit, 'edge-2');
  await exactly({ 'shop-web-1': '3' }, old);
});

test('a full disk of Docker during a pull is reported, running containers are left alone, and the pull is retried when there is space', async () => {
  await host.exec(['systemctl', 'stop', 'docker.socket', 'docker.service'], { timeoutMs: 60_000 });
  await host.sh('mkdir -p /mnt/small; mount -t tmpfs -o size=48m tmpfs /mnt/small');
  await host.sh(`sed -i 's#^{#{"data-root":"/mnt/small",#' /etc/docker/daemon.json; systemctl start docker.service`);
  const first = await repo.commit(
    {
      [`${H}/shop/compose.yaml`]: stack({ web: { image: '1' } }),
    },
    'On a small disk',
  );
  await fairlead(host, 'sync', '--allow-prune');
  await synced(first);
  const id = (await host.exec(['docker', 'inspect', '-f', '{{.Id}} {{.State.StartedAt}}', 'shop-web-1'])).stdout;
  await host.sh('dd if=/dev/zero of=/mnt/small/filler bs=64k 2>/dev/null || true');
  const next = await repo.commit({ [`${H}/shop/compose.yaml`]: stack({ web: { image: '3' } }) }, 'No room for it');
  await fairlead(host, 'sync', '--no-wait');
  const said = (await problem('DiskFull')).problems.find((p) => p.reason === 'DiskFull');
  expect(said?.message).toMatch(/no space left on device/);
  expect((await host.exec(['docker', 'inspect', '-f', '{{.Id}} {{.State.StartedAt}}', 'shop-web-1'])).stdout).toBe(id);
  await host.exec(['rm', '/mnt/small/filler']);
  await fairlead(host, 'sync');
  await synced(next);
  await exactly({ 'shop-web-1': '3' });
});
