/** Hostile and broken repositories: never a crash, a hang or exhausted memory, always an error with a place. */
import { execFile as execFileCallback } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decryptAge, readAgeHeader } from '../../agent/secrets/age.ts';
import { parseSops } from '../../agent/secrets/sops-tree.ts';
import { standInSecrets } from '../../agent/secrets/stand-in.ts';
import { failOnStalls } from '../stall.ts';
import { type Blast, BOMBS, PLACES } from './bombs.ts';
import { loadRepo, type Repo } from './repo.ts';

const execFile = promisify(execFileCallback);

failOnStalls();

/** Seconds of processor time for one repository: four times the maximum on a quiet machine. */
const MAX_CPU = 4;
/** Bytes that one bomb may take, over all of its places: twice the worst one. */
const MAX_GROWTH = 400 * 1024 * 1024;

/** Loads, and checks the invariants of every result. */
async function load(repo: Repo) {
  // Each repository has a turn of the event loop of its own: see failOnStalls.
  await setImmediate();
  const cpu = process.cpuUsage();
  const loaded = await loadRepo(repo, { decrypt: standInSecrets });
  const { user, system } = process.cpuUsage(cpu);
  expect((user + system) / 1e6).toBeLessThan(MAX_CPU);
  for (const issue of loaded.issues) {
    expect(issue.file).not.toBe('');
    expect(issue.line).toBeGreaterThanOrEqual(1);
    expect(issue.column).toBeGreaterThanOrEqual(1);
    expect(issue.message).not.toMatch(
      /\n\s+at |undefined is not|Cannot read prop|Maximum call stack|\[object Object\]/,
    );
  }
  return loaded;
}
const errorsOf = async (repo: Repo) => (await load(repo)).issues.filter((i) => i.severity === 'error');

const doc = readFileSync(path.join(import.meta.dirname, '../../docs/manifests.md'), 'utf8');
const corpus = [...doc.matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].map((m) => m[1] ?? '');
const FILES = [
  'hosts/a/x.yaml',
  'hosts/a/host.yaml',
  'roles/r/role.yaml',
  'roles/r/x.yaml',
  'fleet.yaml',
  'hosts/a/compose.yaml',
];
const around: Repo = { 'hosts/a/host.yaml': 'roles: [r]\n', 'roles/r/role.yaml': 'vars: {}\n', 'hosts/a/files/x': 'x' };

const TOKENS = [
  ...[
    '{',
    '}',
    '[',
    ']',
    ':',
    ',',
    '- ',
    '? ',
    '|',
    '>',
    '"',
    "'",
    '#',
    '&a ',
    '*a',
    '!!',
    '!x ',
    '%',
    '@',
    '`',
    '\n',
    '\t',
    '  ',
  ],
  ...[
    '---\n',
    '...\n',
    '<<: *a\n',
    'null',
    '~',
    'true',
    '1e999',
    '0x1f',
    '.nan',
    '2026-11-24',
    '__proto__',
    'constructor',
    '${',
    '{{',
    '{%',
  ],
  ...['\0', '\u0007', '\u2028', '\ufeff', '\ud800', '🙂', '../', '/etc/x', 'unit:', 'file:/etc/x'],
];
const edit = fc.tuple(
  fc.nat(),
  fc.nat({ max: 30 }),
  fc.constantFrom(...TOKENS),
  fc.constantFrom('insert', 'delete', 'replace', 'copy', 'line'),
);
const mutated = fc
  .tuple(fc.constantFrom(...corpus), fc.array(edit, { minLength: 1, maxLength: 6 }))
  .map(([text, edits]) =>
    edits.reduce((now, [at, length, token, what]) => {
      const from = now.length === 0 ? 0 : at % now.length;
      if (what === 'insert') return now.slice(0, from) + token + now.slice(from);
      if (what === 'delete') return now.slice(0, from) + now.slice(from + length);
      if (what === 'replace') return now.slice(0, from) + token + now.slice(from + length);
      if (what === 'copy') return now.slice(0, from) + now.slice(from, from + length).repeat(3) + now.slice(from);
      const lines = now.split('\n');
      return [...lines.slice(0, from % lines.length), token, ...lines.slice(from % lines.length)].join('\n');
    }, text),
  );

test('mutated manifests and settings load, or are errors with a place', async () => {
  let errors = 0;
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...FILES), mutated, async (file, text) => {
      errors += (await load({ ...around, [file]: text })).issues.length;
    }),
    { numRuns: 250 },
  );
  expect(errors).toBeGreaterThan(50);
});

test('data of any shape in any place loads, or is an error with a place', async () => {
  const value = fc.anything({ withBigInt: false, withDate: false, maxDepth: 4 });
  const key = fc.constantFrom(
    'files',
    'units',
    'jobs',
    'checks',
    'services',
    'roles',
    'vars',
    'labels',
    'hosts',
    'name',
    'sops',
    '__proto__',
  );
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...FILES), key, value, async (file, name, data) => {
      await load({ ...around, [file]: `${name}: ${JSON.stringify(data) ?? 'null'}\n` });
    }),
    { numRuns: 150 },
  );
});

/** Runs bomb-process.ts; a process that is killed, by the kernel or by the time limit, is an error. */
async function blastOf(name: string): Promise<Blast> {
  const script = path.join(import.meta.dirname, 'bomb-process.ts');
  const { stdout } = await execFile(process.execPath, [script, name], { timeout: 170_000, maxBuffer: 2 ** 26 });
  return JSON.parse(stdout) as Blast;
}

describe('bombs', () => {
  test.each(Object.keys(BOMBS))('%s', async (name) => {
    const { issues, cpuSeconds, growthBytes } = await blastOf(name);
    expect(cpuSeconds).toBeLessThan(MAX_CPU);
    expect(growthBytes).toBeLessThan(MAX_GROWTH);
    expect(Object.keys(issues)).toEqual(PLACES);
    expect(PLACES.filter((place) => issues[place]?.length === 0)).toEqual([]);
  });

  test('the process measures the memory of a bomb', async () => {
    // The same text is a bomb only if it is parsed.
    expect((await blastOf('a wide list')).growthBytes).toBeGreaterThan(10 * 1024 * 1024);
    expect((await blastOf('tabs')).growthBytes).toBeLessThan(10 * 1024 * 1024);
  });
});

const NAMES = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  'valueOf',
  '',
  ' ',
  '/',
  '..',
  'a\u0000b',
  'x'.repeat(5_000),
  '\u202eexe',
  '\u001b[31m',
  "'; rm -rf /",
  '${HOME}',
  '{{ secrets }}',
  '<<',
];

describe('hostile names', () => {
  test.each(['files', 'units', 'jobs', 'checks', 'services', 'networks', 'volumes', 'x'])('of %s', async (section) => {
    for (const name of NAMES) {
      const text = `${section}:\n  ${JSON.stringify(name)}: {content: x, mode: 7}\n`;
      const errors = await errorsOf({ 'hosts/a/x.yaml': text });
      expect([name.slice(0, 20), errors.length > 0]).toEqual([name.slice(0, 20), true]);
    }
    expect(({} as Record<string, unknown>).content).toBeUndefined();
  });

  test('of variables, labels, roles and attributes', async () => {
    for (const name of NAMES) {
      const quoted = JSON.stringify(name);
      await load({
        'hosts/a/host.yaml': `vars: {${quoted}: 1}\nlabels: {${quoted}: x}\n`,
        'hosts/a/x.yaml': 'files: {/etc/x: {content: "{{ vars }}{{ host.labels }}", template: true}}\n',
      });
      expect((await errorsOf({ 'hosts/a/host.yaml': `roles: [${quoted}]\n` })).length).toBeGreaterThan(0);
      expect((await errorsOf({ 'hosts/a/host.yaml': `${quoted}: 1\n` })).length).toBeGreaterThan(0);
      expect(
        (await errorsOf({ 'hosts/a/x.yaml': `files: {/etc/x: {content: x, ${quoted}: 1}}\n` })).length,
      ).toBeGreaterThan(0);
    }
    expect(Object.keys(Object.prototype)).toEqual([]);
  });

  test('of files in the repository', async () => {
    for (const name of NAMES.filter((n) => n !== '')) {
      await load({
        [`hosts/a/${name}.yaml`]: 'files: {/etc/x: {content: x}}\n',
        [`hosts/a/${name}/compose.yaml`]: 'services: {a: {image: x}}\n',
        [`roles/${name}/role.yaml`]: 'roles: []\n',
      });
      await load({ [`hosts/a/${name}.sops.yaml`]: 'a: 1\n', [`hosts/a/${name}.age`]: 'x', 'hosts/a/x.yaml': '' });
    }
  });
});

test('templates with any text load, or are errors with a place', async () => {
  const piece = fc.oneof(
    fc.constantFrom(
      '{{',
      '}}',
      '{%',
      '%}',
      '|',
      'vars.a',
      'for i in (1..9)',
      'endfor',
      'if',
      'include "x"',
      'capture a',
      'raw',
      '-%}',
      '"',
      ':',
      'sort',
      'map',
      'where',
    ),
    fc.string({ maxLength: 6 }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 12 }), async (parts) => {
      await load({
        'hosts/a/host.yaml': 'vars: {a: [1, {b: 2}]}\n',
        'hosts/a/x.yaml': 'files: {/etc/x: {source: t, template: true}}\n',
        'hosts/a/t': parts.join(' '),
      });
    }),
    { numRuns: 150 },
  );
});

test('encrypted files of any bytes are refused with a message', async () => {
  const text = fc.oneof(fc.string({ maxLength: 400 }), fc.constantFrom(...corpus), fc.json());
  const armored = text.map(
    (t) =>
      `-----BEGIN AGE ENCRYPTED FILE-----\n${Buffer.from(`age-encryption.org/v1\n-> ${t}`).toString('base64')}\n-----END AGE ENCRYPTED FILE-----\n`,
  );
  const key = 'AGE-SECRET-KEY-1QYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSPVFV4W';
  await fc.assert(
    fc.asyncProperty(fc.oneof(text, armored), async (content) => {
      const data = new TextEncoder().encode(content);
      for (const name of ['x.sops.yaml', 'x.sops.json', 'x.sops.env', 'x.sops'])
        expect(() => parseSops(name, data)).toThrow(Error);
      await expect(decryptAge(data, key)).rejects.toThrow(Error);
      await readAgeHeader(data).then(
        () => undefined,
        (error: unknown) => expect(error).toBeInstanceOf(Error),
      );
    }),
    { numRuns: 150 },
  );
});
