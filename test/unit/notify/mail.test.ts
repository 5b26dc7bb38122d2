/** Mail, to a real SMTP server on loopback. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import { afterEach, expect, test } from 'vitest';
import { createDelivery } from '../../../agent/notify/deliver.ts';
import type { Parcel } from '../../../agent/notify/model/text.ts';
import type { Destination } from '../../../manifests-schema/notify.ts';

const servers: SMTPServer[] = [];
afterEach(() => Promise.all(servers.splice(0).map((server) => new Promise<void>((resolve) => server.close(resolve)))));

async function listen(options: SMTPServerOptions = {}): Promise<{ url: string; mails: string[]; logins: string[] }> {
  const mails: string[] = [];
  const logins: string[] = [];
  const server = new SMTPServer({
    disabledCommands: ['STARTTLS'],
    authOptional: true,
    allowInsecureAuth: true,
    onAuth({ username, password }, _session, done) {
      logins.push(`${username}:${password}`);
      done(null, { user: username });
    },
    onData(stream, _session, done) {
      const parts: Buffer[] = [];
      stream.on('data', (part: Buffer) => parts.push(part));
      stream.on('end', () => {
        mails.push(Buffer.concat(parts).toString());
        done();
      });
    },
    ...options,
  });
  // A connection that the client closes is not a fault of the server.
  server.on('error', () => undefined);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `smtp://127.0.0.1:${(server.server.address() as AddressInfo).port}`, mails, logins };
}

const parcel: Parcel = {
  ...{ id: 'edge-1-x-1', fleet: 'shop', dropped: 0, now: new Date('2026-11-24T08:00:00Z') },
  messages: [
    {
      ...{ id: 'edge-1-x-1', at: '2026-11-24T08:00:00.000Z', occasion: 'recovered', hosts: ['edge-1'], hostsTotal: 1 },
      ...{ brief: null, example: '' },
    },
  ],
};
const send = (given: Partial<Destination>, timeoutMs = 20_000) =>
  createDelivery({
    destination: {
      format: 'mail',
      on: ['failed'],
      from: 'fairlead@example.com',
      to: ['ops@example.com'],
      ...given,
    } as Destination,
    ...{ env: {}, secret: () => undefined, timeoutMs },
  })(parcel, new AbortController().signal);

test('a mail has a subject, a text, a stable message id, and a header that marks it as automatic', async () => {
  const { url, mails } = await listen();
  expect(await send({ url, to: ['ops@example.com', 'night@example.com'] })).toEqual({ kind: 'done' });
  const [mail = ''] = mails;
  expect(mail).toMatch(/^Subject: edge-1 is well again\r$/m);
  expect(mail).toMatch(/^To: ops@example.com, night@example.com\r$/m);
  expect(mail).toMatch(/^Message-ID: <edge-1-x-1@example.com>\r$/m);
  expect(mail).toMatch(/^Auto-Submitted: auto-generated\r$/m);
  expect(mail).toContain('Fleet shop, 2026-11-24 08:00 UTC');
});

test('the login is the one in the file', async () => {
  const passwordFile = path.join(mkdtempSync(path.join(os.tmpdir(), 'fairlead-mail-')), 'password');
  writeFileSync(passwordFile, 'p4ss\n');
  const { url, logins } = await listen();
  await send({ url, username: 'edge', passwordFile });
  expect(logins).toEqual(['edge:p4ss']);
});

test('a server that refuses the recipient ends the message, a busy one is asked again', async () => {
  const no = (responseCode: number) =>
    listen({ onRcptTo: (_address, _session, done) => done(Object.assign(new Error('no'), { responseCode })) });
  expect(await send({ url: (await no(550)).url })).toMatchObject({ kind: 'unfit' });
  expect(await send({ url: (await no(451)).url })).toMatchObject({ kind: 'again' });
});

test('a refused login waits for an operator', async () => {
  const passwordFile = path.join(mkdtempSync(path.join(os.tmpdir(), 'fairlead-mail-')), 'password');
  writeFileSync(passwordFile, 'p4ss\n');
  const { url } = await listen({
    onAuth: (_auth, _session, done) => done(Object.assign(new Error('no'), { responseCode: 535 })),
  });
  const delivery = await send({ url, username: 'edge', passwordFile });
  expect(delivery).toMatchObject({ kind: 'refused' });
  expect(JSON.stringify(delivery)).not.toContain('p4ss');
});

test('a silent server is given up', async () => {
  const { url } = await listen({ onConnect: () => undefined });
  expect(await send({ url }, 100)).toMatchObject({ kind: 'again' });
});
