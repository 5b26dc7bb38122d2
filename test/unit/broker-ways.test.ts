/**
 * Every transport to a broker that agent.yaml can name, each with an agent's channel over it: TCP, TLS, mutual TLS, websockets.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import type { Duplex } from 'node:stream';
import tls from 'node:tls';
import { Aedes } from 'aedes';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createWebSocketStream, WebSocketServer } from 'ws';
import type { Channel } from '../../agent/core/channel.ts';
import { AgentError } from '../../agent/errors.ts';
import { silentLog } from '../../agent/log.ts';
import { createMqttChannel } from '../../agent/report/mqtt/channel.ts';
import { systemClock } from '../../agent/system/clock.ts';
import { type BrokerSettings, connectBroker } from '../../agent/system/mqtt.ts';
import type { EventDocument } from '../../manifests-schema/payloads.ts';
import { until } from '../lab/run.ts';

const WAIT_MS = 30_000;
const dir = mkdtempSync(path.join(os.tmpdir(), 'fairlead-ways-'));
const at = (name: string) => path.join(dir, name);
const bytes = (name: string) => readFileSync(at(name));

/** A CA and the certificates that it signed: the broker's, and a host's before and after a rotation. */
function certify(ca: string, names: readonly string[]): void {
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: dir, stdio: 'ignore' });
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  openssl('req', '-x509', ...ec, '-keyout', `${ca}.key`, '-out', `${ca}.pem`, '-subj', `/CN=${ca}`, '-days', '2');
  for (const name of names) {
    openssl('req', ...ec, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
    const signed = ['-CA', `${ca}.pem`, '-CAkey', `${ca}.key`, '-CAcreateserial', '-days', '2'];
    openssl('x509', '-req', '-in', `${name}.csr`, ...signed, '-extfile', 'names', '-out', `${name}.pem`);
  }
}
beforeAll(() => {
  writeFileSync(at('names'), 'subjectAltName=DNS:localhost,IP:127.0.0.1\n');
  certify('ca', ['broker', 'host']);
  certify('other-ca', ['stranger']);
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

let broker: Aedes;
/** Topic → last payload. */
let told: Map<string, string>;
const channels: Channel[] = [];
const ends: (() => Promise<unknown>)[] = [];
const open = new Set<Duplex>();
beforeEach(async () => {
  broker = await Aedes.createBroker();
  told = new Map();
  broker.on('publish', ({ topic, payload }) => void told.set(topic, payload.toString()));
});
afterEach(async () => {
  for (const channel of channels.splice(0)) await channel.stop();
  cut();
  for (const end of ends.splice(0)) await end();
  await new Promise<void>((resolve) => broker.close(() => resolve()));
});
function cut(): void {
  for (const stream of open) stream.destroy();
}

const accept = (stream: Duplex): void => {
  open.add(stream);
  stream.on('error', () => undefined);
  stream.on('close', () => open.delete(stream));
  broker.handle(stream as net.Socket);
};
const secured = (more: tls.TlsOptions = {}): tls.TlsOptions => ({
  cert: bytes('broker.pem'),
  key: bytes('broker.key'),
  ...more,
});
const mutual = (): tls.TlsOptions => secured({ requestCert: true, rejectUnauthorized: true, ca: bytes('ca.pem') });

async function listen(server: net.Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ends.push(() => new Promise((resolve) => server.close(resolve)));
  server.on('connection', (socket: net.Socket) => {
    open.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => open.delete(socket));
  });
  return (server.address() as net.AddressInfo).port;
}
/** Forwards a path to the broker, as a web server does. */
function upgrading(server: http.Server): http.Server {
  const sockets = new WebSocketServer({ server, path: '/mqtt' });
  sockets.on('connection', (socket) => accept(createWebSocketStream(socket)));
  ends.push(() => new Promise((resolve) => sockets.close(resolve)));
  return server;
}

function channelTo(settings: BrokerSettings): Channel {
  const channel = createMqttChannel({
    ...{ prefix: 'p', fleet: 'f', host: 'h', instance: 'i', ref: 'main', clock: systemClock, log: silentLog },
    broker: settings,
    random: () => 0,
  });
  channels.push(channel);
  channel.start({ opened: () => undefined, problemsChanged: () => undefined, notice: () => undefined });
  return channel;
}
/** Resolves when the broker has accepted another connection. */
const nextClient = () => new Promise<void>((resolve) => broker.once('client', () => resolve()));
const opened = (channel: Channel) => until('the channel to open', WAIT_MS, async () => channel.isOpen());

interface Way {
  listen(): Promise<number>;
  settings(port: number): BrokerSettings;
}
const ca = () => at('ca.pem');
const own = () => ({ cert: at('host.pem'), key: at('host.key') });
const WAYS: Record<string, Way> = {
  TCP: {
    listen: () => listen(net.createServer(accept)),
    settings: (port) => ({ url: `mqtt://127.0.0.1:${port}` }),
  },
  TLS: {
    listen: () => listen(tls.createServer(secured(), accept)),
    settings: (port) => ({ url: `mqtts://localhost:${port}`, ca: ca() }),
  },
  'mutual TLS': {
    listen: () => listen(tls.createServer(mutual(), accept)),
    settings: (port) => ({ url: `mqtts://localhost:${port}`, ca: ca(), ...own() }),
  },
  'a websocket': {
    listen: () => listen(upgrading(http.createServer())),
    settings: (port) => ({ url: `ws://127.0.0.1:${port}/mqtt` }),
  },
  'a websocket over TLS': {
    listen: () => listen(upgrading(https.createServer(secured()))),
    settings: (port) => ({ url: `wss://localhost:${port}/mqtt`, ca: ca() }),
  },
  'a websocket over mutual TLS': {
    listen: () => listen(upgrading(https.createServer(mutual()))),
    settings: (port) => ({ url: `wss://localhost:${port}/mqtt`, ca: ca(), ...own() }),
  },
};

describe.each(Object.entries(WAYS))('%s', (_name, { listen: serve, settings }) => {
  test('carries presence and events, and reconnects after a cut', async () => {
    const channel = channelTo(settings(await serve()));
    await opened(channel);
    expect(await channel.send({ seq: 1 } as EventDocument)).toBe('taken');
    expect(told.get('p/f/hosts/h/presence')).toBe('online');
    // The disconnection may last less than the time between two polls.
    const other = nextClient();
    cut();
    await other;
    await opened(channel);
    expect(await channel.send({ seq: 2 } as EventDocument)).toBe('taken');
    await channel.stop();
    expect(told.get('p/f/hosts/h/presence')).toBe('offline');
  });
});

describe('how far a connection attempt got', () => {
  /** @param timeoutMs short only if the attempt ends by nothing but time */
  async function reachOf(settings: BrokerSettings, timeoutMs = WAIT_MS): Promise<{ reach: string; message: string }> {
    const thrown = await connectBroker({ broker: settings, clientId: 'x', timeoutMs }).then(
      () => null,
      (error: unknown) => error,
    );
    if (!(thrown instanceof AgentError)) throw new Error(`connected, or failed otherwise: ${thrown}`);
    return { reach: thrown.reach, message: thrown.message };
  }

  test.each<[string, (socket: net.Socket) => void, number?]>([
    ['accepts the connection and sends nothing', () => undefined, 1_000],
    ['closes the connection', (socket) => socket.end()],
    ['resets the connection', (socket) => socket.resetAndDestroy()],
    ['speaks another protocol', (socket) => socket.write('220 mail.example.com ESMTP\r\n')],
  ])('a websocket whose server %s counts as answered', async (_what, take, timeoutMs) => {
    const port = await listen(net.createServer(take));
    expect((await reachOf({ url: `ws://127.0.0.1:${port}/mqtt` }, timeoutMs)).reach).toBe('answered');
  });

  test('a websocket whose server never sends after the upgrade counts as answered', async () => {
    const server = http.createServer();
    const sockets = new WebSocketServer({ server });
    ends.push(() => new Promise((resolve) => sockets.close(resolve)));
    expect((await reachOf({ url: `ws://127.0.0.1:${await listen(server)}/` }, 1_000)).reach).toBe('answered');
  });

  test.each([404, 401, 502])(
    'a web server that responds with %i counts as answered, and its response is reported',
    async (status) => {
      const port = await listen(http.createServer((_request, response) => void response.writeHead(status).end()));
      const { reach, message } = await reachOf({ url: `ws://127.0.0.1:${port}/mqtt` });
      expect(reach).toBe('answered');
      expect(message).toContain(String(status));
    },
  );

  test('a port without a listener counts as answered; a name that does not resolve is a fault on this host', async () => {
    const port = await listen(net.createServer());
    for (const end of ends.splice(0)) await end();
    expect((await reachOf({ url: `ws://127.0.0.1:${port}/mqtt` })).reach).toBe('answered');
    expect((await reachOf({ url: 'ws://no-such-host.invalid/mqtt' })).reach).toBe('here');
  });

  test.each(['mqtts', 'wss'])('%s: an untrusted certificate is a fault on this host', async (scheme) => {
    const port =
      scheme === 'wss'
        ? await listen(upgrading(https.createServer(secured())))
        : await listen(tls.createServer(secured(), accept));
    expect((await reachOf({ url: `${scheme}://localhost:${port}/mqtt`, ca: at('other-ca.pem') })).reach).toBe('here');
  });

  const isIPv6 = Object.values(os.networkInterfaces()).some((all) => all?.some(({ address }) => address === '::1'));
  test.skipIf(!isIPv6)('an IPv6 address of a websocket is sent with its brackets', async () => {
    const hosts: (string | undefined)[] = [];
    const server = http.createServer((request, response) => {
      hosts.push(request.headers.host);
      response.writeHead(404).end();
    });
    await new Promise<void>((resolve) => server.listen(0, '::1', resolve));
    ends.push(() => new Promise((resolve) => server.close(resolve)));
    const { port } = server.address() as net.AddressInfo;
    await reachOf({ url: `ws://[::1]:${port}/mqtt` });
    expect(hosts).toEqual([`[::1]:${port}`]);
  });
});

test('a client id in the query of the address does not replace the agent’s', async () => {
  const ids: string[] = [];
  broker.on('client', ({ id }) => void ids.push(id));
  const port = await listen(upgrading(http.createServer()));
  await opened(channelTo({ url: `ws://127.0.0.1:${port}/mqtt?clientId=other` }));
  expect(ids).toEqual(['fairlead-f-h']);
});

test('the client id is that of agent.yaml, if it has one', async () => {
  const ids: string[] = [];
  broker.on('client', ({ id }) => void ids.push(id));
  const port = await listen(net.createServer(accept));
  await opened(channelTo({ url: `mqtt://127.0.0.1:${port}`, clientId: 'thing-7' }));
  expect(ids).toEqual(['thing-7']);
});

test('a websocket message over the size limit is not accepted', async () => {
  const server = http.createServer();
  const sockets = new WebSocketServer({ server, path: '/mqtt' });
  ends.push(() => new Promise((resolve) => sockets.close(resolve)));
  sockets.on('connection', (socket) => {
    socket.on('error', () => undefined);
    socket.once('message', () => socket.send(Buffer.alloc(8 * 1024 * 1024, 0x30)));
  });
  const port = await listen(server);
  await expect(
    connectBroker({ broker: { url: `ws://127.0.0.1:${port}/mqtt` }, clientId: 'x', timeoutMs: WAIT_MS }),
  ).rejects.toThrow('Max payload size exceeded');
});

describe('rotation', () => {
  test('a password file is read at each connection', async () => {
    let right = 'one';
    broker.authenticate = (_client, _user, password, callback) => callback(null, password?.toString() === right);
    writeFileSync(at('password'), 'one\n');
    const port = await listen(net.createServer(accept));
    const channel = channelTo({ url: `mqtt://127.0.0.1:${port}`, username: 'u', passwordFile: at('password') });
    await opened(channel);
    right = 'two';
    writeFileSync(at('password'), 'two\n');
    const other = nextClient();
    cut();
    await other;
    await opened(channel);
    expect(await channel.send({ seq: 1 } as EventDocument)).toBe('taken');
  });

  test('certificates are read at each connection: a host whose certificate is refused reconnects with the next one', async () => {
    const mine = { cert: at('mine.pem'), key: at('mine.key') };
    const put = (name: string) => {
      writeFileSync(mine.cert, bytes(`${name}.pem`));
      writeFileSync(mine.key, bytes(`${name}.key`));
    };
    put('stranger');
    const port = await listen(tls.createServer(mutual(), accept));
    const channel = channelTo({ url: `mqtts://localhost:${port}`, ca: ca(), ...mine });
    await until('the problem', WAIT_MS, async () => channel.problems()[0]?.reason === 'BrokerUnreachable');
    put('host');
    await opened(channel);
    expect(channel.problems()).toEqual([]);
  });
});
