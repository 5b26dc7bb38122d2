/**
 * The roll-call of a fleet at a broker that delivers nothing to wildcards: hosts are found by their messages during a time of
 * listening.
 */
import { createHash } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type CliDeps, runCli } from '../../agent/cli/index.ts';
import { sliceOf } from '../../agent/core/reporting/fleet-index.ts';
import { type ReadFleetOptions, readFleet } from '../../agent/fleet/client.ts';
import { statusOf } from '../channel/populate.ts';
import { type FakeBroker, startFakeBroker } from '../fakes/broker.ts';

let broker: FakeBroker;
beforeEach(async () => {
  broker = await startFakeBroker();
  broker.givesToWildcards = false;
});
afterEach(() => broker.stop());

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const read = (more: Partial<ReadFleetOptions> = {}) =>
  readFleet({ broker: { url: broker.url }, prefix: 'p', fleet: 'f', quietMs: 50, ...more });

/** A host that has published all of its topics. */
function report(host: string): void {
  broker.retained.set(`p/f/index/${sliceOf(host, sha256)}/${host}`, host);
  broker.retained.set(`p/f/hosts/${host}/presence`, 'online');
  broker.retained.set(`p/f/hosts/${host}/status`, JSON.stringify(statusOf(host, 'f')));
}

/** Publishes on these topics as soon as somebody subscribes to them. */
function whenHeard(topics: readonly string[]): void {
  broker.refuses = (filter) => {
    if (filter === 'p/f/hosts/+/events') setImmediate(() => topics.forEach((topic) => void broker.say(topic, '{}')));
    return false;
  };
}

test('hosts that publish anything meanwhile are read completely by exact topics, and no others', async () => {
  for (const host of ['a', 'b', 'silent']) report(host);
  whenHeard(['p/f/hosts/a/metrics', 'p/f/hosts/b/events', 'p/f/hosts/NO_NAME/metrics']);
  const { way, rows } = await read({ rollCallMs: 20 });
  expect(way).toBe('roll-call');
  expect(rows).toMatchObject([
    { host: 'a', presence: 'online', sync: 'synced' },
    { host: 'b', presence: 'online', sync: 'synced' },
  ]);
});

test('at a broker that lists the fleet there is no roll-call, and a list of names takes precedence', async () => {
  report('a');
  expect(await read({ rollCallMs: 3_600_000, hosts: ['a'] })).toMatchObject({ way: 'list', rows: [{ host: 'a' }] });
  broker.givesToWildcards = true;
  expect(await read({ rollCallMs: 3_600_000 })).toMatchObject({ way: 'index', rows: [{ host: 'a' }] });
});

test('without it the message lists all ways to name hosts', async () => {
  await expect(read()).rejects.toThrow(/--hosts FILE.*--repo DIR.*--roll-call/);
});

async function fleetStatus(...argv: string[]): Promise<{ out: string; asked: object; code: number }> {
  let out = '';
  let asked = {};
  const deps = {
    version: 'test',
    client: () => null as never,
    async readFleet(_options, request) {
      asked = request;
      return { way: 'roll-call', rows: [] };
    },
  } as Pick<CliDeps, 'version' | 'client' | 'readFleet'> as CliDeps;
  const terminal = {
    stdout: (text: string) => {
      out += text;
    },
    stderr: () => undefined,
    ...{ isTTY: false, columns: 100, rows: 10, env: {}, now: () => new Date(0) },
    interrupted: () => new AbortController().signal,
  };
  const code = await runCli(['fleet', 'status', '--broker', 'mqtt://127.0.0.1:1', ...argv], terminal, deps);
  return { out, asked, code };
}

test('`fleet status --roll-call` requests one, and prints that offline hosts are unknown', async () => {
  const { out, asked } = await fleetStatus('--roll-call');
  expect(asked).toMatchObject({ rollCallMs: 70_000 });
  expect(out).toMatch(/No host has reported while it was listened to/);
});

test('a list and a roll-call exclude each other', async () => {
  expect((await fleetStatus('--roll-call', '--hosts', '/dev/null')).code).toBe(64);
});
