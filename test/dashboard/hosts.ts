/** Simulated hosts in several states, as their agents would report them: for the page's tests, pictures and benchmark. */
import { createHash } from 'node:crypto';
import mqtt from 'mqtt';
import { sliceOf } from '../../agent/core/reporting/fleet-index.ts';
import type { StatusDocument } from '../../manifests-schema/payloads.ts';
import { statusOf } from '../channel/populate.ts';

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const MINUTE = 60_000;
export const NEW = 'a1b2c3d4e5f60718293a4b5c6d7e8f9001122334';
export const OLD = '0f9e8d7c6b5a49382716051423324150617283f4';

const WAITS = `commit ${NEW.slice(0, 7)} waits for the maintenance window (0 2 * * 0, UTC)`;

/** What a host publishes below `hosts/<host>/`, by the last level of the topic. */
export type Said = Readonly<Record<string, string>>;

const iso = (at: number): string => new Date(at).toISOString();

function healthy(host: string, now: number, labels: Record<string, string>): StatusDocument {
  const at = iso(now - 40_000);
  return {
    ...statusOf(host, 'f'),
    at,
    desired: {
      ...{ ref: 'main', commit: NEW, author: 'Ann <ann@example.com>', subject: 'Raise the limit of the proxy' },
      ...{ committedAt: iso(now - 90 * MINUTE), signer: null },
    },
    applied: { commit: NEW, at: iso(now - 80 * MINUTE), run: 17 },
    lastGood: { commit: NEW },
    run: { id: 42, trigger: 'schedule', startedAt: at, durationMs: 412, changed: 0, failed: 0, repaired: 0 },
    next: iso(now + 20_000),
    labels,
    agent: { version: '0.1.0', startedAt: iso(now - 5 * 24 * 60 * MINUTE), instance: 'i' },
  };
}

/** Six hosts: two well, one failed, one rolled back, one offline, one that waits for its window. */
export function sixHosts(now: number): ReadonlyMap<string, Said> {
  const problem = (id: string, reason: string, message: string, turn: 'wait' | 'host' | 'commit') => ({
    ...{ id, reason, message, turn, since: iso(now - 35 * MINUTE), until: null },
    ...{ file: 'shop/compose.yaml', line: 12 },
  });
  const status = (host: string, labels: Record<string, string>, change: Partial<StatusDocument> = {}): string =>
    JSON.stringify({ ...healthy(host, now, labels), ...change });
  const pull = problem(
    'service:shop/web',
    'ImagePullFailed',
    'cannot pull registry.example.com/shop:2.4: no such manifest; push the tag, or name another one',
    'commit',
  );
  const unhealthy = problem(
    'service:shop/api',
    'Unhealthy',
    'its healthcheck has failed for 90 s: connect ECONNREFUSED 127.0.0.1:8080',
    'commit',
  );
  return new Map<string, Said>([
    [
      'berlin-1',
      { presence: 'online', status: status('berlin-1', { site: 'berlin', ring: 'canary' }), ...detailsOf(now) },
    ],
    ['berlin-2', { presence: 'online', status: status('berlin-2', { site: 'berlin', ring: 'stable' }) }],
    [
      'oslo-1',
      {
        presence: 'online',
        status: status(
          'oslo-1',
          { site: 'oslo', ring: 'canary' },
          {
            ...{
              sync: 'failed',
              health: 'degraded',
              reason: 'ImagePullFailed',
              message: '',
              problems: [pull],
              problemsTotal: 1,
            },
            applied: { commit: OLD, at: iso(now - 3 * 24 * 60 * MINUTE), run: 9 },
            commands: ['sync', 'plan', 'pause', 'resume', 'rollback'],
            resources: { total: 12, synced: 10, outOfSync: 1, failed: 1, held: 0 },
          },
        ),
        ...detailsOf(now),
      },
    ],
    [
      'oslo-2',
      {
        presence: 'online',
        status: status(
          'oslo-2',
          { site: 'oslo', ring: 'stable' },
          {
            ...{ sync: 'rolled-back', health: 'healthy', reason: 'Unhealthy', problems: [unhealthy], problemsTotal: 1 },
            message: 'commit a1b2c3d did not settle and was rolled back: service:shop/api is unhealthy',
            applied: { commit: OLD, at: iso(now - 30 * MINUTE), run: 21 },
            bad: [{ commit: NEW, reason: 'Unhealthy' }],
          },
        ),
      },
    ],
    [
      'lyon-1',
      {
        presence: 'offline',
        status: status(
          'lyon-1',
          { site: 'lyon', ring: 'stable' },
          {
            at: iso(now - 5 * 60 * MINUTE),
            desired: {
              ...{ ref: 'main', commit: OLD, author: 'Ben <ben@example.com>', subject: 'Set up the shop' },
              ...{ committedAt: iso(now - 3 * 24 * 60 * MINUTE), signer: null },
            },
            applied: { commit: OLD, at: iso(now - 3 * 24 * 60 * MINUTE), run: 8 },
          },
        ),
      },
    ],
    [
      'lyon-2',
      {
        presence: 'online',
        status: status(
          'lyon-2',
          { site: 'lyon', ring: 'stable' },
          {
            ...{ sync: 'held', reason: 'OutsideWindow', message: WAITS },
            gate: {
              kind: 'window',
              reason: WAITS,
              until: iso(now + 26 * 60 * MINUTE),
            },
            applied: { commit: OLD, at: iso(now - 3 * 24 * 60 * MINUTE), run: 8 },
          },
        ),
      },
    ],
  ]);
}

function detailsOf(now: number): Said {
  const ids = ['network:shop/front', 'volume:shop/data', 'file:/etc/motd', 'unit:nginx.service', 'service:shop/db'];
  const resources = [
    { id: 'service:shop/web', sync: 'failed', health: 'degraded', reason: 'ImagePullFailed' },
    ...ids.map((id) => ({ id, sync: 'synced', health: 'healthy', reason: '' })),
  ];
  const runs = [
    {
      ...{
        id: 42,
        trigger: 'push',
        startedAt: iso(now - 35 * MINUTE),
        durationMs: 2_100,
        sync: 'failed',
        reason: 'ImagePullFailed',
      },
      ...{ message: 'service:shop/web cannot be pulled', changed: 1, failed: 1, repaired: 0, actionsTotal: 2 },
      commit: {
        ref: 'main',
        commit: NEW,
        author: 'Ann <ann@example.com>',
        subject: 'Raise the limit of the proxy',
        committedAt: iso(now - 90 * MINUTE),
      },
      actions: [
        {
          id: 'service:shop/web',
          op: 'replace',
          why: [{ field: 'image', from: 'shop:2.3', to: 'shop:2.4' }],
          result: 'failed',
          drift: false,
          durationMs: 900,
          error: { code: 'ImagePullFailed', message: 'no such manifest' },
        },
        {
          id: 'file:/etc/motd',
          op: 'update',
          why: [{ field: 'content' }],
          result: 'done',
          drift: false,
          durationMs: 4,
        },
      ],
    },
    {
      ...{
        id: 40,
        trigger: 'drift',
        startedAt: iso(now - 5 * 60 * MINUTE),
        durationMs: 31,
        sync: 'synced',
        reason: '',
      },
      ...{ message: '', changed: 0, failed: 0, repaired: 1, actionsTotal: 1 },
      commit: {
        ref: 'main',
        commit: OLD,
        author: 'Ben <ben@example.com>',
        subject: 'Set up the shop',
        committedAt: iso(now - 3 * 24 * 60 * MINUTE),
      },
      actions: [
        { id: 'file:/etc/motd', op: 'update', why: [{ field: 'content' }], result: 'done', drift: true, durationMs: 4 },
      ],
    },
  ];
  return {
    resources: JSON.stringify({ schema: 1, resources }),
    history: JSON.stringify({ schema: 1, host: 'h', fleet: 'f', at: iso(now), runs }),
    metrics: metricsAt(now - MINUTE, 0.2),
  };
}

export const metricsAt = (at: number, used: number): string =>
  JSON.stringify({
    ...{ schema: 1, host: 'h', fleet: 'f', at: iso(at), uptimeSeconds: 432_000, load: [used * 4, 0.8, 0.7] },
    cpu: { count: 4, usedRatio: used, iowaitRatio: 0.01, stealRatio: 0 },
    memory: { totalBytes: 8e9, availableBytes: 8e9 * (1 - used / 2 - 0.2) },
    swap: { totalBytes: 0, freeBytes: 0 },
    disks: [{ path: '/', totalBytes: 64e9, availableBytes: 64e9 * (0.4 - used / 10), inodes: null, inodesFree: null }],
    network: {
      receivedBytes: 1e9,
      sentBytes: 1e8,
      receivedBytesPerSecond: 40_000 + 200_000 * used,
      sentBytesPerSecond: 9_000 + 20_000 * used,
    },
  });

/** An event of a host. */
export const eventOf = (host: string, seq: number, type: string, data: Record<string, unknown>): string =>
  JSON.stringify({ schema: 1, host, fleet: 'f', id: `${host}-${seq}`, seq, at: iso(Date.now()), type, run: seq, data });

export interface Crowd {
  /** Publishes as the agents of the hosts do. */
  say(host: string, leaf: string, payload: string): Promise<void>;
  /** @returns the next message on a topic of a host */
  hear(host: string, leaf: string): Promise<string>;
  /** Answers a command. */
  reply(id: string, payload: string): Promise<void>;
  /** Publishes everything again, as agents do when a broker has lost it. */
  repeat(): Promise<void>;
  end(): Promise<void>;
}

/** Publishes all of them below `<prefix>/f`, each with its place in the index. */
export async function report(
  url: string,
  prefix: string,
  hosts: ReadonlyMap<string, Said>,
  user: { username?: string; password?: string | undefined } = {},
): Promise<Crowd> {
  const client = await mqtt.connectAsync(url, { protocolVersion: 5, ...(user as { username?: string }) });
  const base = `${prefix}/f`;
  const say = async (topic: string, payload: string) => {
    await client.publishAsync(topic, payload, { qos: 1, retain: !topic.endsWith('/events') });
  };
  const repeat = async () => {
    await Promise.all(
      [...hosts].flatMap(([host, said]) => [
        say(`${base}/index/${sliceOf(host, sha256)}/${host}`, host),
        ...Object.entries(said).map(([leaf, payload]) => say(`${base}/hosts/${host}/${leaf}`, payload)),
      ]),
    );
  };
  await repeat();
  return {
    say: (host, leaf, payload) => say(`${base}/hosts/${host}/${leaf}`, payload),
    async hear(host, leaf) {
      const topic = `${base}/hosts/${host}/${leaf}`;
      const heard = new Promise<string>((resolve) => {
        client.on('message', (at, payload) => {
          if (at === topic) resolve(payload.toString());
        });
      });
      await client.subscribeAsync(topic, { qos: 1 });
      return heard;
    },
    async reply(id, payload) {
      await client.publishAsync(`${base}/replies/${id}`, payload, { qos: 1 });
    },
    repeat,
    end: () => client.endAsync(true),
  };
}
