/** A real broker (mosquitto, MQTT 5): what only its reason codes tell. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { silentLog } from '../../agent/log.ts';
import { createMqttChannel } from '../../agent/report/mqtt/channel.ts';
import { createReporter, type Reporter } from '../../agent/report/reporter.ts';
import { systemClock } from '../../agent/system/clock.ts';
import type { StatusDocument } from '../../manifests-schema/payloads.ts';
import { type Lab, startLab, until } from './lab.ts';

let lab: Lab;
let url: string;
const running: Reporter[] = [];

beforeAll(async () => {
  lab = await startLab({ name: 'broker', hosts: [] });
  url = `mqtt://${await lab.infra.address()}:1883`;
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
});
