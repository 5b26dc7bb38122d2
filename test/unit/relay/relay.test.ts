/** The relay as a whole, with a broker and a forge on loopback. */
import { createHmac } from 'node:crypto';
import { existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runRelay } from '../../../agent/fleet/relay/relay.ts';
import { parseSettings, readSettings } from '../../../agent/fleet/relay/settings.ts';
import { silentLog } from '../../../agent/log.ts';
import { systemClock } from '../../../agent/system/clock.ts';
import { type FakeBroker, startFakeBroker } from '../../fakes/broker.ts';
import { SAMPLES } from './samples.ts';

const outside = {
  ...{ clock: systemClock, log: silentLog, env: {}, secret: () => undefined, random: Math.random },
  listHosts: async () => null,
};
let broker: FakeBroker;
let dir = '';
beforeEach(async () => {
  broker = await startFakeBroker();
  dir = mkdtempSync(path.join(os.tmpdir(), 'fairlead-relay-'));
});
afterEach(() => broker.stop());

test('a push that GitHub reports reaches the topic that hosts subscribe to', async () => {
  const secretFile = path.join(dir, 'secret');
  writeFileSync(secretFile, 's');
  const sample = SAMPLES.find(({ forge, pushes }) => forge === 'github' && pushes[0]?.ref.startsWith('refs/heads/'));
  const settings = parseSettings(
    'relay.yaml',
    JSON.stringify({
      fleet: 'shop',
      mqtt: { url: broker.url },
      state: path.join(dir, 'state'),
      webhooks: { listen: '127.0.0.1:0', from: [{ forge: 'github', repository: sample?.repository, secretFile }] },
    }),
  );
  const ended = new AbortController();
  const listening = Promise.withResolvers<number>();
  const running = runRelay(
    { settings, file: 'relay.yaml', ...outside, onListening: ({ port }) => listening.resolve(port) },
    ended.signal,
  );
  const body = JSON.stringify(sample?.body);
  const signature = `sha256=${createHmac('sha256', 's').update(body).digest('hex')}`;
  const answer = await fetch(`http://127.0.0.1:${await listening.promise}/github`, {
    method: 'POST',
    body,
    headers: { ...sample?.headers, 'x-hub-signature-256': signature },
  });
  expect(answer.status).toBe(202);
  // Its end waits for pending messages.
  ended.abort();
  await running;
  const [push] = sample?.pushes ?? [];
  const topic = `fairlead/shop/refs/${encodeURIComponent(push?.ref.replace('refs/heads/', '') ?? '')}`;
  expect(broker.retained.get(topic)).toBe(push?.commit);
  expect(existsSync(path.join(dir, 'state/webhooks.json'))).toBe(true);
});

test('a port in use and wrong settings are reported with what to do', async () => {
  await expect(readSettings(path.join(dir, 'none'))).rejects.toThrow(
    /cannot read .*none: there is no such file; docs\/notify.md/,
  );
  const wrong = (text: string) => expect(() => parseSettings('relay.yaml', text));
  wrong('mqtt: {url: "mqtts://b"}\n').toThrow(/nothing to do: say `notify`, `statuses` or `webhooks`/);
  wrong('mqtt: {url: "mqtts://b"}\nnotify: []\nwebhook: {}\n').toThrow(/relay.yaml:3:1: .*`webhooks`/);
  wrong('mqtt: {url: "mqtt://b", passwordFile: /p}\nnotify: [{format: slack, urlFile: /u}]\n').toThrow(
    /without encryption/,
  );
  const people = 'mqtt: {url: "mqtts://b"}\nnotify: [{format: slack, urlFile: /u}]\n';
  wrong(`${people}hosts: {}\n`).toThrow(/takes one of `names`, `file` and `repo`/);
  wrong(`${people}hosts: {file: /f, repo: /r}\n`).toThrow(/takes one of `names`, `file` and `repo`/);
  wrong(`${people}hosts: {names: [Edge_1]}\n`).toThrow(/must be the name of a host/);
  expect(parseSettings('relay.yaml', `${people}hosts: {names: [edge-1]}\n`).hosts).toEqual({ names: ['edge-1'] });
  wrong(
    'mqtt: {url: "mqtts://b"}\nhosts: {file: /f}\nwebhooks: {from: [{forge: gitea, repository: a/b, secretFile: /s}]}\n',
  ).toThrow(/has no effect without `notify` or `statuses`/);
  const status = (more: string) => `mqtt: {url: "mqtts://b"}\nstatuses: [{tokenFile: /t, ${more}}]\n`;
  wrong(status('forge: bitbucket, repository: a/b')).toThrow(/must be github or gitlab or gitea/);
  wrong(status('forge: gitea, repository: a/b')).toThrow(/`url` is missing, which gitea needs/);
  wrong(status('forge: gitea, repository: a/b, url: "https://g", environment: x')).toThrow(/no effect for gitea/);
  wrong(status('forge: github, repository: a/b/c')).toThrow(/an owner and a name such as acme\/fleet/);
  wrong(status('forge: gitlab, repository: a/b, url: "http://git.example.com"')).toThrow(/the token/);
  wrong(status('forge: gitlab, repository: a/b, url: "https://u:p@g"')).toThrow(/must not carry a user or a password/);
  wrong(status('forge: gitlab, repository: a/b, link: "javascript:x"')).toThrow(/`link`/);
  wrong(status('forge: github, repository: a/b}, {forge: github, tokenFile: /u, repository: a/b')).toThrow(/twice/);
  const { statuses } = parseSettings('relay.yaml', status('forge: gitlab, repository: a/b/c, environment: production'));
  expect(statuses).toHaveLength(1);
  const hook = '{forge: gitea, repository: a/b, secretFile: /s}';
  wrong(`mqtt: {url: "mqtts://b"}\nwebhooks: {from: [${hook}, ${hook}]}\n`).toThrow(
    /is that of another one, too: \/gitea/,
  );
});
