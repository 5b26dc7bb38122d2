/** Which broker the page uses: the one of its flag, or the one that all commands use. */
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

test('a context can name a websocket in addition to the address for commands', async () => {
  write('{broker: "mqtts://rome:8883", websocket: "wss://rome:8884"}');
  expect(await choose()).toMatchObject({ broker: 'wss://rome:8884' });
});

test('the environment and agent.yaml can name it as well', async () => {
  const env = { FAIRLEAD_BROKER: 'mqtts://env', FAIRLEAD_BROKER_WEBSOCKET: 'wss://env' };
  expect(await choose({ env })).toMatchObject({ broker: 'wss://env' });
  const agentYaml = { mqtt: { url: 'wss://agent/mqtt', prefix: 'own' }, fleet: 'shops' } as AgentConfig;
  expect(await choose({ agentYaml })).toMatchObject({ broker: 'wss://agent/mqtt', prefix: 'own', fleet: 'shops' });
});

test('the flag overrides the context but keeps its fleet, and other flags override the context', async () => {
  write('{broker: "wss://rome", fleet: shops}');
  const websocket = 'wss://proxy';
  expect(await choose({ request: { websocket } })).toMatchObject({ broker: websocket, fleet: 'shops' });
  expect(await choose({ request: { websocket, fleet: 'lab' } })).toMatchObject({ broker: websocket, fleet: 'lab' });
});

test('with the flag no other setting has to name a broker', async () => {
  expect(await choose({ request: { websocket: 'wss://x', fleet: 'lab' } })).toMatchObject({
    ...{ broker: 'wss://x', prefix: 'fairlead', fleet: 'lab' },
  });
});

test('a context without a websocket is an error that says what to write', async () => {
  write('{broker: "mqtts://rome:8883"}');
  await expect(choose()).rejects.toMatchObject({
    code: 'BrokerUnreachable',
    message: `no browser can reach mqtts://rome:8883, which context rome in ${contexts} names; say --websocket wss://HOST:PORT, or write \`websocket: wss://HOST:PORT\` beside it`,
  });
});

test('an agent.yaml without a websocket leaves the flag as the remedy', async () => {
  const agentYaml = { mqtt: { url: 'mqtts://agent', prefix: 'own' }, fleet: 'shops' } as AgentConfig;
  await expect(choose({ agentYaml })).rejects.toThrow(
    /^no browser can reach mqtts:\/\/agent, which agent.yaml names; say --websocket wss:\/\/HOST:PORT$/,
  );
});

test('an unreadable context is an error, even if the flag names the websocket', async () => {
  write('{brokr: "mqtts://rome:8883"}');
  await expect(choose({ request: { websocket: 'wss://x' } })).rejects.toMatchObject({ code: 'InvalidConfig' });
});

test("a context's websocket must have a websocket URL and no user", async () => {
  write('{broker: "mqtts://rome", websocket: "https://rome"}');
  await expect(choose()).rejects.toThrow(/websocket.*must begin with wss:\/\/ or ws:\/\//);
  write('{broker: "mqtts://rome", websocket: "wss://me:x@rome"}');
  await expect(choose()).rejects.toThrow(/must not carry a user or a password; the page asks for them/);
});

test('if nothing names a broker, the error mentions the flag of the page', async () => {
  await expect(choose()).rejects.toThrow(/no broker is named; say --websocket wss:/);
});
