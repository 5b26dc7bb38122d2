/** Pulls that fail, are interrupted, or take long: running containers are left alone, and everything converges. */
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest';
import type { SyncLine } from '../../agent/core/progress.ts';
import { fairlead, fairleadJson, installAgent, statusWhere } from './agent.ts';
import { statusOf } from './api.ts';
import { done, engineOn } from './engine-on.ts';
import { type FleetRepo, type Lab, type LabHost, startLab, until } from './lab.ts';
import {
  BASIC,
  blobsSent,
  PASSWORD,
  pushImage,
  retag,
  SLOW,
  startRegistries,
  trustRegistries,
  trustSlow,
} from './registries.ts';

let lab: Lab;
let agent: LabHost;
let engine: LabHost;
let repo: FleetRepo;

beforeAll(async () => {
  lab = await startLab({ name: 'pulls', hosts: [{ name: 'edge-1' }, { name: 'edge-2', flavour: 'debian12' }] });
  [agent, engine] = [lab.host('edge-1'), lab.host('edge-2')];
  await startRegistries(lab.infra);
  for (const host of [agent, engine]) await trustSlow(host);
  repo = await lab.infra.createRepo('fleet');
  await repo.commit(web('infra:5000/app:1'), 'One');
  await trustRegistries(lab.infra, agent);
  const registries = `registries: {"${BASIC}": {username: puller, passwordFile: /etc/fairlead/registry.password}}`;
  await agent.write('/etc/fairlead/registry.password', 'old-password\n', '0600');
  await installAgent(agent, { repoUrl: repo.httpUrl, more: `docker: {${registries}}` });
  await statusWhere(lab.infra, 'edge-1', 'synced', (s) => s.sync === 'synced');
});
afterAll(async () => lab?.stop());

const withJournal = () =>
  onTestFailed(async () => console.error((await agent.journal('fairlead.service')).split('\n').slice(-60).join('\n')));
const HEALTH = 'healthcheck: {test: [CMD, /bin/busybox, "true"], interval: 1s}';
const service = (name: string, image: string) => `  ${name}: {image: "${image}", ${HEALTH}}\n`;
const web = (image: string) => ({ 'hosts/edge-1/shop/compose.yaml': `services:\n${service('web', image)}` });
const running = async (host: LabHost) =>
  (await host.exec(['docker', 'ps', '--format', '{{.ID}} {{.Image}} {{.Names}}'])).stdout.trim();

test('pulls are reported in bytes; once for each image, for any number of services; three in parallel', async () => {
  const images = ['a', 'b', 'c', 'd', 'e'];
  for (const name of images) await pushImage(lab.infra, `many-${name}:1`, 4);
  const services = images.map((name) => service(name, `${SLOW}/many-${name}:1`)).join('');
  const on = await engineOn(engine);
  try {
    const told: Extract<SyncLine, { type: 'progress' }>[] = [];
    const emit = (line: SyncLine) => void (line.type === 'progress' && told.push(line));
    const result = await on.apply(
      { 'shop/compose.yaml': `services:\n${services}${service('twin', `${SLOW}/many-a:1`)}` },
      undefined,
      { emit },
    );
    expect(result.outcome.problems).toEqual([]);
    expect(done(result).filter((line) => line.includes('service:'))).toHaveLength(6);
    const at = (image: string) => told.flatMap((line, i) => (line.image === image ? [i] : []));
    const spans = images.map((name) => at(`${SLOW}/many-${name}:1`));
    for (const span of spans) {
      const [first, last] = [told[span[0] ?? -1], told[span.at(-1) ?? -1]];
      expect(first?.doneBytes).toBeLessThan(last?.totalBytes ?? 0);
      expect([last?.doneBytes, (last?.totalBytes ?? 0) > 4_000_000]).toEqual([last?.totalBytes, true]);
    }
    const beside = told.map((_, i) => spans.filter((s) => (s[0] ?? 0) <= i && i <= (s.at(-1) ?? 0)).length);
    expect(Math.max(...beside)).toBe(3);
    const sent = await blobsSent(lab.infra);
    expect(sent).toHaveLength(5);
    expect(new Set(sent).size).toBe(5);
  } finally {
    on.close();
  }
});

test('a full disk is reported, and running containers are left alone', async () => {
  await pushImage(lab.infra, 'large:1', 64);
  await engine.sh(
    'systemctl stop docker.socket docker; mount -t tmpfs -o size=48m tmpfs /var/lib/docker; systemctl start docker',
  );
  const on = await engineOn(engine);
  try {
    await on.apply({ 'shop/compose.yaml': `services:\n${service('web', 'infra:5000/app:1')}` });
    const before = await running(engine);
    const full = await on.apply({ 'shop/compose.yaml': `services:\n${service('web', 'infra:5000/large:1')}` });
    expect(full.outcome.problems.map((p) => `${p.reason}: ${p.message}`)).toEqual([
      expect.stringMatching(
        /^DiskFull: cannot pull infra:5000\/large:1: .*no space left on device; .*docker system df/,
      ),
    ]);
    expect(await running(engine)).toBe(before);
  } finally {
    on.close();
    await engine.sh(
      'docker rm -f shop-web-1; systemctl stop docker.socket docker; umount /var/lib/docker; systemctl start docker',
    );
  }
});

test('a failed pull leaves the running container alone, and is retried until it succeeds', async () => {
  withJournal();
  const before = await running(agent);
  const commit = await repo.commit(web('infra:5000/app:later'), 'A tag that is not there yet');
  const failed = await fairlead(agent, 'sync');
  expect([failed.code, failed.stdout]).toEqual([1, expect.stringMatching(/infra:5000\/app:later.*ImagePullFailed/)]);
  const retries = async () =>
    (await fairleadJson<{ runs: { trigger: string }[] }>(agent, 'history', '--commit', commit)).runs.filter(
      (r) => r.trigger === 'retry',
    ).length;
  await until('two retries', 180_000, async () => (await retries()) >= 2);
  expect(await running(agent)).toBe(before);
  await retag(lab.infra, 'app:2', 'app:later');
  // The agent retries without a request, and the commit was not marked as bad.
  await statusWhere(lab.infra, 'edge-1', 'synced', (s) => s.sync === 'synced' && s.applied?.commit === commit);
  expect(await running(agent)).toMatch(/infra:5000\/app:later shop-web-1$/);
});

test('doctor tries each registry; a corrected password is used at the next attempt, and is shown nowhere', async () => {
  withJournal();
  const registries = async () =>
    (await fairleadJson<{ findings: { name: string; ok: boolean; message: string }[] }>(agent, 'doctor')).findings.find(
      (f) => f.name === 'registries',
    );
  expect(await registries()).toMatchObject({
    ok: false,
    message: expect.stringMatching(/401 Unauthorized; asked as user puller with the password in .*registry\.password/),
  });
  const commit = await repo.commit(web(`${BASIC}/app:3`), 'From a registry with passwords');
  const refused = await fairlead(agent, 'sync');
  expect([refused.code, refused.stdout]).toEqual([1, expect.stringContaining('asked as user puller')]);
  await agent.write('/etc/fairlead/registry.password', `${PASSWORD}\n`, '0600');
  expect(await registries()).toMatchObject({ ok: true, message: `${BASIC} takes its user and password` });
  await statusWhere(lab.infra, 'edge-1', 'synced', (s) => s.sync === 'synced' && s.applied?.commit === commit);
  const shown = [
    await agent.journal('fairlead.service'),
    refused.stdout + refused.stderr,
    (await fairlead(agent, 'history', '--json')).stdout,
    (await fairlead(agent, 'show', 'service:shop/web')).stdout,
    (await agent.sh('strings -n 4 /var/lib/fairlead/history.db* || cat /var/lib/fairlead/history.db*')).stdout,
  ].join('\n');
  expect(shown).toContain('asked as user puller');
  for (const secret of ['old-password', PASSWORD]) {
    expect(shown).not.toContain(secret);
    expect(shown).not.toContain(Buffer.from(`puller:${secret}`).toString('base64'));
  }
});

/** A commit whose image is being pulled when this resolves. @returns the commit */
async function inThePull(image: string): Promise<string> {
  await pushImage(lab.infra, image, 24);
  const commit = await repo.commit(web(`${SLOW}/${image}`), `To ${image}`);
  await fairlead(agent, 'sync', '--no-wait');
  await until(
    'the first megabyte',
    60_000,
    async () => (await agent.sh('find /var/lib/docker/tmp -type f -size +1M')).stdout !== '',
  );
  return commit;
}

/** Exactly one container of the service, of that image. */
async function expectOnly(image: string): Promise<void> {
  const all = async () =>
    (await agent.exec(['docker', 'ps', '-a', '--format', '{{.Image}} {{.Names}} {{.State}}'])).stdout.trim();
  const only = `${SLOW}/${image} shop-web-1 running`;
  // A replaced container is removed when its successor is well, which may be a moment after the report.
  await until(only, 60_000, async () => (await all()) === only).catch(() => undefined);
  expect(await all()).toBe(only);
}

test('kill -9 of the agent during a pull: running containers keep running, and the next start converges', async () => {
  withJournal();
  const before = await running(agent);
  const commit = await inThePull('killed:1');
  await agent.exec(['systemctl', 'kill', '--kill-whom=main', '-s', 'KILL', 'fairlead.service']);
  expect(await running(agent)).toBe(before);
  await statusWhere(lab.infra, 'edge-1', 'synced', (s) => s.sync === 'synced' && s.applied?.commit === commit);
  await expectOnly('killed:1');
});

test('a stop of the agent does not wait for a pull to end', async () => {
  withJournal();
  const before = await running(agent);
  const commit = await inThePull('stopped:1');
  await agent.exec(['systemctl', 'stop', 'fairlead.service']);
  expect((await agent.exec(['systemctl', 'show', '-p', 'Result', '--value', 'fairlead.service'])).stdout).toBe(
    'success\n',
  );
  // The Docker engine aborts a pull without a client, as soon as it notices; it does not finish it.
  await until(
    'the download to be gone',
    60_000,
    async () => (await agent.sh('find /var/lib/docker/tmp -type f')).stdout === '',
  );
  expect((await agent.exec(['docker', 'image', 'ls', '-q', `${SLOW}/stopped`])).stdout).toBe('');
  expect(await running(agent)).toBe(before);
  await agent.exec(['systemctl', 'start', 'fairlead.service']);
  await statusWhere(lab.infra, 'edge-1', 'synced', (s) => s.sync === 'synced' && s.applied?.commit === commit);
  await expectOnly('stopped:1');
});

test('a restart of the Docker engine during a pull: reported, retried, done', async () => {
  withJournal();
  const commit = await inThePull('restarted:1');
  await agent.exec(['systemctl', 'restart', 'docker']);
  await statusWhere(lab.infra, 'edge-1', 'synced', (s) => s.sync === 'synced' && s.applied?.commit === commit);
  await expectOnly('restarted:1');
});

test('a host that is disconnected during a pull until the Docker engine gives up completes it afterwards', async () => {
  withJournal();
  const before = await running(agent);
  const commit = await inThePull('cut:1');
  await agent.disconnect();
  // A server that is gone for good: the pull must not continue on its old connection.
  await lab.infra.exec(['systemctl', 'restart', 'nginx']);
  await agent.exec(['ss', '-K', 'dport', '=', ':5001'], { check: false });
  await until('the failure', 240_000, async () => {
    const { problems } = await statusOf(agent);
    return problems.some((p) => p.reason === 'ImagePullFailed');
  });
  expect(await running(agent)).toBe(before);
  await agent.connect();
  await statusWhere(lab.infra, 'edge-1', 'synced', (s) => s.sync === 'synced' && s.applied?.commit === commit, 300_000);
  await expectOnly('cut:1');
}, 600_000);
