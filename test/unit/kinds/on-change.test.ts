/** `x-fairlead: {on_change: …}`: what a service does when repository content that it mounts changes. */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { done } from '../../reconciler.ts';
import { problems, stack, stackHost } from './stack-host.ts';

const on = stackHost();

const files = (word: string) => ({ 'shop/one': word, 'shop/conf/a': word });
const told = (onChange: string, word: string) => ({
  ...stack(`volumes: ["./conf:/c"], x-fairlead: {on_change: ${onChange}}`),
  ...files(word),
});
const ofService = (lines: readonly string[]) => lines.filter((line) => line.includes('service:'));

test('a changed directory restarts nothing by default', async () => {
  const plain = (word: string) => ({ ...stack('volumes: ["./conf:/c"]'), ...files(word) });
  await on.engine.apply(plain('a'));
  expect(ofService(done(await on.engine.apply(plain('b'))))).toEqual([]);
});

test('restart: a changed directory restarts the service', async () => {
  await on.engine.apply(told('restart', 'a'));
  const { id, startedAt } = on.only('shop-web-1');
  expect(ofService(done(await on.engine.apply(told('restart', 'b'))))).toEqual(['refresh service:shop/web done']);
  expect(on.only('shop-web-1').id).toBe(id);
  expect(on.only('shop-web-1').startedAt).toBeGreaterThan(startedAt ?? Number.POSITIVE_INFINITY);
});

test('a signal: a changed directory sends it once, and restarts nothing', async () => {
  await on.engine.apply(told('{signal: HUP}', 'a'));
  const { id, startedAt } = on.only('shop-web-1');
  expect(on.host.engine.ran).toEqual([]);
  const result = await on.engine.apply(told('{signal: HUP}', 'b'));
  expect(problems(result)).toEqual([]);
  expect(ofService(done(result))).toEqual(['refresh service:shop/web done']);
  expect(on.host.engine.ran).toEqual(['shop-web-1: kill -HUP']);
  expect(on.only('shop-web-1')).toMatchObject({ id, startedAt });
  expect(done(await on.engine.again())).toEqual([]);
});

test('a signal: a recreated network sends none', async () => {
  const text = (internal: string) => ({
    ...stack('volumes: ["./conf:/c"], x-fairlead: {on_change: {signal: HUP}}', `networks: {default: {${internal}}}`),
    ...files('a'),
  });
  await on.engine.apply(text(''));
  expect(problems(await on.engine.apply(text('internal: true')))).toEqual([]);
  expect(on.host.engine.ran).toEqual([]);
});

test('none: a changed file that is mounted by itself restarts nothing, and is reported until somebody restarts the service', async () => {
  const text = (word: string) => ({
    ...stack('volumes: ["./one:/etc/one"], x-fairlead: {on_change: none}'),
    ...files(word),
  });
  await on.engine.apply(text('a'));
  const { pid } = on.only('shop-web-1');
  const proc = path.join(on.host.root, 'proc', String(pid));
  mkdirSync(proc, { recursive: true });
  // As the kernel reports a mounted file whose name belongs to another file now.
  writeFileSync(path.join(proc, 'mountinfo'), '36 35 98:0 /srv/tree/one//deleted /etc/one rw - ext4 /dev/vda rw\n');
  const result = await on.engine.apply(text('b'));
  expect(ofService(done(result))).toEqual([]);
  expect(problems(result)).toEqual([
    expect.stringMatching(/^service:shop\/web RestartNeeded: \/etc\/one changed, .*docker restart shop-web-1/),
  ]);
  expect(problems(await on.engine.again())).toHaveLength(1);
  writeFileSync(path.join(proc, 'mountinfo'), '36 35 98:0 /srv/tree/one /etc/one rw - ext4 /dev/vda rw\n');
  expect(problems(await on.engine.again())).toEqual([]);
});

test('a mounted directory that was deleted and created again is reported until somebody restarts its container', async () => {
  const text = { ...stack('volumes: ["./conf:/c"]'), ...files('a') };
  await on.engine.apply(text);
  const { pid } = on.only('shop-web-1');
  const proc = path.join(on.host.root, 'proc', String(pid));
  mkdirSync(proc, { recursive: true });
  writeFileSync(path.join(proc, 'mountinfo'), '36 35 98:0 /srv/tree/conf//deleted /c rw - ext4 /dev/vda rw\n');
  const result = await on.engine.again();
  expect(ofService(done(result))).toEqual([]);
  expect(problems(result)).toEqual([
    expect.stringMatching(/^service:shop\/web RestartNeeded: \/c is a directory that was deleted and made again/),
  ]);
  writeFileSync(path.join(proc, 'mountinfo'), '36 35 98:0 /srv/tree/conf /c rw - ext4 /dev/vda rw\n');
  expect(problems(await on.engine.again())).toEqual([]);
});
