/** What `fairlead doctor` says of a broker that gives nothing to wildcards: found by a word of our own, not by the broker's name. */
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

/** @returns what is said of the broker to a host on `ref` */
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

test('a broker that gives what it retains to wildcards has no remark', async () => {
  expect(await said('v1.*')).toBe(`${broker.url} answers; this host follows no commands from there`);
});

test('one that gives it to exact topics alone cannot list the fleet', async () => {
  broker.givesToWildcards = false;
  expect(await said()).toMatch(/exact topics alone, so it cannot list the fleet.*--hosts, --repo or --roll-call/);
});

test('a host on a tag pattern follows the schedule there, and one on a branch has its own topic', async () => {
  broker.givesToWildcards = false;
  expect(await said('v1.*')).toMatch(/ref v1\.\* follows the schedule/);
  expect(await said('main')).not.toMatch(/schedule/);
});

test('it is found with a broker of 3.1.1 as well', async () => {
  broker.givesToWildcards = false;
  broker.isOld = true;
  expect(await said()).toMatch(/exact topics alone/);
});

test('where the question is refused nothing is said', async () => {
  broker.givesToWildcards = false;
  broker.refuses = (filter) => filter.includes('+');
  expect(await said()).not.toMatch(/exact topics/);
});

test('a broker that is late is none that gives nothing', async () => {
  broker.lateMs = 200;
  expect(await said()).not.toMatch(/exact topics/);
});

test('nothing of the question stays there', async () => {
  await said();
  broker.givesToWildcards = false;
  await said();
  expect([...broker.retained.keys()]).toEqual([]);
});
