/** `fairlead doctor` as it is installed, from the bundle: its results about the clock, over http and over https. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import type net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { doctorDocument } from '../../manifests-schema/documents.ts';
import { ensurePrograms } from '../lab/packages.ts';
import { run } from '../lab/run.ts';

const MAIN = path.join(import.meta.dirname, '../../dist/fairlead.cjs');
const dir = mkdtempSync(path.join(os.tmpdir(), 'fairlead-doctor-'));
const HOUR = 3_600_000;

let servers: Record<'http' | 'https', http.Server>;
/** How far ahead of this machine the servers are. */
let ahead = 0;
let saysDate = true;

beforeAll(async () => {
  await ensurePrograms({ openssl: 'openssl' });
  const [key, cert] = [path.join(dir, 'key'), path.join(dir, 'cert')];
  const names = ['-subj', '/CN=git', '-keyout', key, '-out', cert];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', ...names], {
    stdio: 'ignore',
  });
  const answer: http.RequestListener = (_request, response) => {
    response.sendDate = false;
    if (saysDate) response.setHeader('Date', new Date(Date.now() + ahead).toUTCString());
    response.writeHead(404).end();
  };
  const secret = { key: readFileSync(key), cert: readFileSync(cert) };
  servers = { http: http.createServer(answer), https: https.createServer(secret, answer) };
  for (const server of Object.values(servers))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterAll(() => {
  for (const server of Object.values(servers)) server.close();
  rmSync(dir, { recursive: true, force: true });
});

async function clockFinding(scheme: 'http' | 'https') {
  const { port } = servers[scheme].address() as net.AddressInfo;
  mkdirSync(path.join(dir, 'etc/fairlead'), { recursive: true });
  writeFileSync(
    path.join(dir, 'etc/fairlead/agent.yaml'),
    `host: h\nrepo: {url: "${scheme}://127.0.0.1:${port}/fleet.git"}\n`,
  );
  const { stdout } = await run([process.execPath, MAIN, 'doctor', '--root', dir, '--json'], { check: false });
  return doctorDocument.parse(JSON.parse(stdout)).findings.find(({ name }) => name === 'clock');
}

test.each(['http', 'https'] as const)(
  'a clock that agrees with the git server over %s is reported as right',
  async (scheme) => {
    ahead = 0;
    expect(await clockFinding(scheme)).toMatchObject({ ok: true, message: 'agrees with the git server’s' });
  },
);

test.each(['http', 'https'] as const)(
  'a clock that is hours behind the git server over %s is reported as wrong',
  async (scheme) => {
    ahead = 3 * HOUR;
    expect(await clockFinding(scheme)).toMatchObject({
      ok: false,
      message: expect.stringMatching(/^is 3 h behind the git server’s/),
      fix: expect.stringContaining('timedatectl set-ntp true'),
    });
  },
);

test('doctor exits with 0 if nothing failed and the clock could not be compared, and prints that', async () => {
  saysDate = false;
  const { stdout } = await run([process.execPath, MAIN, 'doctor', '--root', dir], { check: false });
  expect(stdout).toMatch(/^\? {5}clock +could not be checked/m);
});

test('a clock that could not be compared is not reported as right', async () => {
  saysDate = false;
  expect(await clockFinding('http')).toMatchObject({
    ok: true,
    unknown: true,
    message: 'could not be checked: the git server did not say what time it is',
  });
});
