/** Pauses of single resources, such as a database while its backup runs. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ResourcePause } from '../../agent/core/plan/resource-pause.ts';
import type { ResourceId } from '../../agent/core/types.ts';
import { repair } from '../../agent/engine/drift/repair.ts';
import { requestFor } from '../../agent/engine/run/create-run.ts';
import type { RunResult } from '../../agent/engine/run/reconcile.ts';
import { createFakeHost, type FakeHost, reconcilerOn } from '../fakes/host.ts';
import type { Reconciler } from '../reconciler.ts';

let host: FakeHost;
let engine: Reconciler;
beforeEach(() => {
  host = createFakeHost();
  engine = reconcilerOn(host, { rollback: true });
  for (const image of ['db:1', 'db:2', 'app:1', 'app:2', 'other:1', 'other:2'])
    host.engine.registry.push(image, { config: { Cmd: ['httpd'] } });
});
afterEach(() => {
  engine.close();
  host.end();
});

const files = (n: number, driver = 'bridge') => ({
  'shop/compose.yaml': `services:
  db: {image: "db:${n}", networks: [back]}
  app: {image: "app:${n}", depends_on: [db]}
  other: {image: "other:${n}"}
networks: {back: {driver: bridge, labels: {is: "${driver}"}}}
`,
});
const pause = (id: ResourceId, more: Partial<ResourcePause> = {}) =>
  engine.store.commits.set({ resourcePauses: [{ id, until: null, reason: 'backup', at: '', ...more }] });
const images = () =>
  Object.fromEntries(
    host.engine.containers().map((c) => [c.config.Labels['com.docker.compose.service'], c.config.Image]),
  );
const held = ({ outcome }: RunResult) => outcome.resources.filter((r) => r.sync === 'held').map((r) => r.id);

test('a paused resource stays, with its dependents, while the rest of a commit is applied', async () => {
  await engine.apply(files(1));
  pause('service:shop/db');
  const ran = await engine.apply(files(2));
  expect(images()).toEqual({ db: 'db:1', app: 'app:1', other: 'other:2' });
  expect(ran.run.sync).toBe('held');
  expect(held(ran).sort()).toEqual(['service:shop/app', 'service:shop/db']);
  engine.store.commits.set({ resourcePauses: null });
  expect((await engine.again()).run.sync).toBe('synced');
  expect(images()).toEqual({ db: 'db:2', app: 'app:2', other: 'other:2' });
});

test('nothing that a paused resource depends on is replaced', async () => {
  await engine.apply(files(1));
  const before = host.engine.containers().find((c) => c.config.Image === 'db:1')?.id;
  pause('service:shop/db');
  await engine.apply(files(1, 'other'));
  expect(host.engine.containers().find((c) => c.config.Image === 'db:1')).toMatchObject({
    id: before,
    status: 'running',
  });
});

test('a repair leaves a paused resource alone, and repairs the others', async () => {
  const ran = await engine.apply(files(1));
  pause('service:shop/db');
  host.engine.end('shop-db-1');
  host.engine.end('shop-other-1');
  const { info } = await engine.deps.source.review('', {} as never, new AbortController().signal);
  const checkout = await engine.deps.source.checkout(info.commit, new AbortController().signal);
  const holding = { checkout, loaded: await engine.deps.load(checkout) };
  await repair(
    engine.deps,
    holding as never,
    new Set<ResourceId>(['service:shop/db', 'service:shop/other']),
    ran,
    requestFor(new AbortController().signal),
  );
  const status = (name: string) => host.engine.containers().find((c) => c.name === name)?.status;
  expect({ db: status('shop-db-1'), other: status('shop-other-1') }).toEqual({ db: 'exited', other: 'running' });
});

test('a paused resource is not removed', async () => {
  await engine.apply(files(1));
  pause('service:shop/other');
  await engine.apply({ 'shop/compose.yaml': files(1)['shop/compose.yaml'].replace(/ {2}other.*\n/, '') });
  expect(images()).toMatchObject({ other: 'other:1' });
  engine.store.commits.set({ resourcePauses: null });
  await engine.again();
  expect(images()).not.toHaveProperty('other');
});

test('the pause ends after its time, or with the process that holds it', async () => {
  await engine.apply(files(1));
  pause('service:shop/db', { until: new Date(host.clock.now().getTime() + 60_000).toISOString() });
  await engine.apply(files(2));
  expect(images().db).toBe('db:1');
  await host.clock.sleep(61_000);
  await engine.again();
  expect(images().db).toBe('db:2');
  pause('service:shop/db', { holder: { pid: 1, start: 'x' } });
  Object.assign(engine.deps, { isAlive: () => false });
  await engine.apply(files(1));
  expect(images().db).toBe('db:1');
});
