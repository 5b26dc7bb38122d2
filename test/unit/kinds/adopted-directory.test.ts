/** A running stack is adopted together with the directory from which `docker compose` started it. */
import { chmodSync, mkdirSync, readFileSync, renameSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { PROJECT, SERVICE, WORKING_DIR } from '../../../agent/kinds/docker/labels.ts';
import { done } from '../../reconciler.ts';
import { problems, stackHost } from './stack-host.ts';

const on = stackHost();
const LINE = 'x-fairlead: {project_directory: /opt/shop}\n';
const text = (more = '', top = '') => ({
  'shop/compose.yaml': `${top}services: {db: {image: "app:1", network_mode: none, volumes: ["./data:/data", "./conf:/conf"]${more}}}\n`,
  'shop/conf/a': 'a\n',
});

function put(file: string, content: string, mode = 0o644) {
  const real = path.join(on.host.root, file);
  mkdirSync(path.dirname(real), { recursive: true });
  writeFileSync(real, content);
  chmodSync(real, mode);
}
const read = (file: string) => readFileSync(path.join(on.host.root, file), 'utf8');

/** The stack, as a person started it from a directory. */
async function running(dir = '/opt/shop') {
  put(`${dir}/data/rows`, 'one\n', 0o600);
  put(`${dir}/conf/a`, 'a\n', 0o640);
  return on.strangers('shop-db-1', {
    Labels: { [PROJECT]: 'shop', [SERVICE]: 'db', 'com.docker.compose.container-number': '1', [WORKING_DIR]: dir },
    HostConfig: { NetworkMode: 'none', Binds: [`${dir}/data:/data`, `${dir}/conf:/conf`] },
  });
}

type Result = Awaited<ReturnType<typeof on.engine.again>>;
const held = ({ outcome }: Result) =>
  outcome.resources.filter((r) => r.sync === 'held').map((r) => `${r.id} ${r.reason}`);
const warnings = async (files: Record<string, string>) =>
  (await on.engine.load(files)).issues.filter((i) => i.severity === 'warning').map((i) => i.message);
const sources = () => on.only('shop-db-1').mounts.map((m) => m.Source);

test('a stack is adopted with its directory and without a restart, and a warning has the line to write', async () => {
  const id = await running();
  expect(await warnings(text())).toEqual([
    expect.stringContaining('write `x-fairlead: {project_directory: /opt/shop}`'),
  ]);
  const result = await on.engine.apply(text());
  expect(held(result)).toEqual([]);
  expect(problems(result)).toEqual([]);
  expect(on.only('shop-db-1')).toMatchObject({ id, status: 'running' });
  expect(await warnings(text('', LINE))).toEqual([]);
});

test('the files of an adopted directory keep their owner and mode', async () => {
  await running();
  await on.engine.apply(text());
  expect(statSync(path.join(on.host.root, '/opt/shop/conf/a')).mode & 0o777).toBe(0o640);
});

test('later commits change files and containers in the adopted directory, and the data stays', async () => {
  await running();
  await on.engine.apply(text());
  const result = await on.engine.apply({ ...text(', environment: {W: new}'), 'shop/conf/a': 'b\n' });
  expect(problems(result)).toEqual([]);
  expect(held(result)).toEqual([]);
  expect(read('/opt/shop/conf/a')).toBe('b\n');
  expect(sources()).toContain('/opt/shop/data');
  expect(on.only('shop-db-1').config.Env).toContain('W=new');
});

test('the adopted directory is remembered without the containers, after a restart of the agent', async () => {
  await running();
  await on.engine.apply(text());
  await on.host.engine.docker.remove('shop-db-1', { volumes: true });
  on.engine.restart();
  expect(problems(await on.engine.again())).toEqual([]);
  expect(sources()).toContain('/opt/shop/data');
  // A container of our own does not record from where it was started.
  on.engine.restart();
  expect(done(await on.engine.again())).toEqual([]);
});

test('the adopted directory stays if a differing container is adopted by recreating it', async () => {
  await running();
  const files = text(', environment: {W: new}');
  expect(held(await on.engine.apply(files))).toEqual(['service:shop/db NotAdopted']);
  const adopted = await on.engine.again({ adopt: true });
  expect(held(adopted)).toEqual([]);
  expect(sources()).toContain('/opt/shop/data');
});

test('a differing file in the adopted directory is held, and overwritten if that is requested', async () => {
  await running();
  put('/opt/shop/conf/a', 'theirs\n');
  const result = await on.engine.apply(text());
  expect(held(result)).toEqual(['file:/opt/shop/conf/a NotAdopted']);
  expect(result.outcome.message).toMatch(/\/opt\/shop\/conf\/a is there already and differs .* in content/);
  expect(read('/opt/shop/conf/a')).toBe('theirs\n');
  await on.engine.again({ adopt: true });
  expect(read('/opt/shop/conf/a')).toBe('a\n');
});

test('a missing directory is not kept: the service is held, and the message names the key', async () => {
  await running();
  renameSync(path.join(on.host.root, '/opt/shop'), path.join(on.host.root, '/opt/gone'));
  const result = await on.engine.apply(text());
  expect(held(result)).toEqual(['service:shop/db NotAdopted']);
  expect(result.outcome.message).toMatch(
    /started from \/opt\/shop: .*set x-fairlead: \{project_directory: \/opt\/shop\}/,
  );
});

test('a directory that is reached by a link which a container could have created is not kept', async () => {
  await running('/srv/loose/shop');
  await on.strangers('other', { HostConfig: { Binds: ['/srv/loose:/x'] } });
  mkdirSync(path.join(on.host.root, '/opt'), { recursive: true });
  renameSync(path.join(on.host.root, '/srv/loose/shop'), path.join(on.host.root, '/opt/real'));
  symlinkSync('/opt/real', path.join(on.host.root, '/srv/loose/shop'));
  expect(await warnings(text())).toEqual([]);
  expect(held(await on.engine.apply(text()))).toEqual(['service:shop/db NotAdopted']);
});

test('fairlead’s own directory, and one that contains no mount, are not kept', async () => {
  await on.strangers('shop-db-1', {
    Labels: {
      [PROJECT]: 'shop',
      [SERVICE]: 'db',
      'com.docker.compose.container-number': '1',
      [WORKING_DIR]: '/home/me',
    },
    HostConfig: { NetworkMode: 'none', Binds: ['/opt/shop/data:/data'] },
  });
  put('/home/me/compose.yaml', '');
  expect(await warnings(text())).toEqual([]);
});
