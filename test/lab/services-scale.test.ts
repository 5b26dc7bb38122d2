/**
 * Services with several containers: created as docker compose creates them, adopted as they are, and recreated one after another.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { done, type EngineOn, engineOn, whyOf } from './engine-on.ts';
import { differing, type Inspected, inspectAll } from './inspected.ts';
import { type Lab, type LabHost, startLab } from './lab.ts';

let lab: Lab;
let oracle: LabHost;
let ours: LabHost;
let engine: EngineOn;
const TREE = '/var/lib/fairlead/tree/hosts/h';

/** Without a healthcheck a container counts as well after this time. */
const SOON = 'deploy: {update_config: {monitor: 500ms}}';

const compose = ({ web = 3, env = 'one', image = 'app:1' } = {}) => ({
  'shop/compose.yaml': `services:
  web:
    image: infra:5000/${image}
    scale: ${web}
    environment: {WORD: ${env}}
    healthcheck: {test: [CMD, /bin/busybox, wget, -q, -O, /dev/null, "http://127.0.0.1:8080/"], interval: 5s, start_period: 20s, start_interval: 300ms}
  ranged:
    image: infra:5000/app:2
    deploy: {mode: replicated, replicas: 2, update_config: {monitor: 500ms}}
    ports: ["18100-18109:8080"]
  linked:
    image: infra:5000/app:2
    ${SOON}
    scale: 2
    links: ["alone:other"]
  alone: {image: infra:5000/app:3, ${SOON}, volumes: ["kept:/kept"]}
  none: {image: infra:5000/app:3, scale: 0}
volumes: {kept: {}}
`,
});

const names = async (host: LabHost) =>
  (await host.sh("docker ps -a --format '{{.Names}}'")).stdout.trim().split('\n').sort();
const running = async (host: LabHost) =>
  (await host.sh("docker inspect -f '{{.Name}} {{.Id}} {{.State.StartedAt}}' $(docker ps -aq)")).stdout
    .trim()
    .split('\n')
    .sort();
const webs = (lines: readonly string[]) => lines.filter((line) => line.includes('shop-web-'));

beforeAll(async () => {
  lab = await startLab({ name: 'scale', infra: 'shared', hosts: [{ name: 'oracle' }, { name: 'ours' }] });
  [oracle, ours] = [lab.host('oracle'), lab.host('ours')];
  engine = await engineOn(ours);
});
afterAll(async () => {
  engine?.close();
  await lab?.stop();
});

test('each of the containers is the same as docker compose creates', async () => {
  for (const [file, text] of Object.entries(compose())) await oracle.write(`${TREE}/${file}`, text);
  const [, result] = await Promise.all([
    oracle.sh(`cd ${TREE}/shop; docker compose up -d --quiet-pull 2>&1`),
    engine.apply(compose()),
  ]);
  expect(result.outcome.problems).toEqual([]);
  const [theirs, mine]: [Inspected, Inspected] = [await inspectAll(oracle), await inspectAll(ours)];
  expect([...mine.keys()].sort()).toEqual([...theirs.keys()].sort());
  expect([...mine.keys()].filter((key) => key.startsWith('container'))).toHaveLength(8);
  const wrong = [...theirs].flatMap(([name, value]) =>
    differing(value, mine.get(name) ?? null).map((line) => `${name}: ${line}`),
  );
  expect(wrong).toEqual([]);
  expect((await engine.again()).outcome.actions).toEqual([]);
});

test('a service with several containers is one resource: claims by name, and one report', async () => {
  const provider = engine.deps.providers.get('service');
  const { resources } = await engine.load(compose());
  const want = resources.find((r) => r.id === 'service:shop/web');
  if (!want || !provider) throw new Error('not loaded');
  expect(provider.claims(want.spec)).toEqual([1, 2, 3].map((n) => `container:shop-web-${n}`));
  const seen = await provider.observe([want.id], new AbortController().signal, new Map([[want.id, want]]));
  const told = provider.describe?.(seen.get(want.id)?.fact) as { containers: { container: string }[] };
  expect(told.containers.map((c) => c.container.split(' ')[0])).toEqual(['shop-web-1', 'shop-web-2', 'shop-web-3']);
});

describe('up and down', () => {
  test('the containers with the highest numbers are removed, and created again; the others are not touched', async () => {
    const before = webs(await running(ours));
    const down = await engine.apply(compose({ web: 1 }));
    expect(done(down)).toEqual(['update service:shop/web done']);
    expect(whyOf(down, 'service:shop/web')).toEqual([{ field: 'scale', from: '3', to: '1' }]);
    expect(webs(await running(ours))).toEqual(before.slice(0, 1));
    const up = await engine.apply(compose({ web: 2 }));
    expect(whyOf(up, 'service:shop/web')).toEqual([{ field: 'scale', from: '1', to: '2' }]);
    expect(webs(await running(ours))[0]).toEqual(before[0]);
    expect((await names(ours)).filter((n) => n.startsWith('shop-web'))).toEqual(['shop-web-1', 'shop-web-2']);
    expect((await engine.again()).outcome.actions).toEqual([]);
  });

  test('to zero, and from zero', async () => {
    expect(done(await engine.apply(compose({ web: 0 })))).toEqual(['update service:shop/web done']);
    expect((await names(ours)).filter((n) => n.startsWith('shop-web'))).toEqual([]);
    const idle = await engine.again();
    expect([idle.outcome.actions, idle.outcome.problems]).toEqual([[], []]);
    expect(done(await engine.apply(compose({ web: 3 })))).toEqual(['create service:shop/web done']);
    expect((await names(ours)).filter((n) => n.startsWith('shop-web'))).toHaveLength(3);
  });

  test('a lost one is created again under its number, a killed one is started', async () => {
    const before = webs(await running(ours));
    await ours.sh('docker rm -f shop-web-2; docker kill shop-web-3');
    const { outcome } = await engine.again();
    expect(outcome.actions.map((a) => [a.op, a.drift, a.why.map((r) => r.field)])).toEqual([
      ['update', true, ['state', 'scale']],
    ]);
    const after = webs(await running(ours));
    expect(after.map((line) => line.split(' ')[0])).toEqual(before.map((line) => line.split(' ')[0]));
    expect(after[0]).toEqual(before[0]);
    expect(after[2]?.split(' ')[1]).toEqual(before[2]?.split(' ')[1]);
  });
});

test('a change recreates them one after another, each well before the next is stopped', async () => {
  const since = Number((await ours.sh('date +%s.%N')).stdout);
  const { outcome } = await engine.apply(compose({ env: 'two' }));
  expect(outcome.actions.map((a) => [a.op, a.id, a.why])).toEqual([
    ['replace', 'service:shop/web', [{ field: 'environment', to: 'WORD changed' }]],
  ]);
  const until = Number((await ours.sh('date +%s.%N')).stdout);
  const { stdout } = await ours.sh(
    `docker events --since ${since} --until ${until} --filter type=container --filter event=die --filter event=health_status --format '{{.Actor.Attributes.name}} {{.Action}}'`,
  );
  const told = stdout
    .trim()
    .split('\n')
    .map((line) => line.replace('health_status: ', ''));
  expect(told).toEqual(['1 die', '1 healthy', '2 die', '2 healthy', '3 die', '3 healthy'].map((l) => `shop-web-${l}`));
  expect(await names(ours)).toHaveLength(8);
  expect((await engine.again()).outcome.actions).toEqual([]);
});

test('a project that docker compose scaled is adopted as it is', async () => {
  const adopting = await engineOn(oracle);
  try {
    const before = await running(oracle);
    const { outcome } = await adopting.apply(compose());
    expect([outcome.actions.filter((a) => !a.id.startsWith('file:')), outcome.problems]).toEqual([[], []]);
    expect(await running(oracle)).toEqual(before);
    expect(done(await adopting.apply(compose({ web: 2 })))).toEqual(['update service:shop/web done']);
    expect(webs(await running(oracle))).toEqual(webs(before).slice(0, 2));
    const { stdout } = await oracle.sh(`cd ${TREE}/shop; docker compose ps --format '{{.Name}}' web`);
    expect(stdout.trim().split('\n').sort()).toEqual(['shop-web-1', 'shop-web-2']);
  } finally {
    adopting.close();
  }
});

test('a service that is no longer declared is removed with all its containers', async () => {
  const { 'shop/compose.yaml': text } = compose();
  const less = text.replace(/ {2}web:[\s\S]* {2}ranged:/, '  ranged:');
  expect(done(await engine.apply({ 'shop/compose.yaml': less }))).toEqual(['remove service:shop/web done']);
  expect((await names(ours)).filter((n) => n.startsWith('shop-web'))).toEqual([]);
});
