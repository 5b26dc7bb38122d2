/** No commit leaves data behind unnoticed. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { PROJECT, SERVICE } from '../../../agent/kinds/docker/labels.ts';
import { done } from '../../reconciler.ts';
import { problems, stackHost } from './stack-host.ts';

const on = stackHost();
const TREE = '/var/lib/fairlead/tree/hosts/h';
const VOLUMES = '/var/lib/docker/volumes';

/** A file with data in a directory of the host. */
function rows(dir: string, name = 'rows') {
  const real = path.join(on.host.root, dir);
  mkdirSync(real, { recursive: true });
  writeFileSync(path.join(real, name), 'one\ntwo\n');
}

/** The database `db` of a stack, and `web`, which depends on it. @param mount of the database, at /data */
const shop = (mount: string, { stack = 'shop', top = '', db = '', more = '' } = {}) => ({
  [`${stack}/compose.yaml`]: `services:
  db: {image: "app:1", volumes: ["${mount}:/data"]${db}}
  web: {image: "app:2", depends_on: [db]}
${top}
`,
  'a.yaml': `files: {/srv/a: {content: "${more || mount}"}}\n`,
});
const NAMED = (name: string, keys = '') => `volumes: {${name}: {${keys}}}`;

type Result = Awaited<ReturnType<typeof on.engine.again>>;
const reasonOf = ({ outcome }: Result) => `${outcome.reason} ${outcome.message}`;
const idOf = (name: string) => on.only(name).id;
const held = (result: Result) =>
  result.outcome.resources.filter((r) => r.sync === 'held').map((r) => `${r.id} ${r.reason}`);

test('a service with another volume is held with its dependents, the old one keeps running, the rest is applied', async () => {
  await on.engine.apply(shop('data', { top: NAMED('data') }));
  rows(`${VOLUMES}/shop_data/_data`);
  const before = [idOf('shop-db-1'), idOf('shop-web-1')];
  const changed = shop('rows', { top: NAMED('rows'), more: 'new' });
  const result = await on.engine.apply({
    ...changed,
    'shop/compose.yaml': changed['shop/compose.yaml']?.replace('app:2', 'app:1') ?? '',
  });
  expect(held(result)).toEqual(['service:shop/db DataLeftBehind', 'service:shop/web Held']);
  expect([idOf('shop-db-1'), idOf('shop-web-1')]).toEqual(before);
  expect(done(result)).toContain('update file:/srv/a done');
  expect(reasonOf(result)).toMatch(
    /^DataLeftBehind service:shop\/db would start with shop_rows, which is empty, at \/data, while volume shop_data, which shop-db-1 has there, holds data; to keep the data, set volumes: \{rows: \{name: shop_data\}\}.*x-fairlead: \{empty: allow\}.*sync --allow-empty/,
  );
  expect(problems(result)).toEqual([]);
});

test('the service is applied once the data is in the new place', async () => {
  await on.engine.apply(shop('data', { top: NAMED('data') }));
  rows(`${VOLUMES}/shop_data/_data`);
  await on.engine.apply(shop('rows', { top: NAMED('rows') }));
  rows(`${VOLUMES}/shop_rows/_data`);
  const result = await on.engine.again();
  expect(held(result)).toEqual([]);
  expect(on.only('shop-db-1').mounts.map((m) => m.Name)).toContain('shop_rows');
});

test.each([
  ['the repository allows it at the service', { db: ', x-fairlead: {empty: allow}' }, {}],
  ['the repository allows it at the stack', { top: 'x-fairlead: {empty: allow}' }, {}],
  ['a person allows it, once', {}, { allowEmpty: true }],
])('the service is applied if %s', async (_, told, asked) => {
  await on.engine.apply(shop('./data'));
  rows(`${TREE}/shop/data`);
  const result = await on.engine.apply(shop('./rows', told), new AbortController().signal, asked);
  expect(held(result)).toEqual([]);
  expect(on.only('shop-db-1').mounts.map((m) => m.Source)).toContain(`${TREE}/shop/rows`);
});

test.each([
  ['the old directory is empty', './data', './rows', {}, () => undefined],
  [
    'the old directory has only what every new file system has',
    './data',
    './rows',
    {},
    () => mkdirSync(path.join(on.host.root, TREE, 'shop/data/lost+found'), { recursive: true }),
  ],
  ['the mount is read-only', './data', './rows', { readOnly: ':ro' }, () => rows(`${TREE}/shop/data`)],
  [
    'the new directory has data',
    './data',
    '/srv/rows',
    {},
    () => {
      rows(`${TREE}/shop/data`);
      rows('/srv/rows');
    },
  ],
])('nothing is held if %s', async (_, from, to, { readOnly = '' }: { readOnly?: string }, prepare) => {
  const text = (mount: string) => ({
    'shop/compose.yaml': `services: {db: {image: "app:1", volumes: ["${mount}:/data${readOnly}"]}}\n`,
  });
  await on.engine.apply(text(from));
  prepare();
  expect(held(await on.engine.apply(text(to)))).toEqual([]);
  expect(on.only('shop-db-1').mounts.map((m) => m.Source)).not.toContain(`${TREE}/shop/data`);
});

test.each([
  ['the old volume may be deleted', 'prune: true', ''],
  ['the new volume may be deleted', '', 'prune: true'],
])('nothing is held if %s', async (_, old, fresh) => {
  const keys = (prune: string) => (prune ? `x-fairlead: {${prune}}` : '');
  await on.engine.apply(shop('data', { top: NAMED('data', keys(old)) }));
  rows(`${VOLUMES}/shop_data/_data`);
  expect(held(await on.engine.apply(shop('rows', { top: NAMED('rows', keys(fresh)) })))).toEqual([]);
});

test('nothing is held for a tmpfs, nor for content of the repository', async () => {
  const text = (dir: string, mount: string) => ({
    'shop/compose.yaml': `services: {db: {image: "app:1", volumes: ["./${dir}:/conf"]${mount}}}\n`,
    [`shop/${dir}/a`]: 'a',
    [`shop/${dir}/sub/b`]: 'b',
  });
  await on.engine.apply(text('conf', ', tmpfs: [/data]'));
  const result = await on.engine.apply(text('etc', ''));
  expect(held(result)).toEqual([]);
  expect(on.only('shop-db-1').mounts.map((m) => m.Source)).toContain(`${TREE}/shop/etc`);
});

test('a directory in the repository that contains only a placeholder file counts as empty', async () => {
  const text = (dir: string) => ({
    'shop/compose.yaml': `services: {db: {image: "app:1", volumes: ["./${dir}:/data"]}}\n`,
    [`shop/${dir}/.gitkeep`]: '',
  });
  await on.engine.apply(text('data'));
  rows(`${TREE}/shop/data`);
  expect(held(await on.engine.apply(text('rows')))).toEqual(['service:shop/db DataLeftBehind']);
});

test.each([
  ['its volume', 'data', NAMED('data'), `${VOLUMES}/shop_data/_data`],
  ['its directory', './data', '', `${TREE}/shop/data`],
])('a stack that was moved is held if %s stays behind, and keeps running as it was', async (_, mount, top, place) => {
  await on.engine.apply(shop(mount, { top }));
  rows(place);
  const before = on.names();
  const ids = [idOf('shop-db-1'), idOf('shop-web-1')];
  const result = await on.engine.apply(shop(mount, { stack: 'webshop', top }));
  expect(held(result)).toEqual(['service:webshop/db DataLeftBehind', 'service:webshop/web Held']);
  expect(on.names()).toEqual(before);
  expect([idOf('shop-db-1'), idOf('shop-web-1')]).toEqual(ids);
  expect(problems(result)).toEqual([]);
  // Later runs remove nothing of it either.
  expect(done(await on.engine.again()).filter((line) => !line.endsWith('held'))).toEqual([]);
  expect(on.names()).toEqual(before);
  const allowed = await on.engine.again({ allowEmpty: true });
  expect(held(allowed)).toEqual([]);
  expect(on.names()).toEqual(['webshop-db-1 running', 'webshop-web-1 running']);
});

test('a moved stack that names the old volume is not held', async () => {
  await on.engine.apply(shop('data', { top: NAMED('data') }));
  rows(`${VOLUMES}/shop_data/_data`);
  const result = await on.engine.apply(shop('data', { stack: 'webshop', top: NAMED('data', 'name: shop_data') }));
  expect(held(result)).toEqual([]);
  expect(problems(result)).toEqual([]);
  expect(on.names()).toEqual(['webshop-db-1 running', 'webshop-web-1 running']);
});

test('a service that was renamed together with its directory is held; another tag of the same repository is the same image', async () => {
  const text = (name: string, tag: string) => ({
    'shop/compose.yaml': `services: {${name}: {image: "app:${tag}", volumes: ["./${name}:/data"]}}\n`,
  });
  await on.engine.apply(text('db', '1'));
  rows(`${TREE}/shop/db`);
  expect(held(await on.engine.apply(text('database', '2')))).toEqual(['service:shop/database DataLeftBehind']);
  expect(on.names()).toEqual(['shop-db-1 running']);
});

test('a moved stack whose data is in an anonymous volume is held', async () => {
  const text = (stack: string) => ({ [`${stack}/compose.yaml`]: 'services: {db: {image: "app:1"}}\n' });
  await on.engine.apply(text('shop'));
  rows(`${VOLUMES}/${on.only('shop-db-1').mounts[0]?.Name}/_data`);
  const result = await on.engine.apply(text('webshop'));
  expect(held(result)).toEqual(['service:webshop/db DataLeftBehind']);
  expect(on.names()).toEqual(['shop-db-1 running']);
});

test('another service of the same image with a directory of its own is not held', async () => {
  await on.engine.apply(shop('./data'));
  rows(`${TREE}/shop/data`);
  const both = {
    ...shop('./data'),
    'other/compose.yaml': 'services: {db: {image: "app:1", volumes: ["./data:/data"]}}\n',
  };
  expect(held(await on.engine.apply(both))).toEqual([]);
  expect(on.names()).toContain('other-db-1 running');
});

test('a running stack that is adopted by recreating it does not start on an empty directory', async () => {
  rows('/opt/shop/data');
  const labels = {
    ...{ [PROJECT]: 'shop', [SERVICE]: 'db', 'com.docker.compose.container-number': '1' },
    'com.docker.compose.project.working_dir': '/opt/shop',
  };
  const id = await on.strangers('shop-db-1', { Labels: labels, HostConfig: { Binds: ['/opt/shop/data:/data'] } });
  const files = {
    'shop/compose.yaml':
      'services: {db: {image: "app:1", volumes: ["./data:/data"], environment: {W: new}}}\nx-fairlead: {project_directory: /srv/shop}\n',
  };
  await on.engine.apply(files);
  const result = await on.engine.again({ adopt: true });
  expect(held(result)).toEqual(['service:shop/db DataLeftBehind']);
  expect(reasonOf(result)).toMatch(
    /\/srv\/shop\/data, which is empty, at \/data, while \/opt\/shop\/data, .*project_directory: \/opt\/shop\}/,
  );
  expect(on.only('shop-db-1')).toMatchObject({ id, status: 'running' });
  rmSync(path.join(on.host.root, '/opt/shop/data/rows'));
  expect(held(await on.engine.again({ adopt: true }))).toEqual([]);
});

test.each([
  ['the same service', 'shop', 'service:shop/db'],
  ['a moved stack', 'webshop', 'service:webshop/db'],
])('%s is held as well if somebody removed the containers before', async (_, stack, id) => {
  await on.engine.apply(shop('data', { top: NAMED('data') }));
  rows(`${VOLUMES}/shop_data/_data`);
  for (const name of ['shop-db-1', 'shop-web-1']) await on.host.engine.docker.remove(name, { volumes: true });
  const result = await on.engine.apply(shop('rows', { stack, top: NAMED('rows') }));
  expect(held(result)[0]).toBe(`${id} DataLeftBehind`);
  expect(reasonOf(result)).toMatch(/volume shop_data, which service:shop\/db had there, holds data/);
  expect(held(await on.engine.apply(shop('rows', { stack, top: NAMED('rows', 'name: shop_data') })))).toEqual([]);
});

describe('a removed mount over a volume of the image', () => {
  const db = (image: string, mounts: string) => ({
    'shop/compose.yaml': `services: {db: {image: "${image}", volumes: [${mounts}]}}\nvolumes: {data: {}}\n`,
  });
  const withVolume = (name: string, target: string) =>
    on.host.engine.registry.push(name, { config: { Cmd: ['db'], Volumes: { [target]: {} } } });
  const start = async (mount: string) => {
    withVolume('db:1', '/data/pg');
    withVolume('db:2', '/data/pg');
    await on.engine.apply(db('db:1', mount));
    rows(`${VOLUMES}/shop_data/_data`);
    rows(`${TREE}/shop/data`);
  };

  test.each([
    ['a named volume', '"data:/data/pg"', 'db:1', ''],
    ['a directory', '"./data:/data/pg"', 'db:1', ''],
    ['with another tag of it', '"data:/data/pg"', 'db:2', ''],
    ['a volume above it', '"data:/data"', 'db:1', ''],
    ['a volume that moves below the volume of the image', '"data:/data/pg"', 'db:1', '"data:/data"'],
  ])('is held: %s', async (_what, before, image, after) => {
    await start(before);
    const id = idOf('shop-db-1');
    const result = await on.engine.apply(db(image, after));
    expect(held(result)).toEqual(['service:shop/db DataLeftBehind']);
    expect(reasonOf(result)).toMatch(/would start with a new volume without a name, .*mount it: volumes:/);
    expect(idOf('shop-db-1')).toBe(id);
  });

  test.each([
    ['the image has no volume there', '"data:/elsewhere"', ''],
    ['the volume is mounted in another place', '"data:/data/pg"', '"data:/srv/pg"'],
  ])('is not held if %s', async (_what, before, after) => {
    await start(before);
    expect(held(await on.engine.apply(db('db:1', after)))).toEqual([]);
  });
});
