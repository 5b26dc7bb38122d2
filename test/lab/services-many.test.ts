/**
 * Many services on one small host: 60 in one stack and 12 stacks; in the soak 200 and 20. Everything is done once, only where
 * needed, and in time.
 */
import { afterAll, beforeAll, beforeEach, expect, onTestFailed, test } from 'vitest';
import type { StatusDocument } from '../../manifests-schema/payloads.ts';
import { THOROUGH } from '../sweep.ts';
import { fairlead, fairleadJson, installAgent, retained, statusWhere } from './agent.ts';
import { type FleetRepo, type Lab, type LabHost, startLab, until } from './lab.ts';

const H = 'hosts/edge-1';
const MANY = THOROUGH ? 200 : 60;
const STACKS = THOROUGH ? 20 : 12;
/** None of these has a healthcheck: each counts as well after this time. */
const SOON = 'deploy: {update_config: {monitor: 500ms}}';
let lab: Lab;
let host: LabHost;
let repo: FleetRepo;

interface Many {
  image?: string;
  /** Variables of single services. */
  words?: Record<string, string>;
  policy?: string;
}
const names = Array.from({ length: MANY }, (_, i) => `s${String(i).padStart(3, '0')}`);
/** No network and little memory, so that this many fit on any machine. */
const many = ({ image = 'app:1', words = {}, policy = 'missing' }: Many = {}) => ({
  [`${H}/many/compose.yaml`]: `x-each: &each
  image: infra:5000/${image}
  pull_policy: ${policy}
  command: [/bin/busybox, sleep, "100000"]
  network_mode: none
  mem_limit: 32m
  logging: {driver: none}
  ${SOON}
services:
${names.map((name) => `  ${name}: {<<: *each, environment: {WORD: ${words[name] ?? 'one'}}}\n`).join('')}`,
});
const stacks = () =>
  Object.fromEntries(
    Array.from({ length: STACKS }, (_, i) => [
      `${H}/stack${i}/compose.yaml`,
      `services:
  web: {image: infra:5000/app:1, ${SOON}, mem_limit: 32m, depends_on: [db], networks: [default, back]}
  db: {image: infra:5000/app:1, ${SOON}, mem_limit: 32m, networks: [back]}
networks:
  default: {internal: true}
  back: {ipam: {config: [{subnet: 10.77.${i}.0/24}]}}
`,
    ]),
  );

/** Name → id and start of all containers. */
const containers = async () => {
  const { stdout } = await host.sh(
    "docker ps -aq --no-trunc | xargs -r docker inspect -f '{{.Name}} {{.State.Status}} {{.Id}} {{.State.StartedAt}}'",
    { timeoutMs: 60_000 },
  );
  const lines = stdout.trim().split('\n').filter(Boolean);
  return new Map(lines.map((line) => [line.slice(1, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1)]));
};
const running = (found: ReadonlyMap<string, string>) => [...found.values()].filter((v) => v.startsWith('running '));
const changed = (before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>) =>
  [...new Set([...before.keys(), ...after.keys()])].filter((name) => before.get(name) !== after.get(name)).sort();
const synced = async (commit: string) => {
  const status = await statusWhere(
    lab.infra,
    'edge-1',
    'synced and healthy',
    (s) => s.sync === 'synced' && s.health === 'healthy' && s.applied?.commit === commit,
    280_000,
  );
  expect(status.bad).toEqual([]);
  return status;
};

beforeAll(async () => {
  lab = await startLab({ name: 'many', hosts: [{ name: 'edge-1' }] });
  host = lab.host('edge-1');
  repo = await lab.infra.createRepo('fleet');
  const commit = await repo.commit(
    { [`${H}/system.yaml`]: 'files: {/etc/app.conf: {content: "ours\\n"}}\n' },
    'Nothing yet',
  );
  await installAgent(host, { repoUrl: repo.httpUrl });
  await synced(commit);
});
afterAll(async () => lab?.stop());
beforeEach(() =>
  onTestFailed(async () => console.error((await host.journal('fairlead.service')).split('\n').slice(-60).join('\n'))),
);

test(`${STACKS} stacks start, each with networks of its own; a second run finds nothing to do`, async () => {
  const commit = await repo.commit(stacks(), 'Many stacks');
  await fairlead(host, 'sync', '--no-wait');
  await synced(commit);
  const before = await containers();
  expect(running(before)).toHaveLength(2 * STACKS);
  expect((await host.sh('docker compose ls --format json | grep -o \'"Name"\' | wc -l')).stdout.trim()).toBe(
    String(STACKS),
  );
  expect((await fairlead(host, 'sync')).code).toBe(0);
  expect(changed(before, await containers())).toEqual([]);
});

test('of many stacks one is removed, another one changes: the others are not touched', async () => {
  const before = await containers();
  const name = `${H}/stack7/compose.yaml`;
  const commit = await repo.commit(
    {
      [`${H}/stack3/`]: null,
      [name]: (stacks()[name] ?? '').replace('mem_limit: 32m, networks', 'mem_limit: 32m, hostname: other, networks'),
    },
    'One less',
  );
  await fairlead(host, 'sync');
  await synced(commit);
  expect(changed(before, await containers())).toEqual(['stack3-db-1', 'stack3-web-1', 'stack7-db-1']);
  expect((await host.sh("docker network ls --format '{{.Name}}' | grep -c stack3_ || true")).stdout.trim()).toBe('0');
  const last = await repo.commit(Object.fromEntries(Object.keys(stacks()).map((file) => [file, null])), 'None');
  await fairlead(host, 'sync', '--allow-prune');
  await synced(last);
  expect((await containers()).size).toBe(0);
});

test(`${MANY} services start, with a restart of the Docker engine meanwhile: each exists once, and runs`, async () => {
  const commit = await repo.commit(many(), 'Many services');
  await fairlead(host, 'sync', '--no-wait');
  await until('a third of them', 250_000, async () =>
    Number((await host.sh('docker ps -q | wc -l')).stdout) > MANY / 3 ? true : undefined,
  );
  await host.exec(['systemctl', 'restart', 'docker.service'], { timeoutMs: 90_000 });
  const status = await synced(commit);
  expect(status.resources).toMatchObject({ total: MANY + 1, synced: MANY + 1 });
  const found = await containers();
  expect([...found.keys()].sort()).toEqual(names.map((name) => `many-${name}-1`));
  expect(running(found)).toHaveLength(MANY);
  // A topic of its own, published after the status.
  await until('the resources to be published', 60_000, async () => {
    const told = JSON.parse((await retained(lab.infra, 'fairlead/default/hosts/edge-1/resources')) ?? '{}');
    return told.resources?.length === MANY + 1;
  });
});

test('a run without changes touches none; only a changed service is recreated', async () => {
  const one = names[MANY / 2] ?? '';
  const before = await containers();
  expect((await fairlead(host, 'sync')).code).toBe(0);
  expect(changed(before, await containers())).toEqual([]);
  const commit = await repo.commit(many({ words: { [one]: 'two' } }), 'One of many');
  await fairlead(host, 'sync');
  await synced(commit);
  expect(changed(before, await containers())).toEqual([`many-${one}-1`]);
});

test('a quarter that is killed or removed at once is restored; the others are not touched', async () => {
  const before = await containers();
  const [killed, removed] = [names.slice(0, MANY * 0.15), names.slice(MANY / 2, MANY * 0.6)].map((some) =>
    some.map((n) => `many-${n}-1`),
  );
  await host.sh(`docker kill ${killed?.join(' ')} >/dev/null & docker rm -f ${removed?.join(' ')} >/dev/null; wait`);
  const after = await until('all of them', 250_000, async () => {
    const found = await containers();
    return running(found).length === MANY ? found : undefined;
  });
  expect(changed(before, after)).toEqual([...(killed ?? []), ...(removed ?? [])].sort());
  await statusWhere(lab.infra, 'edge-1', 'well', (s) => s.sync === 'synced' && s.health === 'healthy');
});

test('a failure of all of them: counted, and the first ones reported', async () => {
  const before = await containers();
  const wrong = await repo.commit(many({ image: 'app:77', policy: 'never' }), 'An image that is not there');
  await fairlead(host, 'sync');
  const status = await statusWhere(
    lab.infra,
    'edge-1',
    'told',
    (s) => s.desired?.commit === wrong && s.problemsTotal === MANY,
  );
  expect(status.problems).toHaveLength(20);
  const { problems } = await fairleadJson<StatusDocument>(host, 'status');
  expect(problems[0]?.message).toMatch(/app:77 is not on this host/);
  expect(changed(before, await containers())).toEqual([]);
});

test('a large stack is removed', async () => {
  const commit = await repo.commit({ [`${H}/many/`]: null }, 'None of them');
  await fairlead(host, 'sync', '--allow-prune', '--no-wait');
  await synced(commit);
  expect((await containers()).size).toBe(0);
});
