/** Pulls into an empty store: what the filters of the first requests leave out is noticed, and comes in few requests. */
import { mkdirSync, rmSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { LARGE } from '../../../agent/git/wire/budget.ts';
import { type Backend, createFixture, type Fixture, scratch, startBackend } from './backend.ts';
import { createPuller, type Puller, texts } from './pull.ts';

let root: string;
let backend: Backend;
let fixture: Fixture;
let at = 0;

beforeAll(async () => {
  root = scratch();
  backend = await startBackend(root);
});
afterAll(async () => {
  await backend.stop();
  rmSync(root, { recursive: true, force: true });
});
beforeEach(() => {
  fixture = createFixture(root, `fleet-${++at}.git`);
});

const host = (hostPath = 'hosts/edge-1'): Puller =>
  createPuller(path.join(root, `host-${at}`), { url: backend.url(`fleet-${at}.git`), path: hostPath });

/** To be committed with the next files. */
function link(file: string, target: string): void {
  const full = path.join(fixture.work, file);
  mkdirSync(path.dirname(full), { recursive: true });
  symlinkSync(target, full);
}

const ROLE = { 'hosts/edge-1/host.yaml': 'roles: [web]\n', 'roles/web/role.yaml': '{}\n' };

test.each([
  ['deep in a role', 'hosts/edge-1', 'roles/web/nginx', ROLE],
  ['in a host directory at the top', 'web1', 'web1', { 'web1/host.yaml': '{}\n' }],
])('a link %s is fetched, and the store is not taken for damaged', async (_, hostPath, below, files) => {
  link(`${below}/sites-enabled/a.conf`, '../sites-available/a.conf');
  link(`${below}/current`, 'sites-available/a.conf');
  fixture.commit({ ...files, [`${below}/sites-available/a.conf`]: 'listen 80;\n' });
  const puller = host(hostPath);
  const found = texts((await puller.pull()).checkout);
  expect(puller.log.filter((line) => line.includes('damaged'))).toEqual([]);
  expect(Object.keys(found).sort()).toEqual(
    [
      ...Object.keys(files),
      ...['current', 'sites-available/a.conf', 'sites-enabled/a.conf'].map((f) => `${below}/${f}`),
    ].sort(),
  );
  expect(found[`${below}/sites-enabled/a.conf`]).toBe('listen 80;\n');
});

const many = (count: number, directory: string, bytes = 20) =>
  Object.fromEntries(
    Array.from({ length: count }, (_, i) => [`${directory}/f${i}`, `${i} `.repeat(bytes).slice(0, bytes)]),
  );

test.each([
  ['deep in a role', many(60, 'roles/web/etc/nginx')],
  ['larger than those that are fetched with its role', many(60, 'roles/web', 5_000)],
])('sixty files %s come in at most six exchanges', async (_, files) => {
  fixture.commit({ ...ROLE, ...files });
  const puller = host();
  backend.traffic();
  const { checkout } = await puller.pull();
  expect(backend.traffic().requests).toBeLessThanOrEqual(6);
  expect(Object.keys(texts(checkout)).sort()).toEqual([...Object.keys(ROLE), ...Object.keys(files)].sort());
});

test('many large files come one by one, on a first pull and on a later one', async () => {
  const large = (directory: string) => many(20, directory, LARGE + 1);
  fixture.commit({ ...ROLE, ...large('roles/web/etc/a') });
  const puller = host();
  expect([...((await puller.pull()).checkout?.files ?? [])]).toHaveLength(22);
  fixture.commit(Object.fromEntries(Object.entries(large('roles/web/etc/b')).map(([f, text]) => [f, `b${text}`])));
  expect([...((await puller.pull()).checkout?.files ?? [])]).toHaveLength(42);
  expect(puller.log.filter((line) => line.includes('damaged'))).toEqual([]);
});
