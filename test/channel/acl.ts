/**
 * Who may publish and read which topics at a broker with our sample ACLs (examples/brokers): each topic of the contract, tried
 * with each login.
 */
import { createHash } from 'node:crypto';
import mqtt, { type MqttClient } from 'mqtt';
import { sliceOf } from '../../agent/core/reporting/fleet-index.ts';
import { until } from '../lab/run.ts';

export interface AclBroker {
  url: string;
  /** Passwords by login: two hosts, and the others by their role. */
  passwords: Readonly<Record<Login, string>>;
  /** RabbitMQ before 4.0 supports only 3.1.1, and closes a connection that publishes to a forbidden topic. */
  protocolVersion: 4 | 5;
}

export const LOGINS = ['edge-1', 'web.example.com', 'ci', 'viewer', 'operator'] as const;
export type Login = (typeof LOGINS)[number];

const BASE = 'fairlead/default';
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const indexOf = (host: string) => `index/${sliceOf(host, sha256)}/${host}`;
const SAID = ['status', 'resources', 'history', 'metrics', 'events'];
const NAMED = ['presence', 'presence/ask', 'presence/answers'];
const below = (host: string, leaves: readonly string[]) => leaves.map((leaf) => `hosts/${host}/${leaf}`);
const HOSTS = ['edge-1', 'web.example.com', 'edge-10', 'edge'];
/** Topics of hosts, of hosts with similar names, of the fleet, and some that nobody owns. */
export const TOPICS: readonly string[] = [
  ...HOSTS.flatMap((host) => [indexOf(host), ...below(host, [...SAID, ...NAMED, 'commands', 'other'])]),
  ...['refs/main', 'refs/v1.2', 'commands', 'replies/word', 'replies/a/b', 'elsewhere'],
];
const isBelow = (...parts: string[]) => TOPICS.filter((topic) => parts.some((part) => topic.startsWith(`${part}/`)));

export const MAY_SAY: Readonly<Record<Login, readonly string[]>> = {
  'edge-1': [indexOf('edge-1'), ...below('edge-1', [...SAID, ...NAMED]), ...isBelow('replies')],
  'web.example.com': [
    indexOf('web.example.com'),
    ...below('web.example.com', [...SAID, ...NAMED]),
    ...isBelow('replies'),
  ],
  ci: isBelow('refs'),
  viewer: isBelow('replies'),
  operator: [...isBelow('index', 'hosts', 'refs', 'replies'), 'commands'],
};
const hears = (host: string) => [...below(host, [...NAMED, 'commands']), ...isBelow('refs'), 'commands'];
export const MAY_HEAR: Readonly<Record<Login, readonly string[]>> = {
  'edge-1': hears('edge-1'),
  'web.example.com': hears('web.example.com'),
  ci: isBelow('refs'),
  viewer: isBelow('index', 'hosts', 'refs', 'replies'),
  operator: [...isBelow('index', 'hosts', 'refs', 'replies'), 'commands'],
};

const connect = ({ url, passwords, protocolVersion }: AclBroker, login: Login): Promise<MqttClient> =>
  mqtt.connectAsync(url, {
    ...{ protocolVersion, clientId: `acl-${login}-${Math.random().toString(16).slice(2)}`, reconnectPeriod: 0 },
    ...{ username: login, password: passwords[login] },
  });

/** @returns whether the broker delivered the message; a connection that it closed counts as no */
async function isAllowed(client: MqttClient, work: Promise<unknown>): Promise<boolean> {
  // The library waits forever on a closed connection.
  if (!client.connected) return false;
  const closed = Promise.withResolvers<false>();
  const close = () => closed.resolve(false);
  client.once('close', close);
  try {
    return await Promise.race([work.then(() => true), closed.promise]);
  } catch {
    return false;
  } finally {
    client.off('close', close);
  }
}

/** @returns the topics that this login may publish to */
export async function mayPublish(broker: AclBroker, login: Login): Promise<string[]> {
  const allowed: string[] = [];
  let client = await connect(broker, login);
  for (const topic of TOPICS) {
    if (!client.connected) client = await connect(broker, login);
    if (await isAllowed(client, client.publishAsync(`${BASE}/${topic}`, 'x', { qos: 1 }))) allowed.push(topic);
  }
  client.end(true);
  return allowed;
}

/**
 * @returns the topics that this login receives, whatever it subscribes to, when the operator publishes to each topic that the
 * operator may publish to
 */
export async function mayHear(broker: AclBroker, login: Login): Promise<string[]> {
  const heard = new Set<string>();
  const filters: string[] = [];
  let trial = await connect(broker, login);
  for (const filter of [`${BASE}/#`, ...TOPICS.map((topic) => `${BASE}/${topic}`)]) {
    if (!trial.connected) trial = await connect(broker, login);
    if (await isAllowed(trial, trial.subscribeAsync(filter))) filters.push(filter);
  }
  trial.end(true);
  const client = await connect(broker, login);
  client.on('message', (topic) => void heard.add(topic.startsWith(`${BASE}/`) ? topic.slice(BASE.length + 1) : topic));
  // With QoS 0 there are no acknowledgements from us: messages arrive before the answer to the last question.
  for (const filter of filters) await client.subscribeAsync(filter, { qos: 0 });
  const operator = await connect(broker, 'operator');
  for (const topic of MAY_SAY.operator)
    if (!(await isAllowed(operator, operator.publishAsync(`${BASE}/${topic}`, 'x', { qos: 1 }))))
      throw new Error(`the operator may not say anything on ${topic}`);
  operator.end(true);
  await until(`what ${login} receives`, 30_000, async () => MAY_HEAR[login].every((topic) => heard.has(topic))).catch(
    () => undefined,
  );
  for (const filter of filters.slice(0, 1)) await client.subscribeAsync(filter, { qos: 0 });
  client.end(true);
  return [...heard];
}
