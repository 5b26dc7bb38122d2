/** `x-fairlead: {files: […]}`: the compose files of a stack, on hosts only. */
import { describe, expect, test } from 'vitest';
import { loadCase } from '../../compose/load.ts';
import { stackHost } from '../kinds/stack-host.ts';

const load = (files: Record<string, string>, vars: Record<string, string> = {}) =>
  loadCase({ ...{ name: '', slug: 'e', dir: '', refused: false, stricter: '', looser: '' }, vars, files });
const said = (files: Record<string, string>) =>
  load(files).issues.map((i) => `${i.file.replace('hosts/oracle/e/', '')}:${i.line} ${i.key}: ${i.message}`);
const imageOf = (files: Record<string, string>, vars?: Record<string, string>) => {
  const { project, issues } = load(files, vars);
  expect(issues).toEqual([]);
  return project.services.a?.image;
};

const main = (names: string) => `x-fairlead: {files: ${names}}\nservices: {a: {image: "main:1"}}\n`;
const image = (name: string) => `services: {a: {image: "${name}:1"}}\n`;
const FILES = {
  'compose.yaml': main('[compose.yaml, compose.prod.yaml]'),
  'compose.override.yaml': image('override'),
  'compose.prod.yaml': image('prod'),
};

describe('the listed files', () => {
  test('replace those with the usual names', () => {
    expect(imageOf(FILES)).toBe('prod:1');
  });

  test('leave the override out if only the main file is listed', () => {
    expect(imageOf({ ...FILES, 'compose.yaml': main('[compose.yaml]') })).toBe('main:1');
  });

  test('are merged in the listed order', () => {
    expect(imageOf({ ...FILES, 'compose.yaml': main('[compose.prod.yaml, compose.yaml]') })).toBe('main:1');
  });

  test('may be in subdirectories, and be named by a variable', () => {
    const files = { 'compose.yaml': main('[compose.yaml, "env/${STAGE}.yaml"]'), 'env/test.yaml': image('test') };
    expect(imageOf(files, { STAGE: 'test' })).toBe('test:1');
  });

  test('override COMPOSE_FILE of the .env, and are overridden by that of `vars`', () => {
    const env = { '.env': 'COMPOSE_FILE=compose.yaml:compose.override.yaml\n' };
    expect(imageOf({ ...FILES, ...env })).toBe('prod:1');
    expect(imageOf(FILES, { COMPOSE_FILE: 'compose.yaml:compose.override.yaml' })).toBe('override:1');
  });
});

test.each([
  [
    'a missing file',
    { 'compose.yaml': main('[compose.yaml, compose.prd.yaml]') },
    'compose.yaml:1 x-fairlead.files: `compose.prd.yaml` of `files` is not in the repository; expected it at hosts/oracle/e/compose.prd.yaml',
  ],
  [
    'a file above the stack',
    { 'compose.yaml': main('[compose.yaml, ../x.yaml]') },
    'compose.yaml:1 x-fairlead.files: `../x.yaml` of `files` is not in the repository; expected it at hosts/oracle/x.yaml',
  ],
  [
    'a list without the main file',
    { 'compose.yaml': main('[compose.prod.yaml]'), 'compose.prod.yaml': image('prod') },
    'compose.yaml:1 x-fairlead.files: `files` must be a list of compose files, with compose.yaml among them, such as [compose.yaml, compose.prod.yaml]',
  ],
  [
    'a duplicate file',
    { 'compose.yaml': main('[compose.yaml, b.yaml, b.yaml]'), 'b.yaml': image('b') },
    'compose.yaml:1 x-fairlead.files: `b.yaml` occurs twice in `files`; remove one of them',
  ],
  [
    'a list in another file',
    { ...FILES, 'compose.prod.yaml': main('[compose.prod.yaml]') },
    "compose.prod.yaml:1 x-fairlead.files: `files` has no effect in hosts/oracle/e/compose.prod.yaml; write it in the stack's compose.yaml",
  ],
])('a list of files is an error: %s', (_what, files: Record<string, string>, message) => {
  expect(said(files)).toContain(message);
});

describe('on a host', () => {
  const on = stackHost();
  const web = (tag: string) => `services: {web: {image: "app:${tag}"}}\n`;

  test('a stack runs the merge of its listed files', async () => {
    await on.engine.apply({
      'shop/compose.yaml': `x-fairlead: {files: [compose.yaml, compose.prod.yaml]}\n${web('1')}`,
      'shop/compose.prod.yaml': web('2'),
    });
    expect(on.only('shop-web-1').config.Image).toBe('app:2');
  });

  test('a listed file in the host’s own directory is not taken for a manifest', async () => {
    const result = await on.engine.apply({
      'compose.yaml': `name: own\nx-fairlead: {files: [compose.yaml, compose.prod.yaml]}\n${web('1')}`,
      'compose.prod.yaml': web('2'),
      'more.yaml': 'files: {/srv/a: {content: x}}\n',
    });
    expect(result.outcome.problems).toEqual([]);
    expect(on.only('own-web-1').config.Image).toBe('app:2');
  });
});
