/** Variables of one host: from agent.yaml and from the file that it names. */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { parseConfig } from '../../agent/config.ts';
import { openLocalVars } from '../../agent/daemon/local-vars.ts';
import { createLoader } from '../../agent/engine/load/load.ts';
import { KINDS } from '../../agent/kinds/index.ts';
import { checkoutOf, facts, find, keyedHash, loadRepo, providers, sha256, textOf } from './repo.ts';

const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'fairlead-vars-'));
const file = path.join(dir, 'vars.yaml');
const AGENT = '/etc/fairlead/agent.yaml';
afterAll(() => fs.rmSync(dir, { recursive: true, force: true }));

/** The variables of an agent.yaml with these lines and a file with that text. */
async function open(lines: string, text?: string) {
  if (text !== undefined) fs.writeFileSync(file, text);
  const named = text === undefined ? '' : `varsFile: ${file}\n`;
  return openLocalVars(parseConfig(AGENT, `repo: {url: /x}\n${named}${lines}`, 'a'), AGENT);
}

const REPO = {
  'fleet.yaml': 'vars: {a: fleet, b: fleet, c: fleet, d: fleet}\n',
  'roles/web/role.yaml': 'vars: {b: role, c: role}\n',
  'hosts/a/host.yaml': 'roles: [web]\nvars: {c: host, d: host}\n',
  'hosts/a/a.yaml':
    'files: {/etc/a: {template: true, content: "{{ vars.a }} {{ vars.b }} {{ vars.c }} {{ vars.d }}"}}\n',
  'hosts/a/shop/compose.yaml': 'services: {web: {image: "app:${a}", environment: {D: "${d}"}}}\n',
};

test('local variables override fleet, role and host, and agent.yaml itself overrides its file', async () => {
  const vars = await open('vars: {d: agent}\n', 'c: file\nd: file\n');
  const loaded = await loadRepo(REPO, { localVars: vars.current });
  expect(textOf(loaded, 'file:/etc/a')).toBe('fleet role file agent');
});

test('local variables reach the variables of Compose as well', async () => {
  const loaded = await loadRepo(REPO, { localVars: (await open('vars: {a: "2", d: 5}\n')).current });
  expect(find(loaded, 'service:shop/web')?.spec).toMatchObject({ image: 'app:2' });
});

test('local variables change the hash of a commit, which decides whether it is known to be bad', async () => {
  const content = async (lines: string) => (await loadRepo(REPO, { localVars: (await open(lines)).current })).content();
  expect(await content('vars: {d: x}\n')).not.toBe(await content('vars: {d: y}\n'));
});

test('local variables leave the hash unchanged if nothing uses them', async () => {
  const content = async (lines: string) => (await loadRepo(REPO, { localVars: (await open(lines)).current })).content();
  expect(await content('vars: {other: x}\n')).toBe(await content(''));
});

test('local variables know where they were written', async () => {
  const vars = (await open('vars:\n  d: agent\n', '# a comment\nc: file\n')).current();
  expect(vars.get('c')?.origin).toEqual({ file, line: 2, layer: 'agent.yaml' });
  expect(vars.get('d')?.origin).toEqual({ file: AGENT, line: 4, layer: 'agent.yaml' });
});

test('local variables may be in a JSON file as well', async () => {
  expect((await open('', '{"c": {"ports": [1, 2]}}')).current().get('c')?.value).toEqual({ ports: [1, 2] });
});

test('an empty file has no variables', async () => {
  expect((await open('', '')).current().size).toBe(0);
});

test('a loader reads a commit again when they changed, and only then', async () => {
  const vars = await open('', 'c: one\n');
  const load = createLoader({
    ...{ host: 'a', fleet: 'default', labels: {}, treeRoot: '/var/lib/fairlead/tree' },
    ...{ facts, sha256, keyedHash, kinds: KINDS, providers: providers(), localVars: vars.current },
  });
  const checkout = checkoutOf(REPO);
  const before = await load(checkout);
  await vars.look();
  expect(await load(checkout)).toBe(before);
  fs.writeFileSync(file, 'c: two\n');
  expect(await load(checkout)).toBe(before);
  await vars.look();
  expect(textOf(await load(checkout), 'file:/etc/a')).toBe('fleet role two host');
});

test.each([
  ['a list', '- a\n', /must be a mapping/],
  ['no YAML', 'a: [\n', /vars\.yaml:\d+:\d+/],
  ['not UTF-8', Buffer.from([0x61, 0x3a, 0x20, 0xe9]), /it is not UTF-8/],
])('a file that is %s keeps the former values in force and is a problem', async (_, text, said) => {
  const vars = await open('', 'c: one\n');
  fs.writeFileSync(file, text);
  await vars.look();
  expect(vars.current().get('c')?.value).toBe('one');
  expect(vars.problems()).toMatchObject([
    { id: 'agent.yaml', reason: 'InvalidConfig', message: expect.stringMatching(said) },
  ]);
  fs.writeFileSync(file, 'c: two\n');
  await vars.look();
  expect(vars.problems()).toEqual([]);
});

test('a missing file at the start is an error of agent.yaml', async () => {
  const config = parseConfig(AGENT, `repo: {url: /x}\nvarsFile: ${dir}/none.yaml\n`, 'a');
  await expect(openLocalVars(config, AGENT)).rejects.toThrow(
    `cannot read ${dir}/none.yaml, which \`varsFile\` of agent.yaml names: there is no such file`,
  );
});
