/** Hostile and broken repositories: never a crash, a hang or a flood of memory, always an error with a place. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decryptAge, readAgeHeader } from '../../agent/secrets/age.ts';
import { parseSops } from '../../agent/secrets/sops-tree.ts';
import { standInSecrets } from '../../agent/secrets/stand-in.ts';
import { loadRepo, type Repo } from './repo.ts';

/** Seconds of processor time for one repository: four times what none may take on a quiet machine. */
const MAX_CPU = 4;
const MAX_GROWTH = 600 * 1024 * 1024;

/** Loads, and holds the result to what every result must be. */
async function load(repo: Repo) {
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

test('mutated manifests and settings', async () => {
  let errors = 0;
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...FILES), mutated, async (file, text) => {
      errors += (await load({ ...around, [file]: text })).issues.length;
    }),
    { numRuns: 250 },
  );
  expect(errors).toBeGreaterThan(50);
}, 60_000);

test('plain data of any shape in every place', async () => {
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
}, 60_000);

const bytes = (...list: number[]) => new Uint8Array(list);
const nested = (open: string, close: string, n: number) => open.repeat(n) + close.repeat(n);
const BOMBS: Record<string, string | Uint8Array> = {
  'an alias bomb': `a: &a [x,x,x,x,x,x,x,x,x]\n${[...'bcdefghij'].map((c, i) => `${c}: &${c} [${Array(9).fill(`*${'abcdefghi'[i]}`)}]`).join('\n')}\nfiles: *j\n`,
  'a merge bomb': `a: &a {x: 1}\n${Array.from({ length: 60 }, (_, i) => `b${i}: &b${i} {<<: [*${i ? `b${i - 1}` : 'a'}, *${i ? `b${i - 1}` : 'a'}]}`).join('\n')}\nfiles: *b59\n`,
  'an alias to itself': 'files: &a\n  /etc/x: *a\n',
  'deep flow lists': `files: ${nested('[', ']', 50_000)}`,
  'deep flow maps': `files: ${nested('{a: ', '}', 50_000)}`,
  'deep lists': `files:\n${'- '.repeat(50_000)}x`,
  'deep maps': Array.from({ length: 2_000 }, (_, i) => `${' '.repeat(i)}a:`).join('\n'),
  'deep keys': `${'? '.repeat(20_000)}x`,
  'a wide list': `files: [${'1,'.repeat(400_000)}]`,
  'many entries': `files:\n${Array.from({ length: 4_000 }, (_, i) => `  /etc/f${i}: {contnet: x}`).join('\n')}`,
  'a map of very many keys': Array.from({ length: 25_000 }, (_, i) => `k${i}: x`).join('\n'),
  'one long line': `files: {/etc/x: {content: "${'x'.repeat(3_000_000)}`,
  'many documents': '---\na: 1\n'.repeat(50_000),
  'many comments': '# x\n'.repeat(200_000),
  'more than a manifest may have': 'x'.repeat(5_000_000),
  'anchors without end': `files: [${Array.from({ length: 20_000 }, (_, i) => `&a${i} x`).join(', ')}]`,
  'bytes that are no text': bytes(0xff, 0xfe, 0x00, 0x80, 0xc3, 0x28, 0x0a, 0x66),
  'nothing but NUL': bytes(...Array(2_000).fill(0)),
  'a tag of another language': 'files: !!js/function "function(){ return 1 }"\n',
  'binary and sets': 'files: !!binary aGVsbG8=\nunits: !!set {a, b}\n',
  'a directive': '%YAML 9.9\n%TAG ! tag:x,2000:\n---\nfiles: !x {}\n',
  tabs: 'files:\n\t/etc/x:\n\t\tcontent: x\n',
};

describe('bombs', () => {
  const growth = () => process.resourceUsage().maxRSS * 1024;
  test.each(Object.keys(BOMBS))(
    '%s',
    async (name) => {
      const before = growth();
      for (const file of ['hosts/a/x.yaml', 'hosts/a/host.yaml', 'hosts/a/compose.yaml']) {
        const issues = (await load({ ...around, [file]: BOMBS[name] ?? '' })).issues;
        // Comments alone say nothing, and nothing wrong.
        if (name !== 'many comments' && file !== 'hosts/a/compose.yaml')
          expect([file, issues.length]).not.toEqual([file, 0]);
      }
      expect(growth() - before).toBeLessThan(MAX_GROWTH);
    },
    30_000,
  );
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

test('templates of any text', async () => {
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
}, 60_000);

test('encrypted files of any bytes are refused with a sentence', async () => {
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
}, 60_000);
