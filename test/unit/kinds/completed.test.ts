/** A service that completed is done, even if its container is removed. */
import { expect, test } from 'vitest';
import { done } from '../../reconciler.ts';
import { problems, stackHost } from './stack-host.ts';

const on = stackHost();

const once = (word: string, more = '') => ({
  'shop/compose.yaml': `services:
  once: {image: "app:1", command: ["sh", "-c", "echo ${word}; exit 0"]${more}}
`,
});

/** As `docker system prune` does. */
async function prune() {
  for (const { id, status } of on.host.engine.containers())
    if (status !== 'running') await on.host.engine.docker.remove(id, { volumes: true });
}

test('after a prune no completed service runs again, and everything is well', async () => {
  await on.engine.apply(once('a'));
  expect(on.names()).toEqual(['shop-once-1 exited']);
  await prune();
  const result = await on.engine.again();
  expect(done(result)).toEqual([]);
  expect(problems(result)).toEqual([]);
  on.engine.restart();
  expect(done(await on.engine.again())).toEqual([]);
  expect(on.names()).toEqual([]);
});

test('a changed service runs once more', async () => {
  await on.engine.apply(once('a'));
  await prune();
  await on.engine.again();
  expect(problems(await on.engine.apply(once('b')))).toEqual([]);
  expect(on.only('shop-once-1').log).toEqual(['b']);
});

test('of several containers only those that did not complete are recreated', async () => {
  await on.engine.apply(once('a', ', scale: 3'));
  await prune();
  expect(done(await on.engine.again())).toEqual([]);
  expect(done(await on.engine.apply(once('a', ', scale: 3, labels: {a: b}')))).toEqual([
    'create service:shop/once done',
  ]);
  expect(on.names()).toHaveLength(3);
});

test('a service that waits for its completion is started without it', async () => {
  const files = (word: string) => ({
    'shop/compose.yaml': `services:
  once: {image: "app:1", command: ["true"]}
  web: {image: "app:1", environment: {W: ${word}}, depends_on: {once: {condition: service_completed_successfully}}}
`,
  });
  await on.engine.apply(files('a'));
  await prune();
  const began = on.host.clock.monotonic();
  expect(problems(await on.engine.apply(files('b')))).toEqual([]);
  expect(on.host.clock.monotonic() - began).toBeLessThan(60_000);
  expect(on.names()).toEqual(['shop-web-1 running']);
});

test('a failed one is recreated when its container is gone', async () => {
  await on.engine.apply({
    'shop/compose.yaml': 'services: {once: {image: "app:1", command: ["sh", "-c", "exit 3"]}}\n',
  });
  await prune();
  await on.engine.again();
  expect(on.only('shop-once-1').exitCode).toBe(3);
});

test('a service that was removed and declared again runs again', async () => {
  await on.engine.apply(once('a'));
  await on.engine.apply({ 'a.yaml': 'files: {/srv/a: {content: a}}\n' });
  await on.engine.apply(once('a'));
  expect(on.names()).toEqual(['shop-once-1 exited']);
});

test('a full disk does not prevent the observation of a service', async () => {
  await on.engine.apply(once('a'));
  const full = () => {
    throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
  };
  on.engine.store.records.set = full;
  expect(problems(await on.engine.again())).toEqual([]);
  await prune();
  expect(done(await on.engine.again())).toEqual([]);
});
