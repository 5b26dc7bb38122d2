/** How the page of the fleet is served: to which clients, with which headers, and only its own files. */
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { settingsOf } from '../../../agent/dashboard/link/settings.ts';
import { linkText, noticeOf, unreachableText } from '../../../agent/dashboard/link/state.ts';
import { type PageConfig, writePage } from '../../../agent/fleet/page/files.ts';
import { policyFor } from '../../../agent/fleet/page/policy.ts';
import { type PageServer, servePage } from '../../../agent/fleet/page/server.ts';
import { NOW } from './rows.ts';

const dir = mkdtempSync(path.join(os.tmpdir(), 'fairlead-page-'));
writeFileSync(path.join(dir, 'index.html'), '<!doctype html>');
writeFileSync(path.join(dir, 'page-ABC.js'), 'export {};');
writeFileSync(path.join(dir, 'page-ABC.js.LEGAL.txt'), 'MIT');
const config: PageConfig = {
  schema: 1,
  broker: 'wss://broker.example.com:8884/mqtt',
  prefix: 'p',
  fleet: 'f',
  login: false,
};
let server: PageServer;

beforeAll(async () => {
  server = await servePage({ dir, config, listen: { host: '127.0.0.1', port: 0 }, names: ['fleet.example.com'] });
});
afterAll(() => server.stop());

/** Sends the path unchanged; `fetch` would normalize it. */
function ask(at: string, { host = '', method = 'GET' } = {}) {
  const { hostname, port, host: own } = new URL(server.url);
  return new Promise<{ status: number; headers: http.IncomingHttpHeaders; body: string }>((resolve, reject) => {
    const request = http.request({ hostname, port, path: at, method, headers: { host: host || own } }, (answer) => {
      let body = '';
      answer.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk;
      });
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body }));
    });
    request.on('error', reject).end();
  });
}

test('the page is served at / and may connect only to its broker', async () => {
  const { status, headers, body } = await ask('/');
  expect({ status, body }).toEqual({ status: 200, body: '<!doctype html>' });
  expect(headers['content-security-policy']).toContain("connect-src 'self' wss://broker.example.com:8884;");
  expect(headers['content-security-policy']).toContain("frame-ancestors 'none'");
  expect(headers['content-security-policy']).not.toContain('unsafe');
  expect(headers['x-content-type-options']).toBe('nosniff');
  expect(headers['referrer-policy']).toBe('no-referrer');
});

test('files with a hash in their name are cached by browsers, the page is not', async () => {
  expect((await ask('/page-ABC.js')).headers['cache-control']).toContain('immutable');
  expect((await ask('/')).headers['cache-control']).toBe('no-store');
});

test('config.json names the broker', async () => {
  const { body } = await ask('/config.json');
  expect(settingsOf(body)).toMatchObject({ broker: config.broker, prefix: 'p', fleet: 'f', hosts: null });
});

test.each(['/../package.json', '/%2e%2e/package.json', '//etc/passwd', '/page-ABC.js.LEGAL.txt', '/nothing'])(
  '%s is not a file of the page',
  async (at) => {
    expect((await ask(at)).status).toBe(404);
  },
);

test.each(['POST', 'PUT', 'DELETE', 'OPTIONS'])('%s is refused', async (method) => {
  expect((await ask('/', { method })).status).toBe(405);
});

describe('a host name that resolves to this address', () => {
  test.each(['evil.example.com', 'localhost.evil.example.com', '127.0.0.1.evil.example.com:80', ''])(
    '%j is not accepted',
    async (host) => {
      expect((await ask('/', host === '' ? {} : { host })).status).toBe(host === '' ? 200 : 421);
    },
  );

  test.each(['localhost:8080', '127.0.0.1', '[::1]:8080', '192.0.2.7:8080', 'Fleet.example.com:8080'])(
    '%s is accepted',
    async (host) => {
      expect((await ask('/', { host })).status).toBe(200);
    },
  );
});

test('an address in use is an error that says what to do', async () => {
  const port = Number(new URL(server.url).port);
  await expect(servePage({ dir, config, listen: { host: '127.0.0.1', port }, names: [] })).rejects.toThrow(
    /cannot listen at 127\.0\.0\.1:\d+: .*EADDRINUSE.*--listen/,
  );
});

test('a package without the page reports that', async () => {
  const empty = mkdtempSync(path.join(os.tmpdir(), 'fairlead-page-'));
  await expect(servePage({ dir: empty, config, listen: { host: '127.0.0.1', port: 0 }, names: [] })).rejects.toThrow(
    'holds no page; install the package again',
  );
});

test('the files of the page are written for another web server, with config.json', () => {
  const out = path.join(mkdtempSync(path.join(os.tmpdir(), 'fairlead-page-')), 'www');
  expect(writePage({ dir, config, out })).toEqual(['index.html', 'page-ABC.js', 'config.json']);
  expect(readdirSync(out).sort()).toEqual(['config.json', 'index.html', 'page-ABC.js']);
  expect(settingsOf(readFileSync(path.join(out, 'config.json'), 'utf8')).fleet).toBe('f');
});

test('a page on another server may connect to any broker, by a meta tag of its own', () => {
  expect(policyFor(null, 'meta')).toContain("connect-src 'self' ws: wss:;");
  expect(policyFor(null, 'meta')).not.toContain('frame-ancestors');
});

test('a config.json without a websocket makes the page ask for the broker', () => {
  expect(settingsOf('{"broker":"javascript:alert(1)"}')).toMatchObject({
    broker: '',
    prefix: 'fairlead',
    fleet: 'default',
  });
});

test('a lost connection shows the age of the data', () => {
  const lost = { kind: 'lost', since: NOW - 180_000, why: 'It closed the connection.', again: NOW + 4_000 } as const;
  expect(noticeOf(lost, NOW)).toBe(
    'No connection to the broker since 3 min ago: what you see is as old as that. It closed the connection. Tried again in 4 s.',
  );
  expect(linkText(lost, 3)).toBe('connection lost');
  expect(noticeOf({ kind: 'live', since: NOW }, NOW)).toBe('');
});

test('if a broker is unreachable over TLS, the page suggests a client certificate, which browsers request only on a page load', () => {
  expect(unreachableText('ws://broker:9001')).toBe('The broker at ws://broker:9001 cannot be reached.');
  expect(unreachableText('wss://broker:8884/mqtt')).toContain('open https://broker:8884/mqtt once');
});
