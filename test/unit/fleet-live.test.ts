/** Following a fleet: rows and events as the hosts publish them, over MQTT 5 and 3.1.1. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { sliceOf } from '../../agent/core/reporting/fleet-index.ts';
import { openLink, randomWord, sha256 } from '../../agent/fleet/client.ts';
import { type FleetFeed, type FollowOptions, followFleet } from '../../agent/fleet/reader/live.ts';
import type { FleetRow } from '../../agent/fleet/reader/model.ts';
import { openSpeaker, type Speaker } from '../../agent/fleet/speaker.ts';
import { statusOf } from '../channel/populate.ts';
import { type FakeBroker, startFakeBroker } from '../fakes/broker.ts';

let broker: FakeBroker;
let feed: FleetFeed | null;
let speaker: Speaker;
let told: [string, FleetRow | null][];
beforeEach(async () => {
  broker = await startFakeBroker();
  feed = null;
  told = [];
});
afterEach(async () => {
  await feed?.close();
  speaker?.end();
  await broker.stop();
});

async function follow(more: Partial<FollowOptions> = {}): Promise<FleetFeed> {
  const settings = { url: broker.url };
  speaker = await openSpeaker({ broker: settings, role: 'test', timeoutMs: 10_000 });
  feed = await followFleet({
    ...{ link: await openLink(settings, 'test'), sha256, word: randomWord(), prefix: 'p', fleet: 'f', quietMs: 50 },
    onRow: (host, row) => told.push([host, row]),
    onEnd: () => undefined,
    ...more,
  });
  return feed;
}
const status = (host: string, more: object = {}) => JSON.stringify({ ...statusOf(host, 'f'), ...more });
const indexOf = (host: string) => `p/f/index/${sliceOf(host, sha256)}/${host}`;
/** Publishes like a host: presence first. */
const topics = (host: string): [string, string][] => [
  [indexOf(host), host],
  [`p/f/hosts/${host}/presence`, 'online'],
  [`p/f/hosts/${host}/status`, status(host)],
];
const stood = (host: string) => topics(host).forEach(([topic, payload]) => void broker.retained.set(topic, payload));
async function report(host: string): Promise<void> {
  for (const [topic, payload] of topics(host)) await speaker.retain(topic, payload);
}

test.each([true, false])(
  'rows follow the reports of hosts, of those that join and those that are forgotten (5: %s)',
  async (is5) => {
    broker.isOld = !is5;
    for (const host of ['a', 'b']) stood(host);
    const { rows } = await follow();
    expect([...rows.keys()].sort()).toEqual(['a', 'b']);
    expect(told).toEqual([]);
    await speaker.retain('p/f/hosts/a/status', status('a', { sync: 'failed', message: 'no such image' }));
    await expect.poll(() => rows.get('a')).toMatchObject({ sync: 'failed', message: 'no such image' });
    await speaker.retain('p/f/hosts/b/presence', 'offline');
    await expect.poll(() => rows.get('b')).toMatchObject({ presence: 'offline', sync: 'synced' });
    await report('c');
    await expect.poll(() => rows.get('c')).toMatchObject({ presence: 'online', sync: 'synced' });
    for (const [topic] of topics('b').reverse()) await speaker.retain(topic, '');
    await expect.poll(() => told.at(-1)).toEqual(['b', null]);
    expect([...rows.keys()].sort()).toEqual(['a', 'c']);
  },
);

test('a host that reported before it was in the index is read once it is', async () => {
  for (const [topic, payload] of topics('late').slice(1)) broker.retained.set(topic, payload);
  const { rows } = await follow();
  expect(rows.size).toBe(0);
  await speaker.retain(indexOf('late'), 'late');
  await expect.poll(() => rows.get('late')).toMatchObject({ presence: 'online', sync: 'synced' });
});

test('a report without a change is not passed on', async () => {
  stood('a');
  const { rows } = await follow();
  await speaker.retain('p/f/hosts/a/status', status('a'));
  await speaker.retain('p/f/hosts/a/presence', 'offline');
  await expect.poll(() => rows.get('a')?.presence).toBe('offline');
  expect(told.map(([host, row]) => [host, row?.presence])).toEqual([['a', 'offline']]);
});

test('events arrive in order, each only from its own host and only for listed hosts', async () => {
  const ids: string[] = [];
  for (const host of ['a', 'b']) stood(host);
  await follow({ hosts: ['a'], onEvent: ({ id }) => ids.push(id) });
  const event = (host: string, id: string) =>
    JSON.stringify({
      schema: 1,
      host,
      fleet: 'f',
      id,
      seq: 1,
      at: '2026-11-24T08:00:00.000Z',
      type: 'new',
      run: null,
      data: {},
    });
  await speaker.retain('p/f/hosts/b/events', event('b', 'of another'));
  await speaker.retain('p/f/hosts/a/events', event('b', 'in the name of another'));
  await speaker.retain('p/f/hosts/a/events', 'no event');
  await speaker.retain('p/f/hosts/a/events', event('a', 'own'));
  await expect.poll(() => ids).toEqual(['own']);
});

test('the end of the connection is reported once', async () => {
  stood('a');
  const onEnd = vi.fn();
  await follow({ onEnd });
  broker.cut();
  await expect.poll(() => onEnd).toHaveBeenCalledWith(expect.objectContaining({ code: 'BrokerUnreachable' }));
  expect(onEnd).toHaveBeenCalledTimes(1);
});
