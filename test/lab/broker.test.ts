/** A real broker (mosquitto, MQTT 5): what only its reason codes tell. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readFleet } from '../../agent/fleet/client.ts';
import { isWell } from '../../agent/fleet/model.ts';
import { silentLog } from '../../agent/log.ts';
import { createMqttChannel } from '../../agent/report/mqtt/channel.ts';
import { createReporter, type Reporter } from '../../agent/report/reporter.ts';
import { systemClock } from '../../agent/system/clock.ts';
import type { StatusDocument } from '../../manifests-schema/payloads.ts';
import { channelContract } from '../channel/contract.ts';
import { createMosquittoFarEnd } from '../channel/mosquitto.ts';
import { populate } from '../channel/populate.ts';
import { type Lab, startLab, until } from './lab.ts';

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
    outbox: { peek: () => [], ack: () => undefined },
    status: () => ({ instance }) as unknown as StatusDocument,
  });
  running.push(reporter);
  reporter.start();
  return reporter;
}
const retained = async (leaf: string) =>
  (
    await lab.infra.exec(['mosquitto_sub', '-V', 'mqttv5', '-t', `p/f/hosts/twin/${leaf}`, '-C', '1', '-W', '2'], {
      check: false,
    })
  ).stdout.trim();

test('of two agents under one name the first steps aside and says why; it comes back when the other one is gone', async () => {
  const first = agent('first');
  await until('the first one', 20_000, async () => (await retained('status')).includes('first'));
  const second = agent('second');
  await until('the take-over', 20_000, async () => first.problems()[0]?.reason === 'NameTaken');
  await until('the second one', 20_000, async () => (await retained('status')).includes('second'));
  // Longer than it takes the first one to look several times.
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
  await until('the first one to be back', 30_000, async () => (await retained('status')).includes('first'));
  expect([await retained('presence'), first.problems()]).toEqual(['online', []]);
  await first.stop();
});

test('a fleet that is larger than the broker’s queue is read whole', async () => {
  // A stock mosquitto keeps a thousand messages for a client and drops the others.
  const hosts = Array.from({ length: 2_000 }, (_, i) => `edge-${i}`);
  await populate(url, 'large', hosts);
  const { rows, way } = await readFleet({ broker: { url }, prefix: 'large', fleet: 'f' });
  expect(way).toBe('index');
  expect(rows.filter((row) => !isWell(row))).toEqual([]);
  expect(rows.map(({ host }) => host)).toEqual(hosts.sort());
});

test('neither a huge retained notice nor a name that is taken once and left silences a host', async () => {
  const notice = 'mosquitto_pub -V mqttv5 -q 1 -r -t p/f/refs/main';
  await lab.infra.sh(`head -c 20000000 /dev/zero | tr '\\0' x > /tmp/huge && ${notice} -f /tmp/huge`);
  const victim = agent('victim');
  await until('the host', 20_000, async () => (await retained('status')).includes('victim'));
  expect(victim.problems()).toEqual([]);
  // A client id is all that it takes where the broker does not bind it to a login.
  await lab.infra.sh(
    'mosquitto_pub -V mqttv5 -i fairlead-f-twin -q 1 -r -t p/f/hosts/twin/presence -m online && mosquitto_pub -V mqttv5 -q 1 -r -t p/f/hosts/twin/status -m lie',
  );
  await until('the host to be back', 40_000, async () => (await retained('status')).includes('victim'));
  await until('the end of its problem', 20_000, async () => victim.problems().length === 0);
  await lab.infra.sh(`${notice} -n`);
  await victim.stop();
});

/** A second broker, which refuses what its list says. It reads the list again at SIGHUP (mosquitto.conf(5), acl_file). */
const GUARDED_PORT = 1884;
async function startGuarded(): Promise<void> {
  const config = `listener ${GUARDED_PORT}\nallow_anonymous true\nacl_file /tmp/acl\npid_file /tmp/guarded.pid\n`;
  await lab.infra.sh('cat > /tmp/guarded.conf', { input: config });
  await writeList([]);
  await lab.infra.sh('mosquitto -d -c /tmp/guarded.conf');
  await until('the second broker', 20_000, async () => {
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
/** Resolves when the broker goes by the new list. */
async function deny(topics: readonly string[]): Promise<void> {
  const own = await writeList(topics);
  await lab.infra.sh('pkill -HUP -F /tmp/guarded.pid');
  await until('the list', 10_000, async () => {
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
