/** Sending over HTTP to real servers on loopback: the result of each answer, and requests that are never made. */
import { writeFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createDelivery, type Delivery } from '../../../agent/notify/deliver.ts';
import { sightOf } from '../../../agent/notify/model/sight.ts';
import type { Parcel } from '../../../agent/notify/model/text.ts';
import type { Destination } from '../../../manifests-schema/notify.ts';
import { problem, statusWith } from './status.ts';

interface Request {
  method: string;
  url: string;
  headers: http.IncomingHttpHeaders;
  body: string;
}
type Answer = (response: http.ServerResponse, request: Request) => void;

const servers: http.Server[] = [];
const secrets: string[] = [];
let dir = '';

beforeEach(async () => {
  dir = await mkdtemp(path.join(os.tmpdir(), 'fairlead-notify-'));
  secrets.length = 0;
});
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

/** @returns its origin, and the requests that it received */
async function listen(answer: Answer): Promise<{ origin: string; requests: Request[] }> {
  const requests: Request[] = [];
  const server = http.createServer((incoming, response) => {
    const parts: Buffer[] = [];
    incoming.on('data', (part: Buffer) => parts.push(part));
    incoming.on('end', () => {
      const { method = '', url = '', headers } = incoming;
      const request = { method, url, headers, body: Buffer.concat(parts).toString() };
      requests.push(request);
      answer(response, request);
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests };
}

const sight = sightOf(
  statusWith({ sync: 'failed', reason: 'UnitFailed', problems: [problem('unit:a.service', 'UnitFailed')] }),
);
const parcel: Parcel = {
  ...{ id: 'm-1', fleet: 'shop', dropped: 0, now: new Date('2026-11-24T08:00:00Z') },
  messages: [
    {
      ...{
        id: 'm-1',
        at: '2026-11-24T08:00:00.000Z',
        occasion: 'failed',
        hosts: ['edge-1'],
        hostsTotal: 1,
        example: 'edge-1',
      },
      brief: 'brief' in sight ? sight.brief : null,
    },
  ],
};

const send = (destination: Partial<Destination>, timeoutMs = 20_000): Promise<Delivery> =>
  createDelivery({
    destination: { format: 'slack', on: ['failed'], ...destination } as Destination,
    env: {},
    secret: (text) => secrets.push(text),
    timeoutMs,
  })(parcel, new AbortController().signal);
const file = (name: string, text: string): string => {
  writeFileSync(path.join(dir, name), text);
  return path.join(dir, name);
};
const say =
  (status: number, headers: Record<string, string> = {}, text = ''): Answer =>
  (response) =>
    response.writeHead(status, headers).end(text);

test('a message that is accepted is done', async () => {
  const { origin, requests } = await listen(say(200, {}, 'ok'));
  expect(await send({ url: `${origin}/services/T0/B0/s3cret` })).toEqual({ kind: 'done' });
  expect(requests).toHaveLength(1);
  expect(requests[0]).toMatchObject({ method: 'POST', url: '/services/T0/B0/s3cret' });
  expect(requests[0]?.headers['content-type']).toBe('application/json');
});

test('the URL, the token and the key are read for each message, and redacted as secrets', async () => {
  const { origin, requests } = await listen(say(200));
  const urlFile = file('url', `${origin}/first-one\n`);
  const destination = {
    format: 'json' as const,
    urlFile,
    tokenFile: file('token', 'tk-1\n'),
    signingKeyFile: file('key', 'k-1'),
  };
  await send(destination);
  file('url', `${origin}/second-one`);
  await send(destination);
  expect(requests.map(({ url }) => url)).toEqual(['/first-one', '/second-one']);
  expect(requests[0]?.headers.authorization).toBe('Bearer tk-1');
  expect(secrets).toEqual(expect.arrayContaining([`${origin}/first-one`, '/first-one', 'tk-1', 'k-1']));
});

test.each([
  [500, 'again'],
  [503, 'again'],
  [408, 'again'],
  [429, 'again'],
  [401, 'refused'],
  [404, 'refused'],
  [410, 'refused'],
  [400, 'unfit'],
  [413, 'unfit'],
])('an answer of %i: %s', async (status, kind) => {
  const { origin } = await listen(say(status, {}, 'no_service'));
  expect(await send({ url: origin })).toMatchObject({ kind, why: `it answered ${status} (no_service)` });
});

test('a server that asks for a pause gets it, in seconds or until a date', async () => {
  const seconds = await listen(say(429, { 'retry-after': '30' }));
  expect(await send({ url: seconds.origin })).toMatchObject({ kind: 'again', retryAfterMs: 30_000 });
  const date = await listen(say(503, { 'retry-after': new Date(Date.now() + 3_600_000).toUTCString() }));
  const delivery = (await send({ url: date.origin })) as { retryAfterMs: number };
  expect(delivery.retryAfterMs).toBeGreaterThan(3_000_000);
  const nonsense = await listen(say(503, { 'retry-after': 'soon' }));
  expect(await send({ url: nonsense.origin })).toMatchObject({ retryAfterMs: null });
});

test('a server that is silent is given up', async () => {
  const { origin } = await listen(() => undefined);
  expect(await send({ url: origin }, 50)).toEqual({
    kind: 'again',
    why: 'no answer within 0.05 s',
    retryAfterMs: null,
  });
});

test('a server that does not end its answer is given up', async () => {
  const { origin } = await listen((response) => void response.writeHead(200).write('o'));
  expect(await send({ url: origin }, 300)).toMatchObject({ kind: 'again' });
});

test('an endless answer is not read to its end', async () => {
  const { origin } = await listen((response) => {
    response.writeHead(200);
    const more = (): void => {
      while (!response.destroyed && response.write('x'.repeat(65_536)));
      if (!response.destroyed) response.once('drain', more);
    };
    more();
  });
  expect(await send({ url: origin })).toEqual({ kind: 'done' });
});

test('a redirect to another origin is not followed, and no secret is sent there', async () => {
  const other = await listen(say(200));
  const { origin } = await listen(say(307, { location: `${other.origin}/s3cret` }));
  const delivery = await send({ url: `${origin}/hook`, tokenFile: file('token', 't'), format: 'json' });
  expect(delivery).toMatchObject({
    kind: 'refused',
    why: `it redirects to another place (${other.origin}), which is not followed`,
  });
  expect(other.requests).toEqual([]);
});

test('a redirect within the origin is followed, a redirect loop is not', async () => {
  const moved = await listen((response, { url }) =>
    (url === '/new' ? say(204) : say(308, { location: '/new' }))(response, {} as Request),
  );
  expect(await send({ url: `${moved.origin}/old` })).toEqual({ kind: 'done' });
  expect(moved.requests.map(({ method, url }) => `${method} ${url}`)).toEqual(['POST /old', 'POST /new']);
  expect(moved.requests[1]?.body).toBe(moved.requests[0]?.body);
  const circle = await listen(say(307, { location: '/' }));
  expect(await send({ url: circle.origin })).toMatchObject({ kind: 'refused' });
});

test('a refused connection and an unknown name are outages', async () => {
  const { origin } = await listen(say(200));
  const [server] = servers.splice(0) as [http.Server];
  server.close();
  expect(await send({ url: `${origin}/s3cret-path` })).toMatchObject({ kind: 'again' });
  const unknown = await send({ url: 'https://nobody.invalid/s3cret-path' });
  expect(unknown).toMatchObject({ kind: 'again' });
  expect(JSON.stringify(unknown)).not.toContain('s3cret-path');
});

test('a file that is missing, or has no URL, is reported without its content', async () => {
  expect(await send({ urlFile: path.join(dir, 'none') })).toMatchObject({
    kind: 'refused',
    why: `${dir}/none cannot be read: there is no such file`,
  });
  const delivery = await send({ urlFile: file('url', 'http://chat.example.com/s3cret') });
  expect(delivery).toMatchObject({ kind: 'refused' });
  expect(JSON.stringify(delivery)).not.toContain('s3cret');
});

test('a certificate that is not trusted is an outage that says so', async () => {
  const { origin } = await listen(say(200));
  expect(await send({ url: origin.replace('http:', 'https:') })).toMatchObject({ kind: 'again' });
});
