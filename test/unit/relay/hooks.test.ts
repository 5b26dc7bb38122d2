/** Webhooks of the forges: their published samples are read, and unsigned requests are refused. */
import { createHmac } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { type IncomingHttpHeaders, request } from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { createAnnouncer } from '../../../agent/fleet/relay/announce.ts';
import { type Push, readHook } from '../../../agent/fleet/relay/hooks/forges.ts';
import { openSeen } from '../../../agent/fleet/relay/hooks/seen.ts';
import { createHookServer, type HookServer } from '../../../agent/fleet/relay/hooks/server.ts';
import { silentLog } from '../../../agent/log.ts';
import { FORGES, type Forge } from '../../../manifests-schema/relay.ts';
import { createFakeClock } from '../../fakes/clock.ts';
import { SAMPLES } from './samples.ts';

const SECRET = "It's a Secret to Everybody";
const hmac = (body: string, secret: string) => createHmac('sha256', secret).update(body).digest('hex');
/** The signature of each forge. */
const signed = (forge: Forge, body: string, secret = SECRET): Record<string, string> =>
  ({
    github: { 'x-hub-signature-256': `sha256=${hmac(body, secret)}` },
    gitlab: { 'x-gitlab-token': secret },
    gitea: { 'x-gitea-signature': hmac(body, secret) },
    bitbucket: { 'x-hub-signature': `sha256=${hmac(body, secret)}` },
  })[forge] as Record<string, string>;

const bytes = (text: string) => new TextEncoder().encode(text);
const read = (forge: Forge, headers: IncomingHttpHeaders, body: string, secret = SECRET) =>
  readHook(forge, { headers, body: bytes(body), secret });

test('there is a sample for each forge', () => {
  expect(new Set(SAMPLES.map(({ forge }) => forge))).toEqual(new Set(FORGES));
  expect(SAMPLES.filter(({ forge }) => forge === 'github').length).toBeGreaterThan(3);
});

test.each(SAMPLES)('$forge: $name', ({ forge, headers, body, repository, pushes }) => {
  const text = JSON.stringify(body);
  expect(read(forge, { ...headers, ...signed(forge, text) }, text)).toMatchObject({
    kind: 'hook',
    hook: { repository, pushes },
  });
});

test("GitHub's example for verifying a signature is valid", () => {
  // https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries#testing-the-webhook-payload-validation
  const headers = { 'x-hub-signature-256': 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17' };
  expect(read('github', headers, 'Hello, World!')).toEqual({ kind: 'unreadable' });
  expect(read('github', headers, 'Hello, World')).toEqual({ kind: 'unsigned' });
});

describe('no push is read', () => {
  const text = JSON.stringify(SAMPLES[0]?.body);
  test.each(FORGES)(
    '%s: without a signature, with that of another secret, of another body, or with an empty secret',
    (forge) => {
      expect(read(forge, {}, text)).toEqual({ kind: 'unsigned' });
      expect(read(forge, signed(forge, text, 'other'), text)).toEqual({ kind: 'unsigned' });
      if (forge !== 'gitlab') expect(read(forge, signed(forge, `${text} `), text)).toEqual({ kind: 'unsigned' });
      expect(read(forge, signed(forge, text, ''), text, '')).toEqual({ kind: 'unsigned' });
    },
  );

  test.each(FORGES)('%s: of any JSON that is no push', (forge) => {
    for (const body of [
      'null',
      '[]',
      '"x"',
      '7',
      '{"push":{"changes":[null,7,{"new":{"type":{}}}]},"changes":[{"ref":7}],"ref":[]}',
    ])
      for (const event of [
        {},
        {
          'x-github-event': 'push',
          'x-gitlab-event': 'Push Hook',
          'x-gitea-event': 'push',
          'x-event-key': 'repo:push',
        },
      ])
        expect(read(forge, { ...event, ...signed(forge, body) }, body)).toMatchObject({
          kind: 'hook',
          hook: { pushes: [] },
        });
  });

  test('of refs that are neither branches nor tags', () => {
    for (const ref of ['refs/pull/1/head', 'refs/heads/', 'main', '../x']) {
      const body = JSON.stringify({ ref, after: 'a'.repeat(40), repository: { full_name: 'acme/fleet' } });
      expect(read('gitea', { 'x-gitea-event': 'push', ...signed('gitea', body) }, body)).toMatchObject({
        hook: { pushes: [] },
      });
    }
  });
});

describe('the server', () => {
  const servers: HookServer[] = [];
  afterEach(() => Promise.all(servers.splice(0).map((server) => server.stop())));

  async function listen(dir = mkdtempSync(path.join(os.tmpdir(), 'fairlead-hooks-'))) {
    const secretFile = path.join(dir, 'secret');
    writeFileSync(secretFile, `${SECRET}\n`);
    const heard: Push[] = [];
    const server = createHookServer({
      listen: '127.0.0.1:0',
      from: [{ forge: 'gitea', repository: 'gitea/webhooks', secretFile }],
      seen: openSeen(path.join(dir, 'webhooks.json')),
      pushed: (pushes) => heard.push(...pushes),
      log: silentLog,
    });
    servers.push(server);
    const { port } = await server.start();
    return { dir, heard, port };
  }

  interface Sent {
    port: number;
    method?: string;
    at?: string;
    headers?: Record<string, string>;
    body?: string;
  }
  const send = ({ port, method = 'POST', at = '/gitea', headers = {}, body = '' }: Sent): Promise<number> =>
    new Promise((resolve, reject) => {
      const sent = request({ host: '127.0.0.1', port, path: at, method, headers }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      sent.on('error', reject);
      sent.end(body);
    });
  const sample = SAMPLES.find(({ forge }) => forge === 'gitea') as (typeof SAMPLES)[number];
  const text = JSON.stringify(sample.body);
  const headers = { ...sample.headers, ...signed('gitea', text) };

  test('a signed push of the fleet repository is passed on', async () => {
    const { port, heard } = await listen();
    expect(await send({ port, headers, body: text })).toBe(202);
    expect(heard).toEqual(sample.pushes);
  });

  test('the same request is passed on once, also after a restart, and whatever id it has', async () => {
    const { port, heard, dir } = await listen();
    await send({ port, headers, body: text });
    expect(await send({ port, headers: { ...headers, 'x-gitea-delivery': 'another' }, body: text })).toBe(200);
    expect(heard).toHaveLength(1);
    const next = await listen(dir);
    expect(await send({ port: next.port, headers, body: text })).toBe(200);
    expect(next.heard).toEqual([]);
  });

  test('an unsigned request is refused, and a later signed one is accepted', async () => {
    const { port, heard } = await listen();
    expect(await send({ port, headers: sample.headers, body: text })).toBe(401);
    expect(heard).toEqual([]);
    expect(await send({ port, headers, body: text })).toBe(202);
  });

  test('pushes of another repository are ignored', async () => {
    const { port, heard } = await listen();
    const body = text.replaceAll('gitea/webhooks', 'gitea/other');
    expect(await send({ port, headers: { ...sample.headers, ...signed('gitea', body) }, body })).toBe(200);
    expect(heard).toEqual([]);
  });

  test('other paths and methods, and a body that is not JSON, get errors', async () => {
    const { port } = await listen();
    expect(await send({ port, at: '/github', headers, body: text })).toBe(404);
    expect(await send({ port, method: 'GET', headers: {} })).toBe(405);
    expect(await send({ port, headers: signed('gitea', 'payload=x'), body: 'payload=x' })).toBe(400);
  });

  test('a body that is announced as too large is refused before it is read, and one that grows too large is cut off', async () => {
    const { port, heard } = await listen();
    const answered = (head: string, body: string) =>
      new Promise<string>((resolve) => {
        const socket = net.connect(port, '127.0.0.1');
        let answer = '';
        socket.on('data', (part) => {
          answer += part.toString();
        });
        socket.on('error', () => undefined);
        socket.on('close', () => resolve(answer));
        socket.write(`POST /gitea HTTP/1.1\r\nhost: x\r\n${head}\r\n\r\n`);
        const more = (): void => {
          if (socket.writable && socket.write(body)) setImmediate(more);
          else socket.once('drain', more);
        };
        if (body !== '') more();
      });
    expect(await answered('content-length: 999999999', '')).toMatch(/^HTTP\/1.1 413/);
    // A client that is still writing may or may not read the answer.
    await answered('transfer-encoding: chunked', `ffff\r\n${'x'.repeat(0xffff)}\r\n`);
    expect(heard).toEqual([]);
    expect(await send({ port, headers, body: text })).toBe(202);
  });
});

test('at most the newest thousand requests are remembered', () => {
  const file = path.join(mkdtempSync(path.join(os.tmpdir(), 'fairlead-hooks-')), 'seen.json');
  const ids = Array.from({ length: 1_010 }, (_, i) => `id-${i}`);
  writeFileSync(file, JSON.stringify(ids));
  const seen = openSeen(file);
  seen.add('new');
  expect(seen.has('id-5')).toBe(false);
  expect(openSeen(file).has('id-1009')).toBe(true);
  writeFileSync(file, 'damaged');
  expect(openSeen(file).has('new')).toBe(false);
});

test('while the broker is unreachable, the newest commit of each ref is kept and sent later', async () => {
  const clock = createFakeClock();
  const told: string[] = [];
  let tries = 0;
  const done = Promise.withResolvers<void>();
  const announcer = createAnnouncer({
    async publish({ ref, commit }) {
      tries++;
      if (tries < 4) throw new Error('no broker');
      told.push(`${ref} ${commit}`);
      if (told.length === 2) done.resolve();
    },
    clock,
    log: silentLog,
  });
  announcer.pushed([{ ref: 'refs/heads/main', commit: 'a' }]);
  announcer.pushed([
    { ref: 'refs/tags/v1', commit: 't' },
    { ref: 'refs/heads/main', commit: 'b' },
  ]);
  await done.promise;
  await announcer.stop();
  expect(told.sort()).toEqual(['refs/heads/main b', 'refs/tags/v1 t']);
});
