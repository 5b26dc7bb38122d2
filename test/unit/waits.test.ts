/** Waits that end together, and what a long connection keeps of each message: nothing. */
import { EventEmitter } from 'node:events';
import type { MqttClient } from 'mqtt';
import { expect, test } from 'vitest';
import { createLink } from '../../agent/report/mqtt/link.ts';
import { endWaits } from '../../agent/system/mqtt-answers.ts';
import { createWaits } from '../../agent/system/waits.ts';

const never = new Promise<never>(() => undefined);

test('a wait settles as its work does', async () => {
  const { wait } = createWaits();
  expect(await wait(Promise.resolve('done'))).toBe('done');
  await expect(wait(Promise.reject(new Error('refused')))).rejects.toThrow('refused');
});

test('the end rejects every wait, and later ones', async () => {
  const { wait, end } = createWaits();
  const waiting = [wait(never), wait(never)];
  end(new Error('the connection was lost'));
  end(new Error('another one'));
  for (const one of [...waiting, wait(never)]) await expect(one).rejects.toThrow('the connection was lost');
});

/** A client whose broker takes everything. */
function takingClient(): MqttClient {
  const client = Object.assign(new EventEmitter(), {
    ...{ connected: true, options: { protocolVersion: 5 }, end: () => undefined },
    ...{ publishAsync: async () => undefined, subscribeAsync: async () => [], unsubscribeAsync: async () => undefined },
  }) as unknown as MqttClient;
  return endWaits(client, { url: 'mqtt://broker', answerMs: 30_000 });
}

test('no promise of a connection collects a listener for each message', async () => {
  const link = createLink({ client: takingClient(), lost: never, refused: () => undefined });
  const listeners = await listenersDuring(async () => {
    for (let message = 0; message < 50; message++) await link.publish('t', 'x', { retain: true });
  });
  expect(listeners.length).toBeGreaterThan(50);
  expect(Math.max(...listeners)).toBeLessThan(5);
});

/** @returns for each promise that was listened to, how often. An `await` does not count: what it waits for ends with it */
async function listenersDuring(act: () => Promise<void>): Promise<number[]> {
  const counts = new Map<unknown, number>();
  const { then } = Promise.prototype;
  Reflect.set(Promise.prototype, 'then', function (this: Promise<unknown>, ...args: Parameters<typeof then>) {
    counts.set(this, (counts.get(this) ?? 0) + 1);
    return then.apply(this, args);
  });
  try {
    await act();
  } finally {
    Reflect.set(Promise.prototype, 'then', then);
  }
  return [...counts.values()];
}
