/**
 * A real broker (mosquitto, MQTT 5): behaviour that depends on its reason codes, and the access rules of
 * examples/brokers/mosquitto/acl.
 */
import { createHmac } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFailed, onTestFinished, test } from 'vitest';
import type { ReceivedCommand } from '../../agent/core/channel.ts';
import type { RecentHistory } from '../../agent/core/reporting/recent-history.ts';
import { act } from '../../agent/fleet/act/act.ts';
import { openLink, readFleet } from '../../agent/fleet/client.ts';
import { isWell } from '../../agent/fleet/reader/model.ts';
import { openSpeaker } from '../../agent/fleet/speaker.ts';
import { silentLog } from '../../agent/log.ts';
import { createMqttChannel } from '../../agent/report/mqtt/channel.ts';
import { createReporter, type Reporter } from '../../agent/report/reporter.ts';
import { systemClock } from '../../agent/system/clock.ts';
import type { CommandResult } from '../../manifests-schema/commands.ts';
import type { EventDocument, StatusDocument } from '../../manifests-schema/payloads.ts';
import { type AclBroker, LOGINS, type Login, MAY_HEAR, MAY_SAY, mayHear, mayPublish } from '../channel/acl.ts';
import { channelContract } from '../channel/contract.ts';
import { createMosquittoFarEnd } from '../channel/mosquitto.ts';
import { populate, statusOf } from '../channel/populate.ts';
import { type Lab, startLab, until } from './lab.ts';
import { createRelays } from './relays.ts';

let lab: Lab;
let url: string;
let address: string;
const running: Reporter[] = [];

beforeAll(async () => {
  lab = await startLab({ name: 'broker', hosts: [] });
  address = await lab.infra.address();
  url = `mqtt://${address}:1883`;
  await startGuarded();
});
afterAll(async () => {
  await Promise.all(running.map((r) => r.stop()));
  await lab?.stop();
});

function agent(instance: string): Reporter {
  const common = { fleet: 'f', host: 'twin', clock: systemClock, log: silentLog };
  const channel = createMqttChannel({
    ...common,
    ...{ prefix: 'p', ref: 'main', random: Math.random, instance, broker: { url }, probeMs: 1_000 },
  });
  const reporter = createReporter({
    ...common,
    ...{ channel, resources: () => [], busy: () => false, onNotice: () => undefined },
    history: { revision: () => 0, document: () => ({}) as unknown as RecentHistory },
    outbox: { peek: () => [], ack: () => undefined },
    status: () => ({ instance }) as unknown as StatusDocument,
  });
  running.push(reporter);
  reporter.start();
  return reporter;
}
const retained = async (leaf: string) =>
  (
    await lab.infra.exec(['mosquitto_sub', '-V', 'mqttv5', '-t', `p/f/hosts/twin/${leaf}`, '-C', '1', '-W', '10'], {
      check: false,
    })
  ).stdout.trim();

test('of two agents under one name the first yields and reports why; it returns when the second one is gone', async () => {
  const first = agent('first');
  await until('the first one', 60_000, async () => (await retained('status')).includes('first'));
  const second = agent('second');
  await until('the take-over', 60_000, async () => first.problems()[0]?.reason === 'NameTaken');
  await until('the second one', 60_000, async () => (await retained('status')).includes('second'));
  // Longer than the first one takes to probe several times.
  const { stdout } = await lab.infra.exec(
    ['mosquitto_sub', '-V', 'mqttv5', '-t', 'p/f/hosts/twin/presence', '-W', '6'],
    {
      check: false,
    },
  );
  expect(stdout.trim().split('\n')).toEqual(['online']);
  expect([first.problems()[0]?.reason, second.problems()]).toEqual(['NameTaken', []]);
  expect(await retained('status')).toContain('second');
  await second.stop();
  await until('the first one to be back', 60_000, async () => (await retained('status')).includes('first'));
  await until(
    'it to be in its first state',
    60_000,
    async () => (await retained('presence')) === 'online' && first.problems().length === 0,
  );
  await first.stop();
});

test('a command reaches the host that accepts commands, and not the one that accepts none', async () => {
  const effects: string[] = [];
  const channels = ['on', 'off'].map((host) => {
    const common = { fleet: 'f', host, clock: systemClock, log: silentLog };
    const channel = createMqttChannel({
      ...common,
      ...{ prefix: 'cmd', ref: 'main', random: Math.random, instance: 'i', broker: { url }, commands: host === 'on' },
    });
    const listener = { opened: () => undefined, problemsChanged: () => undefined, notice: () => undefined };
    const command = async ({ text, reply }: ReceivedCommand) => {
      const { id, command: name, args } = JSON.parse(text) as { id: string; command: string; args: { reason: string } };
      effects.push(`${host} ${args.reason}`);
      const said = { id, host, command: name, state: 'done', reason: '', message: '', status: null, plan: null };
      await channel.reply(reply, { schema: 1, ...said, pause: null, pin: null } as unknown as CommandResult);
    };
    channel.start({ ...listener, command: (received) => void command(received) });
    return channel;
  });
  await until('both hosts', 60_000, async () => channels.every((channel) => channel.isOpen()));
  const ask = async (reason: string, hosts: string[], answerMs: number) => {
    const { outcomes } = await act({
      link: await openLink({ url }, 'act'),
      ...{ prefix: 'cmd', fleet: 'f', id: `lab-${reason}`, command: 'pause', args: { reason }, hosts },
      ...{ maxParallel: 2, stopAfter: null, answerMs, resultMs: 30_000, clock: systemClock },
      ...{ signal: new AbortController().signal, told: () => undefined },
    });
    return outcomes.map(({ host, outcome }) => [host, outcome]);
  };
  // A subscription takes a moment.
  await until('an answer', 60_000, async () => (await ask(`${Date.now()}`, ['on'], 1_500))[0]?.[1] === 'done');
  // Time limit for the silent host, and for the other one.
  expect(await ask('now', ['on', 'off'], 5_000)).toEqual([
    ['on', 'done'],
    ['off', 'silent'],
  ]);
  await Promise.all(channels.map((channel) => channel.stop()));
  expect(effects.filter((effect) => effect.startsWith('off'))).toEqual([]);
});

test('of two relays one works; when it is killed the other one reports what is pending, and hosts receive a push notice', async () => {
  const relays = createRelays();
  onTestFinished(relays.stop);
  const [chat, forge] = [await relays.farEnd(), await relays.farEnd()];
  // The chat accepts nothing as long as the first one lives.
  chat.status = 503;
  const settings = (name: string) => ({
    ...{ fleet: 'f', mqtt: { url, prefix: 'relays' }, notify: [{ format: 'json', url: `${chat.url}/${name}` }] },
    statuses: [{ forge: 'gitea', url: forge.url, repository: 'acme/fleet', tokenFile: relays.secret('t0ken') }],
    webhooks: {
      listen: '127.0.0.1:0',
      from: [{ forge: 'gitea', repository: 'acme/fleet', secretFile: relays.secret('s3cret') }],
    },
  });
  await populate(url, 'relays', ['a', 'b']);
  const failed = { ...statusOf('a', 'f'), sync: 'failed', reason: 'UnitFailed', message: 'unit:app.service failed' };
  const speaker = await openSpeaker({ broker: { url }, role: 'test', timeoutMs: 10_000 });
  await speaker.retain('relays/f/hosts/a/status', JSON.stringify(failed));
  speaker.end();
  const first = relays.start(settings('first'));
  onTestFailed(() => console.error(first.output()));
  await until('the first one to work', 60_000, async () => first.output().includes('this relay works now'));
  const second = relays.start(settings('second'));
  onTestFailed(() => console.error(second.output()));
  await until('the second one to stand by', 60_000, async () => second.output().includes('this relay stands by'));
  await until('an attempt of the first one', 60_000, async () => chat.requests.length > 0);
  await first.kill();
  chat.status = 200;
  const told = () => chat.requests.filter(({ path, status }) => path === '/second' && status === 200);
  await until('the message of the second one', 90_000, async () => told().length > 0);
  expect(told().map(({ body }) => messagesOf(body))).toEqual([messagesOf(chat.requests[0]?.body)]);
  await until('the forge', 60_000, async () => forge.requests.length > 0);
  expect(forge.requests.at(-1)).toMatchObject({
    path: expect.stringMatching(/^\/api\/v1\/repos\/acme\/fleet\/statuses\/c{40}$/),
    body: { state: 'failure', context: 'fairlead/f' },
  });

  await until('it to accept webhooks', 60_000, async () => second.port() !== null);
  const commit = 'd'.repeat(40);
  const body = JSON.stringify({ ref: 'refs/heads/main', after: commit, repository: { full_name: 'acme/fleet' } });
  const sign = (secret: string) => createHmac('sha256', secret).update(body).digest('hex');
  const post = (signature: string) =>
    fetch(`http://127.0.0.1:${second.port()}/gitea`, {
      ...{ method: 'POST', body },
      headers: { 'x-gitea-event': 'push', 'x-gitea-signature': signature },
    });
  expect((await post(sign('other'))).status).toBe(401);
  expect((await post(sign('s3cret'))).status).toBe(202);
  const sub = ['mosquitto_sub', '-V', 'mqttv5', '-t', 'relays/f/refs/main', '-C', '1', '-W', '30'];
  expect((await lab.infra.exec(sub, { check: false })).stdout.trim()).toBe(commit);
});

const messagesOf = (body: unknown) =>
  (body as { messages: { id: string; occasion: string; hosts: string[] }[] }).messages;

test('a fleet that is larger than the broker’s queue is read completely', async () => {
  // A stock mosquitto queues a thousand messages for a client and drops the others.
  const hosts = Array.from({ length: 2_000 }, (_, i) => `edge-${i}`);
  await populate(url, 'large', hosts);
  const { rows, way } = await readFleet({ broker: { url }, prefix: 'large', fleet: 'f' });
  expect(way).toBe('index');
  expect(rows.filter((row) => !isWell(row))).toEqual([]);
  expect(rows.map(({ host }) => host)).toEqual(hosts.sort());
});

test('neither a huge retained notice nor an impostor that takes the name once silences a host', async () => {
  const notice = 'mosquitto_pub -V mqttv5 -q 1 -r -t p/f/refs/main';
  await lab.infra.sh(`head -c 20000000 /dev/zero | tr '\\0' x > /tmp/huge && ${notice} -f /tmp/huge`);
  const victim = agent('victim');
  await until('the host', 60_000, async () => (await retained('status')).includes('victim'));
  expect(victim.problems()).toEqual([]);
  // A client id is enough if the broker does not bind it to a login.
  await lab.infra.sh(
    'mosquitto_pub -V mqttv5 -i fairlead-f-twin -q 1 -r -t p/f/hosts/twin/presence -m online && mosquitto_pub -V mqttv5 -q 1 -r -t p/f/hosts/twin/status -m lie',
  );
  await until('the host to be back', 90_000, async () => (await retained('status')).includes('victim'));
  await until('the end of its problem', 60_000, async () => victim.problems().length === 0);
  await lab.infra.sh(`${notice} -n`);
  await victim.stop();
});

/** A third broker, with the sample configuration of docs/reporting.md. */
const SAMPLE_PORT = 1886;
const ACL = path.join(import.meta.dirname, '../../examples/brokers/mosquitto/acl');

describe('a broker with the sample ACL', () => {
  let sample: AclBroker;
  beforeAll(async () => {
    await lab.infra.sh('cat > /tmp/sample.acl', { input: readFileSync(ACL, 'utf8') });
    const config = `listener ${SAMPLE_PORT}\nallow_anonymous false\npassword_file /tmp/passwords\nacl_file /tmp/sample.acl\n`;
    await lab.infra.sh('cat > /tmp/sample.conf', { input: config });
    const passwd = LOGINS.map((login) => `mosquitto_passwd -b /tmp/passwords ${login} pw-${login}`).join(' && ');
    await lab.infra.sh(
      `: > /tmp/passwords && ${passwd} && chmod 644 /tmp/passwords /tmp/sample.acl && mosquitto -d -c /tmp/sample.conf`,
    );
    const passwords = Object.fromEntries(LOGINS.map((login) => [login, `pw-${login}`])) as Record<Login, string>;
    sample = { url: `mqtt://${address}:${SAMPLE_PORT}`, passwords, protocolVersion: 5 };
    await until(
      'the broker of the sample',
      60_000,
      async () => (await mayPublish(sample, 'ci').catch(() => [])).length > 0,
    );
  });

  test.each(LOGINS)('lets %s publish and read its own topics, and nothing else', async (login) => {
    expect((await mayPublish(sample, login)).sort()).toEqual([...MAY_SAY[login]].sort());
    expect((await mayHear(sample, login)).sort()).toEqual([...MAY_HEAR[login]].sort());
  });

  test('permits everything that a host, and a reader of the fleet, needs', async () => {
    const passwordFile = path.join(os.tmpdir(), `fairlead-acl-${process.pid}`);
    writeFileSync(passwordFile, 'pw-edge-1\n');
    const channel = createMqttChannel({
      ...{ prefix: 'fairlead', fleet: 'default', host: 'edge-1', ref: 'main', instance: 'i', random: () => 0 },
      ...{ clock: systemClock, log: silentLog, commands: true },
      broker: { url: sample.url, username: 'edge-1', passwordFile },
    });
    try {
      channel.start({ opened: () => undefined, problemsChanged: () => undefined, notice: () => undefined });
      await until('the channel', 60_000, async () => channel.isOpen());
      expect(await channel.retain('status', statusOf('edge-1', 'default'))).toBe('taken');
      expect(await channel.retain('resources', { schema: 1, resources: [] })).toBe('taken');
      expect(await channel.send({ seq: 1 } as EventDocument)).toBe('taken');
      expect(channel.problems()).toEqual([]);
      const viewer = { url: sample.url, username: 'viewer', passwordFile };
      writeFileSync(passwordFile, 'pw-viewer\n');
      const { rows } = await readFleet({ broker: viewer, prefix: 'fairlead', fleet: 'default', hosts: ['edge-1'] });
      expect(rows).toMatchObject([{ host: 'edge-1', presence: 'online', sync: 'synced' }]);
    } finally {
      await channel.stop();
      rmSync(passwordFile, { force: true });
    }
  });
});

/** A second broker, which refuses the topics of its list. It reads the list again at SIGHUP (mosquitto.conf(5), acl_file). */
const GUARDED_PORT = 1884;
async function startGuarded(): Promise<void> {
  const config = `listener ${GUARDED_PORT}\nallow_anonymous true\nacl_file /tmp/acl\npid_file /tmp/guarded.pid\n`;
  await lab.infra.sh('cat > /tmp/guarded.conf', { input: config });
  await writeList([]);
  await lab.infra.sh('mosquitto -d -c /tmp/guarded.conf');
  await until('the second broker', 60_000, async () => {
    const { code } = await lab.infra.exec(['mosquitto_pub', '-p', `${GUARDED_PORT}`, '-t', 'up', '-m', 'up'], {
      check: false,
    });
    return code === 0;
  });
}
let lists = 0;
/** @returns a topic that this list refuses, and no other list does */
async function writeList(topics: readonly string[]): Promise<string> {
  const own = `list/${++lists}`;
  const list = [...[...topics, own].map((topic) => `topic deny ${topic}`), 'topic readwrite #', ''].join('\n');
  await lab.infra.sh('cat > /tmp/acl; chmod 644 /tmp/acl', { input: list });
  return own;
}
/** Resolves when the broker uses the new list. */
async function deny(topics: readonly string[]): Promise<void> {
  const own = await writeList(topics);
  await lab.infra.sh('pkill -HUP -F /tmp/guarded.pid');
  await until('the list', 60_000, async () => {
    const pub = ['mosquitto_pub', '-V', 'mqttv5', '-q', '1', '-p', `${GUARDED_PORT}`, '-t', own, '-m', 'x'];
    const { stdout, stderr } = await lab.infra.exec(pub, { check: false });
    return /not authori[sz]ed/i.test(stdout + stderr);
  });
}

let farEnds = 0;
channelContract('MQTT 5 (mosquitto)', () => {
  farEnds++;
  return createMosquittoFarEnd({ host: address, port: GUARDED_PORT, prefix: `contract-${farEnds}`, deny });
});
