/** Which broker a command uses: flags, environment, contexts and agent.yaml, in this order, and which settings are refused. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { AgentConfig } from '../../agent/config.ts';
import { chooseBroker } from '../../agent/fleet/contexts.ts';

let home: string;
let file: string;
beforeEach(() => {
  home = fs.mkdtempSync(path.join(os.tmpdir(), 'contexts-'));
  file = path.join(home, 'fairlead/fleet.yaml');
  fs.mkdirSync(path.dirname(file), { mode: 0o700 });
});
afterEach(() => fs.rmSync(home, { recursive: true }));

const write = (text: string, mode = 0o600) => {
  fs.writeFileSync(file, text);
  fs.chmodSync(file, mode);
};
const TWO = `current: rome
contexts:
  rome: {broker: "mqtts://rome:8883", username: ann, passwordFile: ~/rome.password, prefix: p, fleet: shops}
  oslo: {broker: "mqtts://oslo:8883"}
`;
const agentYaml = { mqtt: { url: 'mqtts://agent:8883', prefix: 'fairlead' }, fleet: 'own' } as AgentConfig;

function choose(
  more: { request?: Parameters<typeof chooseBroker>[0]['request']; env?: object; isNamed?: boolean } = {},
) {
  const { request = {}, env = {}, isNamed = false } = more;
  const agent = path.join(home, 'agent.yaml');
  return chooseBroker({
    request,
    env: { XDG_CONFIG_HOME: home, ...env },
    config: { file: agent, isNamed, load: () => agentYaml },
  });
}
const url = async (...args: Parameters<typeof choose>) => (await choose(...args)).broker.url;

test('precedence: a flag, a named context, the environment, the current context', async () => {
  write(TWO);
  const env = { FAIRLEAD_BROKER: 'mqtt://env', FAIRLEAD_CONTEXT: 'oslo' };
  const broker = { url: 'mqtt://flag' };
  expect(await url({ request: { broker }, env })).toBe('mqtt://flag');
  expect(await url({ request: { context: 'rome' }, env })).toBe('mqtts://rome:8883');
  expect(await url({ env })).toBe('mqtt://env');
  expect(await url({ env: { FAIRLEAD_CONTEXT: 'oslo' } })).toBe('mqtts://oslo:8883');
  expect(await url()).toBe('mqtts://rome:8883');
});

test('agent.yaml is used if the command line names it, or if there are no contexts', async () => {
  write(TWO);
  expect(await choose({ isNamed: true })).toMatchObject({ broker: { url: 'mqtts://agent:8883' }, fleet: 'own' });
  fs.rmSync(file);
  fs.writeFileSync(path.join(home, 'agent.yaml'), '');
  expect(await url()).toBe('mqtts://agent:8883');
});

test('a context sets credentials by file, prefix and fleet; flags override them', async () => {
  write(TWO);
  expect(await choose({ request: { fleet: 'other' } })).toMatchObject({
    broker: {
      username: 'ann',
      passwordFile: path.join(os.homedir(), 'rome.password'),
      namedIn: `context rome in ${file}`,
    },
    ...{ prefix: 'p', fleet: 'other' },
  });
});

test('the environment sets the same values', async () => {
  const env = { FAIRLEAD_BROKER: 'mqtts://env', FAIRLEAD_BROKER_USERNAME: 'ci', FAIRLEAD_BROKER_FLEET: 'shops' };
  expect(await choose({ env })).toMatchObject({ broker: { url: 'mqtts://env', username: 'ci' }, fleet: 'shops' });
});

test.each([
  ['an unknown key', 'contexts: {a: {broker: "mqtts://a", pasword: x}}', /fleet\.yaml:1:\d+.*unknown key `pasword`/],
  [
    'a secret',
    'contexts:\n  a: {broker: "mqtts://a", password: x}',
    /fleet\.yaml:2:\d+.*unknown key `password`.*passwordFile/,
  ],
  ['a user in the url', 'contexts: {a: {broker: "mqtts://me:x@a"}}', /must not carry a user or a password/],
  [
    'an unencrypted password',
    'contexts: {a: {broker: "mqtt://a", passwordFile: /x}}',
    /everybody on the way can read it; use mqtts/,
  ],
  [
    'an unknown current context',
    'current: b\ncontexts: {a: {broker: "mqtts://a"}}',
    /fleet\.yaml:1:\d+.*names no context; there are: a/,
  ],
  ['nothing', '', /has no contexts/],
  ['no YAML', 'contexts: [', /fleet\.yaml:1/],
])('%s is one clear error', async (_what, text, message) => {
  write(text);
  await expect(choose()).rejects.toMatchObject({ code: 'InvalidConfig', message: expect.stringMatching(message) });
});

test('a file that others can write is refused, also if only its directory is writable', async () => {
  write(TWO, 0o666);
  await expect(choose()).rejects.toThrow(/others may write .*fleet\.yaml; run `chmod go-w/);
  write(TWO);
  fs.chmodSync(path.dirname(file), 0o777);
  await expect(choose()).rejects.toThrow(/others may write .*fairlead; run `chmod go-w/);
});

test('a missing context and invalid variables are named', async () => {
  write(TWO);
  await expect(choose({ request: { context: 'paris' } })).rejects.toThrow(/no context paris; there are: rome, oslo/);
  await expect(choose({ env: { FAIRLEAD_BROKER: 'http://x' } })).rejects.toThrow(
    /^FAIRLEAD_BROKER must begin with mqtt/,
  );
});

test('if nothing names a broker, the error lists all ways to name one', async () => {
  await expect(choose()).rejects.toThrow(/no broker is named; say --broker, set FAIRLEAD_BROKER, write a context in/);
});
