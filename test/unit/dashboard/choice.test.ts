/** Which broker the page is told of: by its flag, or by what names the broker of all commands. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { AgentConfig } from '../../../agent/config.ts';
import { chooseBroker } from '../../../agent/fleet/contexts.ts';
import { choosePage, type PageRequest } from '../../../agent/fleet/page/choice.ts';

let home: string;
let contexts: string;
beforeEach(() => {
  home = mkdtempSync(path.join(os.tmpdir(), 'page-choice-'));
  contexts = path.join(home, 'fairlead/fleet.yaml');
  mkdirSync(path.dirname(contexts), { mode: 0o700 });
});
afterEach(() => rmSync(home, { recursive: true }));

interface Given {
  request?: Partial<PageRequest>;
  env?: Record<string, string>;
  agentYaml?: AgentConfig;
}

function choose({ request = {}, env = {}, agentYaml }: Given = {}) {
  const { prefix, fleet } = request;
  const file = path.join(home, 'agent.yaml');
  if (agentYaml) writeFileSync(file, '');
  const broker = chooseBroker.bind(null, {
    request: { ...(prefix ? { prefix } : {}), ...(fleet ? { fleet } : {}) },
    env: { XDG_CONFIG_HOME: home, ...env },
    config: { file, isNamed: false, load: () => agentYaml as AgentConfig },
  });
  return choosePage({ request: { login: false, ...request }, choose: broker });
}
const write = (context: string) =>
  writeFileSync(contexts, `current: rome\ncontexts: {rome: ${context}}\n`, { mode: 0o600 });

test('a context whose broker is a websocket needs no flag', async () => {
  write('{broker: "wss://rome:8884/mqtt", prefix: p, fleet: shops}');
  expect(await choose()).toEqual({
    ...{ schema: 1, broker: 'wss://rome:8884/mqtt', prefix: 'p', fleet: 'shops', login: false },
  });
});

test('a context names the websocket beside the way that commands go', async () => {
  write('{broker: "mqtts://rome:8883", websocket: "wss://rome:8884"}');
  expect(await choose()).toMatchObject({ broker: 'wss://rome:8884' });
});

test('variables of the environment and agent.yaml name it as well', async () => {
  const env = { FAIRLEAD_BROKER: 'mqtts://env', FAIRLEAD_BROKER_WEBSOCKET: 'wss://env' };
  expect(await choose({ env })).toMatchObject({ broker: 'wss://env' });
  const agentYaml = { mqtt: { url: 'wss://agent/mqtt', prefix: 'own' }, fleet: 'shops' } as AgentConfig;
  expect(await choose({ agentYaml })).toMatchObject({ broker: 'wss://agent/mqtt', prefix: 'own', fleet: 'shops' });
});

test('the flag goes before the context, whose fleet it leaves, and flags before that', async () => {
  write('{broker: "wss://rome", fleet: shops}');
  const websocket = 'wss://proxy';
  expect(await choose({ request: { websocket } })).toMatchObject({ broker: websocket, fleet: 'shops' });
  expect(await choose({ request: { websocket, fleet: 'lab' } })).toMatchObject({ broker: websocket, fleet: 'lab' });
});

test('with the flag no broker needs to be named anywhere', async () => {
  expect(await choose({ request: { websocket: 'wss://x', fleet: 'lab' } })).toMatchObject({
    ...{ broker: 'wss://x', prefix: 'fairlead', fleet: 'lab' },
  });
});

test('a context that names no websocket is an error that says what to write', async () => {
  write('{broker: "mqtts://rome:8883"}');
  await expect(choose()).rejects.toMatchObject({
    code: 'BrokerUnreachable',
    message: `no browser can reach mqtts://rome:8883, which context rome in ${contexts} names; say --websocket wss://HOST:PORT, or write \`websocket: wss://HOST:PORT\` beside it`,
  });
});

test('an agent.yaml that names none leaves the flag', async () => {
  const agentYaml = { mqtt: { url: 'mqtts://agent', prefix: 'own' }, fleet: 'shops' } as AgentConfig;
  await expect(choose({ agentYaml })).rejects.toThrow(
    /^no browser can reach mqtts:\/\/agent, which agent.yaml names; say --websocket wss:\/\/HOST:PORT$/,
  );
});

test('a context that cannot be read is an error, also where the flag says the websocket', async () => {
  write('{brokr: "mqtts://rome:8883"}');
  await expect(choose({ request: { websocket: 'wss://x' } })).rejects.toMatchObject({ code: 'InvalidConfig' });
});

test('what is no websocket, or carries a user, is refused in a context', async () => {
  write('{broker: "mqtts://rome", websocket: "https://rome"}');
  await expect(choose()).rejects.toThrow(/websocket.*must begin with wss:\/\/ or ws:\/\//);
  write('{broker: "mqtts://rome", websocket: "wss://me:x@rome"}');
  await expect(choose()).rejects.toThrow(/must not carry a user or a password; the page asks for them/);
});

test('where nothing names a broker, the error says the flag of the page', async () => {
  await expect(choose()).rejects.toThrow(/no broker is named; say --websocket wss:/);
});
