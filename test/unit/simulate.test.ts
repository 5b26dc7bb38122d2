/** The simulator of a fleet (test/simulate): readers of a fleet understand all messages of its hosts. */
import { afterEach, expect, test, vi } from 'vitest';
import { readFleet } from '../../agent/fleet/client.ts';
import { isWell } from '../../agent/fleet/reader/model.ts';
import { connectBroker } from '../../agent/system/mqtt.ts';
import { recentHistory } from '../../manifests-schema/history.ts';
import { eventDocument, metricsDocument, resourcesDocument, statusDocument } from '../../manifests-schema/payloads.ts';
import { type FakeBroker, startFakeBroker } from '../fakes/broker.ts';
import { until } from '../lab/run.ts';
import { type Crowd, type CrowdSettings, createCrowd } from '../simulate/crowd.ts';
import { namesOf, type SimulatedFleet, startFleet } from '../simulate/fleet.ts';

const HOSTS = namesOf(12);
const COMMIT = 'ab'.repeat(20);
/** Far more than any of it takes, also on a busy machine. */
const WAIT_MS = 120_000;
vi.setConfig({ testTimeout: 2 * WAIT_MS, hookTimeout: WAIT_MS });
const ended: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ended.splice(0).reverse()) await end();
});

async function startBroker(): Promise<FakeBroker> {
  const broker = await startFakeBroker();
  ended.push(() => broker.stop());
  return broker;
}

const settingsOf = (url: string): Omit<CrowdSettings, 'bad'> => ({
  ...{ broker: { url }, prefix: 'p', fleet: 'f', ref: 'main', hosts: HOSTS, ramp: 1_000, splayMs: 0, runMs: 0 },
  ...{ metrics: true, repairsAnHour: 0, haste: 1 },
});

async function startCrowd(url: string): Promise<Crowd> {
  const crowd = createCrowd({ ...settingsOf(url), bad: HOSTS.slice(0, 3) });
  ended.push(() => crowd.stop());
  await crowd.start();
  return crowd;
}

const allReported = (crowd: Crowd, commit: (told: string) => boolean) =>
  until('all statuses to be reported', WAIT_MS, async () =>
    Object.entries(crowd.counts().told).some(([told, { hosts }]) => commit(told) && hosts === HOSTS.length),
  );

test('every simulated host has a row, and each one that is not well has a sentence', async () => {
  const { url } = await startBroker();
  await allReported(await startCrowd(url), () => true);
  const { rows } = await readFleet({ broker: { url }, prefix: 'p', fleet: 'f' });
  expect(rows.map(({ host }) => host).sort()).toEqual(HOSTS);
  const unwell = rows.filter((row) => !isWell(row));
  expect(unwell.map(({ host }) => host)).toEqual(HOSTS.slice(0, 3));
  expect(unwell.map(({ sync }) => sync)).toEqual(['failed', 'rolled-back', 'held']);
  expect(unwell.every(({ message, reason }) => message !== '' && reason !== '')).toBe(true);
});

test('everything that a simulated host retains and sends matches the published schemas', async () => {
  const broker = await startBroker();
  const events: unknown[] = [];
  const observer = await connectBroker({ broker: { url: broker.url }, clientId: 'observer', timeoutMs: WAIT_MS });
  ended.push(async () => void observer.end(true));
  observer.on('message', (_topic, payload) => void events.push(JSON.parse(payload.toString())));
  await observer.subscribeAsync(HOSTS.map((host) => `p/f/hosts/${host}/events`));
  await startCrowd(broker.url);
  const schemas = {
    ...{ status: statusDocument, resources: resourcesDocument, history: recentHistory, metrics: metricsDocument },
  };
  for (const [leaf, schema] of Object.entries(schemas))
    for (const host of HOSTS) {
      const topic = `p/f/hosts/${host}/${leaf}`;
      await until(topic, WAIT_MS, async () => broker.retained.has(topic));
      expect(schema.safeParse(JSON.parse(broker.retained.get(topic) ?? '')).error).toBeUndefined();
    }
  await until('an event of each host', WAIT_MS, async () => events.length >= HOSTS.length);
  for (const event of events) expect(eventDocument.safeParse(event).error).toBeUndefined();
});

test('a push notice updates all hosts that are well, and the others report that they do not run the commit', async () => {
  const broker = await startBroker();
  const crowd = await startCrowd(broker.url);
  await allReported(crowd, () => true);
  const teller = await connectBroker({ broker: { url: broker.url }, clientId: 'ci', timeoutMs: WAIT_MS });
  ended.push(async () => void teller.end(true));
  await teller.publishAsync('p/f/refs/main', COMMIT, { qos: 1, retain: true });
  await allReported(crowd, (told) => told === COMMIT);
  const { rows } = await readFleet({ broker: { url: broker.url }, prefix: 'p', fleet: 'f' });
  expect(rows.filter(({ applied }) => applied === COMMIT).map(({ host }) => host)).toEqual(HOSTS.slice(3));
  expect(new Set(rows.map(({ commit }) => commit))).toEqual(new Set([COMMIT]));
});

test('hosts in separate processes are counted together, publish `offline`, and leave nothing when they are cleared', async () => {
  const broker = await startBroker();
  const fleet: SimulatedFleet = startFleet({
    ...{ ...settingsOf(broker.url), badHosts: 3, processes: 2 },
  });
  ended.push(async () => fleet.kill());
  const counts = await fleet.until('all hosts', WAIT_MS, ({ open }) => open === HOSTS.length);
  expect(counts.started).toBe(HOSTS.length);
  expect(fleet.bad).toHaveLength(3);
  await fleet.stop();
  const isAway = (host: string) => broker.retained.get(`p/f/hosts/${host}/presence`) === 'offline';
  await until('all to be offline', WAIT_MS, async () => HOSTS.every(isAway));
  await fleet.clear();
  expect([...broker.retained.keys()].filter((topic) => !topic.includes('/replies/'))).toEqual([]);
});
