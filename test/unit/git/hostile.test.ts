/**
 * What a bad network, a bad server or a thief of the server can do to a fetch. Every wait ends, every attack has an error of its
 * own.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import zlib from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { packet } from '../../../agent/git/wire/packet.ts';
import type { Limits } from '../../../agent/git/wire/remote.ts';
import { failOnStalls } from '../../stall.ts';
import { type Backend, createFixture, type Fixture, git, scratch, startBackend } from './backend.ts';
import { blob, chainPack, packAnswer, packOf } from './packs.ts';
import { createPuller, failure, texts } from './pull.ts';

let root: string;
let backend: Backend;
let fixture: Fixture;
let commit: string;
let count = 0;
const closers: (() => void)[] = [];

failOnStalls();

beforeAll(async () => {
  root = scratch();
  backend = await startBackend(root);
  fixture = createFixture(root);
  commit = fixture.commit({ 'hosts/edge-1/f': 'hello\n', 'hosts/edge-2/f': 'x'.repeat(50_000) });
});
afterEach(() => {
  backend.intercept(null);
  for (const close of closers.splice(0)) close();
});
afterAll(async () => {
  await backend.stop();
  rmSync(root, { recursive: true, force: true });
});

/** For a server that is known to delay its answers; no other test depends on how fast this machine is. */
const withLimits = (limits: Partial<Limits>) => ({ limits });
const host = (more: Partial<Parameters<typeof createPuller>[1]> = {}) =>
  createPuller(path.join(root, `host-${++count}`), { url: backend.url('fleet.git'), ...more });
const isFetch = (request: http.IncomingMessage) => request.method === 'POST' && !isRefs(request);
const isRefs = (request: http.IncomingMessage) => Number(request.headers['content-length'] ?? 0) < 150;

async function listen(server: http.Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** Answers the fetch, or every request, in place of the server. */
const answering = (bytes: Uint8Array | string, headers: http.OutgoingHttpHeaders = {}, status = 200) =>
  backend.intercept((request, response) => {
    if (!isFetch(request)) return false;
    response.writeHead(status, { 'content-type': 'application/x-git-upload-pack-result', ...headers }).end(bytes);
    return true;
  });
test('a server that never answers, and one that stops in the middle, time out', async () => {
  backend.intercept(() => true);
  expect(await failure(host(withLimits({ answer: 300 })).pull())).toMatch(
    /RepositoryUnreachable: .*no answer within 0.3 s/,
  );
  backend.intercept((_, response) => {
    response.writeHead(200, { 'content-type': 'application/x-git-upload-pack-advertisement' });
    response.write('001e# service');
    return true;
  });
  expect(await failure(host(withLimits({ stall: 300 })).pull())).toMatch(
    /RepositoryUnreachable: .*stalled: nothing came for 0.3 s/,
  );
});

test('a server that trickles bytes is abandoned at the overall limit', async () => {
  backend.intercept((_, response) => {
    response.writeHead(200, { 'content-type': 'application/x-git-upload-pack-advertisement' });
    response.write('f000');
    const timer = setInterval(() => response.write('x'), 20);
    response.on('close', () => clearInterval(timer));
    return true;
  });
  expect(await failure(host(withLimits({ refs: 1_000 })).pull())).toMatch(
    /RepositoryUnreachable: .*did not finish within 1 s/,
  );
});

test('a pull reports its progress, so that a slow one is not taken for one that hangs', async () => {
  const received = vi.fn();
  await host({ received }).pull();
  expect(received).toHaveBeenCalled();
});

test('answers that are truncated, in the middle of a packet or of the pack, are errors', async () => {
  backend.intercept((request, response) => {
    if (!isFetch(request)) return false;
    response.writeHead(200, { 'content-type': 'application/x-git-upload-pack-result', 'content-length': 5_000 });
    response.write(packet('packfile\n'));
    setTimeout(() => response.destroy(), 20);
    return true;
  });
  expect(await failure(host().pull())).toMatch(/RepositoryUnreachable: .*cut short/);
  answering(packAnswer(packOf([blob('x')])).subarray(0, -6));
  expect(await failure(host().pull())).toMatch(/ProtocolError: .*(too early|middle of a packet)/);
});

test('connection resets and refused connections are errors', async () => {
  backend.intercept((request) => {
    request.socket.destroy();
    return true;
  });
  expect(await failure(host().pull())).toMatch(/RepositoryUnreachable: .*(reset|hang up)/);
  expect(await failure(host({ url: 'http://127.0.0.1:9/fleet.git' }).pull())).toMatch(
    /RepositoryUnreachable: .*nothing listens there/,
  );
});

test('a kept-alive connection that the server closed is reopened transparently', async () => {
  const one = host();
  await one.pull();
  const sockets = new Set<unknown>();
  let first = true;
  backend.intercept((request) => {
    sockets.add(request.socket);
    if (!first) return false;
    first = false;
    request.socket.destroy();
    return true;
  });
  expect(await one.head()).toBe(commit);
  expect(sockets.size).toBe(2);
});

test.each(['gzip', 'br', 'deflate'])(
  'an answer with the unrequested encoding %s is not decompressed',
  async (encoding) => {
    answering(zlib.gzipSync(Buffer.alloc(50_000_000)), { 'content-encoding': encoding });
    expect(await failure(host().pull())).toMatch(
      /RepositoryUnreachable: .*its answer is compressed \((gzip|br|deflate)\), which was not asked for/,
    );
  },
);

/** The answer to a poll: whatever it is, it is read up to its budget, and no further. */
async function poll(line: string, times: number, options: Partial<Parameters<typeof createPuller>[1]> = {}) {
  let sent = 0;
  backend.intercept((request, response) => {
    if (request.method !== 'POST' || isFetch(request)) return false;
    response.writeHead(200, { 'content-type': 'application/x-git-upload-pack-result' });
    const some = Buffer.concat(Array.from({ length: 100 }, () => packet(line)));
    const more = () => {
      while (sent < times && !response.destroyed) {
        sent += 100;
        if (!response.write(some)) return void response.once('drain', more);
      }
      response.end('0000');
    };
    more();
    return true;
  });
  const said = await failure(host(options).head());
  return { said, sent };
}

test.each<[string, string, Partial<Parameters<typeof createPuller>[1]>, RegExp]>([
  [
    'refs with a common prefix',
    `${'a'.repeat(40)} refs/heads/main-${'x'.repeat(100)}`,
    {},
    /more refs than fit into 256 KiB/,
  ],
  [
    'refs with long names',
    `${'a'.repeat(40)} refs/heads/main-${'x'.repeat(60_000)}`,
    {},
    /more refs than fit into 256 KiB/,
  ],
  ['tags for a pattern', `${'a'.repeat(40)} refs/tags/v1.0.0`, { ref: 'v1.*' }, /more refs than fit into 4096 KiB/],
  ['empty lines', 'unborn HEAD', {}, /more refs than fit into 256 KiB/],
])('a poll that is answered with a million %s is aborted', async (_, line, options, expected) => {
  const { said, sent } = await poll(line, 1_000_000, options);
  expect(said).toMatch(/^FetchOverBudget/);
  expect(said).toMatch(expected);
  expect(sent).toBeLessThan(1_000_000);
});

test('a server that never ends its capabilities or its refs is aborted', async () => {
  const endless = (first: string, line: string) =>
    backend.intercept((request, response) => {
      if (request.method === 'POST' && first === '') return false;
      const type = request.method === 'GET' ? 'advertisement' : 'result';
      response.writeHead(200, { 'content-type': `application/x-git-upload-pack-${type}` });
      response.write(first);
      const some = Buffer.concat(Array.from({ length: 200 }, () => packet(line)));
      const more = () => {
        while (!response.destroyed) if (!response.write(some)) return void response.once('drain', more);
      };
      more();
      return true;
    });
  endless('', `x${'y'.repeat(1_000)}=z`);
  const service = Buffer.concat([packet('# service=git-upload-pack\n'), Buffer.from('0000')]).toString();
  endless(`${service}${Buffer.from(packet('version 2')).toString()}`, `capability-${'y'.repeat(1_000)}=z`);
  expect(await failure(host().pull())).toMatch(/^FetchOverBudget: .*says more than 64 KiB/);
  endless(service, `${'a'.repeat(40)} refs/heads/${'y'.repeat(200)}`);
  expect(await failure(host().pull())).toMatch(/^FetchOverBudget: .*more refs than fit into 4096 KiB/);
  endless(Buffer.from(packet('acknowledgments')).toString(), `ACK ${'a'.repeat(40)}`);
  expect(await failure(host({ ref: commit }).pull())).toMatch(/^FetchOverBudget: .*says more than 64 KiB/);
});

test('refs with names that git does not create are ignored', async () => {
  const names = ['refs/tags/v1.8.0', 'refs/tags/v1.9.0\x1b[2J', `refs/tags/v2.0.0-${'0'.repeat(300)}`];
  backend.intercept((request, response) => {
    if (request.method !== 'POST' || isFetch(request)) return false;
    response.writeHead(200, { 'content-type': 'application/x-git-upload-pack-result' });
    response.end(
      Buffer.concat([
        ...names.map((name, at) => packet(`${at === 0 ? commit : 'b'.repeat(40)} ${name}\n`)),
        Buffer.from('0000'),
      ]),
    );
    return true;
  });
  expect(await failure(host({ ref: 'v2.0.0-*' }).head())).toMatch(/RefNotFound/);
  expect(await host({ ref: 'v*' }).head()).toBe(commit);
});

test('progress and keep-alives, which were not requested, are ignored', async () => {
  const chatter = [packet('\x02Counting objects: 12%\r'), packet('\x01'), packet('\x02remote: \x1b[31mwelcome\n')];
  let told = 0;
  const port = await listen(
    http.createServer((request, response) => {
      const upstream = http.request(`${backend.url('')}${request.url?.slice(1)}`, {
        ...{ method: request.method, headers: request.headers },
      });
      request.pipe(upstream);
      upstream.on('response', async (answer) => {
        const body = Buffer.concat(await answer.toArray());
        const at = body.indexOf('packfile\n') + 'packfile\n'.length;
        response.writeHead(answer.statusCode ?? 0, { 'content-type': answer.headers['content-type'] });
        if (at < 9) return response.end(body);
        told++;
        response.end(
          Buffer.concat([body.subarray(0, at), ...chatter, body.subarray(at, -4), ...chatter, body.subarray(-4)]),
        );
      });
    }),
  );
  const one = host({ url: `http://127.0.0.1:${port}/fleet.git` });
  expect(texts((await one.pull()).checkout)).toEqual({ 'hosts/edge-1/f': 'hello\n' });
  expect([told > 1, one.log]).toEqual([true, []]);
});

test('redirects are followed, and no credential is sent to another host', async () => {
  const passwordFile = path.join(root, 'password');
  writeFileSync(passwordFile, 'hunter2\n');
  const seen: (string | undefined)[] = [];
  backend.intercept((request) => {
    seen.push(request.headers.authorization);
    return false;
  });
  const asked: (string | undefined)[] = [];
  const port = await listen(
    http.createServer((request, response) => {
      asked.push(`${request.method} ${request.headers.authorization}`);
      response.writeHead(302, { location: `${backend.url('')}${request.url?.slice(1)}` }).end('moved');
    }),
  );
  const { checkout } = await host({
    url: `http://127.0.0.1:${port}/fleet.git`,
    auth: { username: 'ann', passwordFile },
  }).pull();
  expect(checkout?.info.commit).toBe(commit);
  // A request with a body is not redirected: the client first asks the server where the repository is, and is redirected there.
  expect(asked).toEqual(
    ['POST', 'GET'].map((method) => `${method} Basic ${Buffer.from('ann:hunter2').toString('base64')}`),
  );
  expect(seen.length).toBeGreaterThan(2);
  expect(seen.filter(Boolean)).toEqual([]);

  backend.intercept((request, response) => {
    response.writeHead(302, { location: request.url }).end();
    return true;
  });
  expect(await failure(host().pull())).toMatch(/redirects more than 5 times/);
  backend.intercept((_, response) => {
    response.writeHead(301, { location: 'file:///etc/passwd' }).end();
    return true;
  });
  expect(await failure(host().pull())).toMatch(/redirects to what is no web address/);
});

test('a redirect to anything but a git repository is not followed, and nothing of its response is used', async () => {
  const seen: string[] = [];
  const stranger = await listen(
    http.createServer((request, response) => {
      seen.push(`${request.method} ${request.url}`);
      response.writeHead(500, { 'content-type': 'text/plain' }).end('secret of the cloud');
    }),
  );
  const to = (where: string) =>
    backend.intercept((_, response) => {
      response.writeHead(307, { location: `http://127.0.0.1:${stranger}${where}` }).end();
      return true;
    });
  to('/latest/meta-data');
  expect(await failure(host().pull())).toMatch(/it redirects to what is no git repository/);
  expect(seen).toEqual([]);
  to('/x.git/info/refs?service=git-upload-pack');
  const said = await failure(host().pull());
  expect(said).toMatch(/answered 500 \(from http:\/\/127.0.0.1:\d+\)/);
  expect(said).not.toContain('secret');
  expect([...new Set(seen)]).toEqual(['GET /x.git/info/refs?service=git-upload-pack']);
  seen.length = 0;
  // If the server is at its own address, no request is sent elsewhere.
  backend.intercept((request, response) => {
    if (request.method !== 'POST') return false;
    response.writeHead(307, { location: `http://127.0.0.1:${stranger}/x.git/git-upload-pack` }).end();
    return true;
  });
  expect(await failure(host().pull())).toMatch(/it redirects what is sent to it/);
  expect(seen).toEqual([]);
});

test('a refusal of the server is reported with the credential that was used, never with its content', async () => {
  const tokenFile = path.join(root, 'token');
  writeFileSync(tokenFile, 'one');
  const given: (string | undefined)[] = [];
  backend.intercept((request, response) => {
    given.push(request.headers.authorization);
    response.writeHead(401, { 'content-type': 'text/plain' }).end('token \x1b[31mexpired\non Monday');
    return true;
  });
  const one = host({ auth: { tokenFile } });
  const said = await failure(one.pull());
  expect(said).toMatch(
    /^AuthenticationFailed: .*answered 401 \(token \[31mexpired on Monday\)\. Used: user x-access-token with the token in .*token; check/,
  );
  writeFileSync(tokenFile, 'two');
  await failure(one.pull());
  expect(given).toEqual(['one', 'two'].map((t) => `Basic ${Buffer.from(`x-access-token:${t}`).toString('base64')}`));
  expect(await failure(host({ auth: { bearerFile: tokenFile } }).pull())).toMatch(/Used: the bearer token in/);
  expect(given.at(-1)).toBe('Bearer two');
  expect(await failure(host().pull())).toMatch(/Used: no credential/);
  expect(await failure(host({ auth: { tokenFile: '/nowhere' } }).pull())).toMatch(
    /AuthenticationFailed: .*\/nowhere cannot be read: there is no such file/,
  );
  expect(said + one.log.join()).not.toMatch(/one|two/);
});

test('a password in the url is refused, because it would be logged', () => {
  expect(() => host({ url: 'https://ann:hunter2@example.com/x.git' })).toThrow(/must not carry a password/);
  expect(() => host({ url: 'ftp://example.com/x.git' })).toThrow(/of no kind that fairlead knows/);
});

test('a web page in place of git, and errors of the server', async () => {
  backend.intercept((_, response) => {
    response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>Please log in to the hotel</h1>');
    return true;
  });
  expect(await failure(host().pull())).toMatch(/RepositoryUnreachable: .*the answer is text\/html, not git/);
  git(fixture.dir, 'update-server-info');
  const dumb = await listen(
    http.createServer((request, response) => {
      const file = path.join(fixture.dir, new URL(request.url ?? '', 'http://x').pathname.replace('/fleet.git/', ''));
      if (request.method === 'GET' && existsSync(file)) response.end(readFileSync(file));
      else response.writeHead(request.method === 'GET' ? 404 : 405).end();
    }),
  );
  expect(await failure(host({ url: `http://127.0.0.1:${dumb}/fleet.git` }).pull())).toMatch(
    /RepositoryUnreachable: cannot read http:\/\/127.0.0.1:\d+\/fleet.git: the server only hands out files/,
  );
  answering('overloaded', { 'content-type': 'text/plain' }, 503);
  expect(await failure(host().pull())).toMatch(/RepositoryUnreachable: .*it answered 503 \(overloaded\)/);
  answering(Buffer.concat([packet('packfile\n'), packet('\x03no space left'), Buffer.from('0000')]));
  expect(await failure(host().pull())).toMatch(/ServerError: the git server answered: no space left/);
});

test.each([
  ['a pack with another object', () => packOf([blob('unasked')]), /did not send commit/],
  [
    'a pack with a wrong checksum',
    () => Buffer.concat([packOf([blob('x')]).subarray(0, -1), Buffer.from([7])]),
    /checksum is wrong/,
  ],
  ['a pack with fewer objects than announced', () => packOf([blob('x')], 2), /fewer objects than it says/],
  ['a pack with more content than announced', () => packOf([blob('x'), blob('y')], 1), /more in it than it says/],
  [
    'an object of another size than announced',
    () => packOf([{ claims: 4, content: Buffer.from('12345') }]),
    /cannot be inflated/,
  ],
  ['an object of four gigabytes', () => packOf([{ claims: 2 ** 32, content: Buffer.from('x') }]), /object of 4096 MiB/],
  [
    'a few bytes that inflate to many',
    () => packOf([{ claims: 10, content: Buffer.alloc(20_000_000) }]),
    /cannot be inflated .*larger than 11 bytes/,
  ],
  ['bytes that are no pack', () => Buffer.alloc(100, 7), /no pack/],
  [
    'a pack of four million objects',
    () => packOf([], 4_000_000),
    /FetchOverBudget: .*4000000 objects; .* 200000 at most/,
  ],
  [
    'a few bytes that expand to gigabytes, delta upon delta',
    () => chainPack(Buffer.alloc(20 * 1024 * 1024, 'A'), 300),
    /FetchOverBudget: .*more than 1024 MiB when all in it is inflated/,
  ],
  ['an endless chain of deltas', () => chainPack(Buffer.from('A'), 300), /FetchOverBudget: .*more than 128 deep/],
])('%s changes nothing', async (_, pack, expected) => {
  answering(packAnswer(pack()));
  const one = host();
  expect(await failure(one.pull())).toMatch(expected);
  backend.intercept(null);
  expect((await one.pull()).checkout?.info.commit).toBe(commit);
  expect(existsSync(path.join(one.gitdir, 'incoming'))).toBe(false);
});

describe('a large file that is fetched alone', () => {
  const size = 2_000_000;
  const content = Buffer.alloc(size, 'not to be shrunk? it is, but it is large all the same. ');
  const large = { claims: size, content };
  /** Answers the request for the file itself; every other request goes to the real server. */
  const answeringLarge = (answer: (response: http.ServerResponse) => void) => {
    let posts = 0;
    backend.intercept((request, response) => {
      if (request.method !== 'POST' || ++posts < 4) return false;
      response.writeHead(200, { 'content-type': 'application/x-git-upload-pack-result' });
      answer(response);
      return true;
    });
  };
  let before: string;
  beforeAll(() => {
    before = commit;
    commit = fixture.commit({ 'hosts/edge-1/large': content.toString() });
  });
  afterAll(() => {
    commit = before;
    git(fixture.work, 'reset', '-q', '--hard', before);
  });
  /** The directory of large files, and of parts of them. */
  const kept = (dir: string) => ['objects/large', 'incoming'].filter((name) => existsSync(path.join(dir, name)));
  /** Created before the tests: these measure the turns of the event loop, and creating these packs is the tests' own work. */
  const packs = {
    half: packAnswer(packOf([large])).subarray(0, 3_000),
    another: packAnswer(packOf([{ ...large, content: Buffer.alloc(size, 7) }])),
    tree: packAnswer(packOf([{ ...large, type: 2 }])),
    two: packAnswer(packOf([large, blob('x')])),
  };

  test.each<[string, (response: http.ServerResponse) => void, RegExp]>([
    ['cut in the middle', (r) => r.end(packs.half), /ProtocolError: .*(too early|middle of a packet|cut)/],
    ['cut by a lost connection', (r) => r.write(packs.half, () => r.destroy()), /RepositoryUnreachable: .*cut short/],
    ['with other content', (r) => r.end(packs.another), /something else than object/],
    ['of type tree', (r) => r.end(packs.tree), /something else than object/],
    ['with another object beside it', (r) => r.end(packs.two), /something else than object/],
    ['that is missing', (r) => r.end(packAnswer(packOf([]))), /something else than object/],
    [
      'that inflates to more than announced',
      (r) => r.end(packAnswer(packOf([{ claims: 1_000_000, content }]))),
      /larger than announced/,
    ],
    [
      'that inflates to less than announced',
      (r) => r.end(packAnswer(packOf([{ claims: 3_000_000, content }]))),
      /smaller than announced/,
    ],
    [
      'with an announced size of four gigabytes',
      (r) => r.end(packAnswer(packOf([{ claims: 2 ** 32, content }]))),
      /InvalidRepository: hosts\/edge-1\/large has 4294967296 bytes; payload files may have 64 MiB/,
    ],
  ])('%s changes nothing', async (_, answer, expected) => {
    // biome-ignore format: a table
    answeringLarge(answer);
    const one = host();
    expect(await failure(one.pull())).toMatch(expected);
    expect(kept(one.gitdir)).toEqual([]);
    backend.intercept(null);
    expect((await one.pull()).checkout?.files.get('hosts/edge-1/large')).toEqual(content);
  });

  test('that stalls is abandoned, and its received part is deleted', async () => {
    answeringLarge((response) => response.write(packs.half));
    const one = host(withLimits({ stall: 300 }));
    expect(await failure(one.pull())).toMatch(/RepositoryUnreachable: .*stalled/);
    expect(kept(one.gitdir)).toEqual([]);
  });

  test('of more than 64 MiB is refused by name before it was received', async () => {
    const heavy = fixture.commit({ 'hosts/edge-1/heavy': 'x'.repeat(64 * 1024 * 1024 + 1) });
    const one = host();
    expect(await failure(one.pull())).toMatch(
      /^InvalidRepository: hosts\/edge-1\/heavy has 67108865 bytes; payload files may have 64 MiB at most/,
    );
    expect(await one.head()).toBe(heavy);
    git(fixture.work, 'reset', '-q', '--hard', commit);
  });
});

test('after a long absence only the commits are fetched if their directories are too large', async () => {
  const one = host();
  await one.pull();
  const next = fixture.commit({ 'hosts/edge-1/f': 'later\n' });
  let refused = 0;
  backend.intercept((request, response) => {
    // The first request asks for the directories of each commit, too.
    if (!isFetch(request) || refused > 0) return false;
    refused++;
    response.writeHead(200, { 'content-type': 'application/x-git-upload-pack-result' });
    response.end(packAnswer(packOf([], 300_000)));
    return true;
  });
  const { checkout } = await one.pull();
  expect([checkout?.info.commit, texts(checkout)['hosts/edge-1/f'], refused]).toEqual([next, 'later\n', 1]);
  git(fixture.work, 'reset', '-q', '--hard', commit);
});

test("a head that does not exist is reported with the server's answer", async () => {
  backend.intercept((request, response) => {
    if (request.method !== 'POST' || isFetch(request)) return false;
    response.writeHead(200, { 'content-type': 'application/x-git-upload-pack-result' });
    response.end(Buffer.concat([packet(`${'e'.repeat(40)} refs/heads/main\n`), Buffer.from('0000')]));
    return true;
  });
  expect(await failure(host().pull())).toMatch(/ServerError: .*not our ref/);
});

test('an abort ends the fetch at once', async () => {
  backend.intercept(() => true);
  const { createSource } = await import('../../../agent/git/source.ts');
  const { silentLog } = await import('../../../agent/log.ts');
  const source = createSource({
    ...{ url: backend.url('fleet.git'), ref: 'main', path: 'hosts/edge-1', gitdir: path.join(root, 'stop'), env: {} },
    ...{ log: silentLog, exec: async () => ({ code: 1, stdout: '', stderr: '' }), limits: { answer: 60_000 } },
  });
  expect(await failure(source.head(AbortSignal.timeout(50)))).toMatch(/^Stopped/);
});

test('https: a private CA, client certificates, and no downgrade to http', async () => {
  const dir = scratch();
  closers.push(() => rmSync(dir, { recursive: true, force: true }));
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: dir, stdio: 'ignore' });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  openssl('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=ca', '-days', '2');
  for (const name of ['server', 'client']) {
    openssl('req', ...key, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
    writeFileSync(path.join(dir, 'ext'), 'subjectAltName=IP:127.0.0.1\n');
    openssl('x509', '-req', '-in', `${name}.csr`, '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-out', `${name}.pem`, '-extfile', 'ext', '-days', '2'); // biome-ignore format: argv
  }
  const file = (name: string) => path.join(dir, name);
  const read = (name: string) => readFileSync(file(name));
  let downgrade = false;
  const port = await listen(
    https.createServer(
      { cert: read('server.pem'), key: read('server.key'), ca: read('ca.pem'), requestCert: true },
      (request, response) => {
        if (downgrade) return void response.writeHead(302, { location: backend.url('fleet.git') }).end();
        const upstream = http.request(`${backend.url('')}${request.url?.slice(1)}`, {
          method: request.method,
          headers: request.headers,
        });
        request.pipe(upstream);
        upstream.on('response', (answer) => {
          response.writeHead(answer.statusCode ?? 0, answer.headers);
          answer.pipe(response);
        });
      },
    ),
  );
  const url = `https://127.0.0.1:${port}/fleet.git`;
  expect(await failure(host({ url }).pull())).toMatch(/RepositoryUnreachable: .*not trusted here; name it in repo.ca/);
  expect(await failure(host({ url, ca: file('ca.pem') }).pull())).toMatch(
    /RepositoryUnreachable: .*it wants a client certificate/,
  );
  const trusted = { url, ca: file('ca.pem'), cert: file('client.pem'), key: file('client.key') };
  expect((await host(trusted).pull()).checkout?.info.commit).toBe(commit);
  expect(await failure(host({ ...trusted, ca: file('none.pem') }).pull())).toMatch(
    /none.pem cannot be read: there is no such file/,
  );
  downgrade = true;
  expect(await failure(host(trusted).pull())).toMatch(/redirects to http:\/\/127.0.0.1:\d+, without encryption/);
});

test('proxy variables are used, with their exceptions', async () => {
  const asked: string[] = [];
  const port = await listen(
    http.createServer((request, response) => {
      asked.push(request.url ?? '');
      const upstream = http.request(request.url ?? '', { method: request.method, headers: request.headers });
      request.pipe(upstream);
      upstream.on('response', (answer) => {
        response.writeHead(answer.statusCode ?? 0, answer.headers);
        answer.pipe(response);
      });
    }),
  );
  const env = { http_proxy: `http://127.0.0.1:${port}` };
  expect((await host({ env }).pull()).checkout?.info.commit).toBe(commit);
  expect(asked.length).toBeGreaterThan(2);
  expect(asked.every((url) => url.startsWith(backend.url('fleet.git')))).toBe(true);
  const before = asked.length;
  await host({ env: { ...env, NO_PROXY: '127.0.0.1' } }).pull();
  expect(asked).toHaveLength(before);
});
