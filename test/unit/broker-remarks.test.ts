/**
 * What `fairlead doctor` reports about a broker that delivers no retained messages to wildcards. It probes with a topic of its
 * own and does not use the broker's name.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { examine } from '../../agent/doctor.ts';
import { type FakeBroker, startFakeBroker } from '../fakes/broker.ts';

let broker: FakeBroker;
let root: string;
beforeEach(async () => {
  broker = await startFakeBroker();
  root = mkdtempSync(path.join(os.tmpdir(), 'fairlead-remarks-'));
});
afterEach(async () => {
  await broker.stop();
  rmSync(root, { recursive: true, force: true });
});

/** @returns the remark about the broker for a host on `ref` */
async function said(ref = 'main'): Promise<string> {
  const dir = path.join(root, 'etc/fairlead');
  mkdirSync(dir, { recursive: true });
  writeFileSync(
    path.join(dir, 'agent.yaml'),
    `host: h\nrepo: {url: "${root}/nowhere", ref: "${ref}"}\nmqtt: {url: "${broker.url}"}\n`,
  );
  const found = (await examine({ root, version: '1' })).find(({ name }) => name === 'broker');
  expect(found?.ok).toBe(true);
  return found?.message ?? '';
}

test('a broker that delivers retained messages to wildcards gets no remark', async () => {
  expect(await said('v1.*')).toBe(`${broker.url} answers; this host follows no commands from there`);
});

test('a broker that delivers them to exact topics alone cannot list the fleet', async () => {
  broker.givesToWildcards = false;
  expect(await said()).toMatch(/exact topics alone, so it cannot list the fleet.*--hosts, --repo or --roll-call/);
});

test('a host on a tag pattern follows the schedule there, and one on a branch has its own topic', async () => {
  broker.givesToWildcards = false;
  expect(await said('v1.*')).toMatch(/ref v1\.\* follows the schedule/);
  expect(await said('main')).not.toMatch(/schedule/);
});

test('the probe also works with a broker of MQTT 3.1.1', async () => {
  broker.givesToWildcards = false;
  broker.isOld = true;
  expect(await said()).toMatch(/exact topics alone/);
});

test('no remark is made if the broker refuses the probe', async () => {
  broker.givesToWildcards = false;
  broker.refuses = (filter) => filter.includes('+');
  expect(await said()).not.toMatch(/exact topics/);
});

test('a slow broker is not taken for one that delivers nothing', async () => {
  broker.lateMs = 200;
  expect(await said()).not.toMatch(/exact topics/);
});

test('the probe leaves no retained message at the broker', async () => {
  await said();
  broker.givesToWildcards = false;
  await said();
  expect([...broker.retained.keys()]).toEqual([]);
});
