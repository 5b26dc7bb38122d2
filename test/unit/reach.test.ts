/** What a failed connection proves about connectivity: only an answer of the other side shows that it is reachable. */
import net from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { reachOf } from '../../agent/core/reach.ts';
import { AgentError } from '../../agent/errors.ts';
import { connectBroker } from '../../agent/system/mqtt.ts';

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

async function listening(accept: (socket: net.Socket) => void): Promise<number> {
  const server = net.createServer((socket) => {
    closers.push(() => socket.destroy());
    accept(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(() => server.close());
  return (server.address() as net.AddressInfo).port;
}

/** @param timeoutMs short only if the attempt ends by nothing but time */
async function reachOfBroker(url: string, timeoutMs = 60_000): Promise<string> {
  const thrown = await connectBroker({ broker: { url }, clientId: 'probe', timeoutMs }).then(
    () => null,
    (error: unknown) => error,
  );
  if (!(thrown instanceof AgentError)) throw new Error(`connected, or failed otherwise: ${thrown}`);
  return thrown.reach;
}

test.each<[string, (socket: net.Socket) => void, number?]>([
  ['accepts the connection and sends nothing', () => undefined, 1_000],
  ['closes the connection', (socket) => socket.end()],
  ['resets the connection', (socket) => socket.resetAndDestroy()],
  ['speaks another protocol', (socket) => socket.write('220 mail.example.com ESMTP\r\n'), 1_000],
])('a broker that %s counts as answered', async (_what, accept, timeoutMs) => {
  expect(await reachOfBroker(`mqtt://127.0.0.1:${await listening(accept)}`, timeoutMs)).toBe('answered');
});

test('a broker that refuses the connection counts as answered', async () => {
  const port = await listening(() => undefined);
  for (const close of closers.splice(0)) close();
  expect(await reachOfBroker(`mqtt://127.0.0.1:${port}`)).toBe('answered');
});

test('a name that does not resolve is a fault on this host', async () => {
  expect(await reachOfBroker('mqtt://no-such-host.invalid:1883')).toBe('here');
});

test.each([
  ['ECONNREFUSED', 'answered'],
  ['ECONNRESET', 'answered'],
  ['ENETUNREACH', 'here'],
  ['EPERM', 'here'],
  ['ENOTFOUND', 'here'],
  ['SELF_SIGNED_CERT_IN_CHAIN', 'here'],
  ['ETIMEDOUT', 'silent'],
])('%s: %s', (code, reach) => {
  expect(reachOf(Object.assign(new Error('any words, even ECONNREFUSED'), { code }))).toBe(reach);
});
