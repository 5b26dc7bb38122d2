/** A service that is removed and a new one never use the same data at the same time. */
import { expect, test } from 'vitest';
import { done } from '../../reconciler.ts';
import { stackHost } from './stack-host.ts';

const on = stackHost();
const stack = (service: string, more: string, dir = 'shop', top = 'volumes: {data: {}}') => ({
  [`${dir}/compose.yaml`]: `services: {${service}: {${more}}}\n${top}\n`,
});
/** In the order in which they were carried out. */
const orderOf = async (before: Record<string, string>, after: Record<string, string>) => {
  await on.engine.apply(before);
  const all = done(await on.engine.apply(after));
  return all.filter((line) => line.includes('service:'));
};
const DB = 'image: "app:1", volumes: ["data:/data"]';

test('a renamed service is removed before its successor starts on the same volume', async () => {
  expect(await orderOf(stack('db', DB), stack('database', DB))).toEqual([
    'remove service:shop/db done',
    'create service:shop/database done',
  ]);
});

test('a service is also removed first if its successor is another program', async () => {
  const other = 'image: "app:2", volumes: ["data:/data"]';
  expect((await orderOf(stack('mysql', DB), stack('mariadb', other)))[0]).toBe('remove service:shop/mysql done');
});

test('a service is also removed first if its stack was moved together with its directory', async () => {
  const db = 'image: "app:1", volumes: ["/srv/db:/data"]';
  expect((await orderOf(stack('db', db), stack('db', db, 'webshop')))[0]).toBe('remove service:shop/db done');
});

test('a rollback keeps this order as well', async () => {
  await on.engine.apply(stack('db', DB));
  expect((await orderOf(stack('database', DB), stack('db', DB)))[0]).toBe('remove service:shop/database done');
});

test.each([
  ['a read-only mount', '"data:/data:ro"'],
  ['a socket of the host', '"/var/run/docker.sock:/var/run/docker.sock"'],
])('a service that only shares %s is removed last, as usual', async (_what, mount) => {
  const web = `image: "app:1", volumes: [${mount}]`;
  expect((await orderOf(stack('web', web), stack('site', web)))[0]).toBe('create service:shop/site done');
});

test('a service stays as long as its successor cannot be created', async () => {
  await on.engine.apply(stack('db', DB));
  await on.engine.apply(stack('database', DB.replace('app:1', 'nowhere:1')));
  expect(on.names()).toEqual(['shop-db-1 running']);
});
