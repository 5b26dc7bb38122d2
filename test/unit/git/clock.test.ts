/** A certificate that is refused because of its dates: either this host's clock is wrong, or the certificate is. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import type net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { AgentError } from '../../../agent/errors.ts';
import { createPuller } from './pull.ts';

const dir = mkdtempSync(path.join(os.tmpdir(), 'fairlead-clock-'));
const YEAR = 365 * 86_400_000;
const servers: https.Server[] = [];

const CA = `[ca]
default_ca=d
[d]
database=index
new_certs_dir=.
policy=p
default_md=sha256
rand_serial=yes
unique_subject=no
copy_extensions=copy
[p]
commonName=supplied
`;
const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: dir, stdio: 'ignore' });

beforeAll(() => {
  writeFileSync(path.join(dir, 'ca.conf'), CA);
  writeFileSync(path.join(dir, 'index'), '');
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  openssl('req', '-x509', ...ec, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=ca', '-days', '9000');
  openssl(
    ...['req', ...ec, '-keyout', 'key.pem', '-out', 'request'],
    ...['-subj', '/CN=git', '-addext', 'subjectAltName=IP:127.0.0.1'],
  );
});
afterAll(() => {
  for (const server of servers) server.close();
  rmSync(dir, { recursive: true, force: true });
});

/** A server whose certificate is valid from one year to another, and whose own date is years ahead of ours. */
async function failureAt({ from, to, years }: { from: number; to: number; years: number }): Promise<AgentError> {
  const days = ['-startdate', `${from}0101000000Z`, '-enddate', `${to}0101000000Z`];
  const ca = ['-config', 'ca.conf', '-cert', 'ca.pem', '-keyfile', 'ca.key'];
  openssl('ca', '-batch', ...ca, ...days, '-in', 'request', '-out', 'cert.pem');
  const [key, cert] = ['key.pem', 'cert.pem'].map((name) => readFileSync(path.join(dir, name)));
  const server = https.createServer({ key, cert }, (_request, response) => {
    response.setHeader('Date', new Date(Date.now() + years * YEAR).toUTCString());
    response.writeHead(404).end();
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  const puller = createPuller(dir, { url: `https://127.0.0.1:${port}/fleet.git`, ca: path.join(dir, 'ca.pem') });
  return puller.head().then(
    () => Promise.reject(new Error('it was trusted')),
    (thrown: AgentError) => thrown,
  );
}

test.each([
  ['is not valid yet', 2090, 2091, 64, /clock is 64 y behind the server's, so its certificate does not hold/],
  ['has expired', 2000, 2001, -26, /clock is 26 y ahead of the server's, so its certificate does not hold/],
])('a certificate that %s by a wrong clock is the clock’s fault', async (_what, from, to, years, message) => {
  expect(await failureAt({ from, to, years })).toMatchObject({
    code: 'ClockWrong',
    reach: 'here',
    message: expect.stringMatching(message),
  });
});

test.each([
  ['is not valid yet', 2090, 2091],
  ['has expired', 2000, 2001],
])('a certificate that %s by a right clock is the server’s fault', async (what, from, to) => {
  expect(await failureAt({ from, to, years: 0 })).toMatchObject({
    code: 'RepositoryUnreachable',
    message: expect.stringContaining(what),
  });
});
