/** The health of held resources: a commit that waits makes nothing unhealthy, and drift does. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createFakeHost, type FakeHost, reconcilerOn } from '../../fakes/host.ts';
import type { Reconciler } from '../../reconciler.ts';

let host: FakeHost;
let engine: Reconciler;
beforeEach(() => {
  host = createFakeHost();
  engine = reconcilerOn(host);
});
afterEach(() => {
  engine.close();
  host.end();
});

const OBSERVE = { 'host.yaml': 'mode: observe\n' };
const unit = (state: string) =>
  `units:\n  app.service:\n    content: |\n      [Service]\n      ExecStart=/bin/sleep infinity\n    ${state}\n`;
const files = (content: string) => ({ 'a.yaml': `files: {/srv/a: {content: ${content}}}\n` });
const healthOf = (result: Awaited<ReturnType<Reconciler['again']>>, id: string) =>
  result.outcome.resources.find((r) => r.id === id);

test('a file that a commit changes is healthy as long as that commit is held', async () => {
  await engine.apply(files('one'));
  const held = await engine.apply({ ...files('two'), ...OBSERVE });
  expect(healthOf(held, 'file:/srv/a')).toMatchObject({ sync: 'held', health: 'healthy' });
});

test('a file that somebody else changed is degraded, held or not', async () => {
  await engine.apply(files('one'));
  await engine.apply({ ...files('one'), ...OBSERVE });
  writeFileSync(path.join(host.root, 'srv/a'), 'hacked');
  expect(healthOf(await engine.again(), 'file:/srv/a')).toMatchObject({ sync: 'held', health: 'degraded' });
});

test('a unit that a commit will start is healthy as long as that commit is held', async () => {
  await engine.apply({ 'a.yaml': unit('state: stopped') });
  const held = await engine.apply({ 'a.yaml': unit('state: started'), ...OBSERVE });
  expect(healthOf(held, 'unit:app.service')).toMatchObject({ sync: 'held', health: 'healthy' });
});
