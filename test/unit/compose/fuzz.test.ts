import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { allCases, type Case } from '../../compose/cases.ts';
import { composeFiles } from '../../compose/generated.ts';
import { loadCase } from '../../compose/load.ts';

const seed = Number(process.env.FAIRLEAD_SEED ?? 20_261_124);
const caseOf = (files: Record<string, string>): Case => ({
  ...{ name: '', slug: 'fuzz', dir: '', vars: { A: 'a' }, refused: false, stricter: '', looser: '', files },
});
const errorsOf = (text: string) =>
  loadCase(caseOf({ 'compose.yaml': text })).issues.filter((i) => i.severity === 'error');

describe('hostile YAML is an error, not a crash', () => {
  const laughs = Array.from({ length: 12 }, (_, i) => `  l${i + 1}: &l${i + 1} [${`*l${i},`.repeat(9)}*l${i}]`).join(
    '\n',
  );
  const HOSTILE: Record<string, [text: string, message: RegExp]> = {
    'a bomb of aliases': [`x-bomb:\n  l0: &l0 [lol]\n${laughs}\nservices: {a: {image: x}}`, /more than 200000 values/],
    'a bomb of merges': [
      `x-a0: &a0 {k0: 1, k1: 2}\n${Array.from({ length: 40 }, (_, i) => `x-a${i + 1}: &a${i + 1} {b: {<<: *a${i}}, c: {<<: *a${i}}}`).join('\n')}\nservices: {a: {image: x}}`,
      /more than 200000 values/,
    ],
    'nesting in brackets': [`services: ${'['.repeat(50_000)}${']'.repeat(50_000)}`, /nest/],
    'nesting in dashes': [`services:\n${'- '.repeat(20_000)}a`, /nest/],
    'nesting in blocks': [Array.from({ length: 2_000 }, (_, i) => `${' '.repeat(i)}k:`).join('\n'), /nest/],
    'an alias of itself': ['services: &s {a: {image: x, labels: *s}}', /refers to a value that contains it/],
    'a huge scalar': [`services: {a: {image: "${'x'.repeat(5_000_000)}"}}`, /characters/],
    'nested variables': [`services: {a: {image: "${'${A:-'.repeat(20_000)}x${'}'.repeat(20_000)}"}}`, /nested/],
    'a nul': ['services: {a: {image: "x\0"}}', /YAML/],
    'a directive': ['%YAML 9.9\n---\nservices: {a: {image: x}}', /YAML/],
    'keys that are lists': ['? [a, b]\n: c', /not a string/],
  };

  test.each(Object.entries(HOSTILE))('%s', (_name, [text, message]) => {
    const { issues } = loadCase(caseOf({ 'compose.yaml': text }));
    expect(
      issues
        .filter((i) => i.severity === 'error')
        .map((i) => i.message)
        .join('\n'),
    ).toMatch(message);
  });

  test('many variables in one text take no time', () => {
    for (const text of [
      '${A:-x} '.repeat(100_000),
      '$A'.repeat(200_000),
      '${A:-{'.repeat(2_000),
      `${'${A:-x}\n'.repeat(50_000)}`,
    ])
      loadCase(caseOf({ 'compose.yaml': JSON.stringify({ services: { a: { image: 'x', labels: { l: text } } } }) }));
  });

  const services = (lines: readonly string[]) => `services:\n${lines.join('\n')}\n`;
  const many = (n: number, line: (i: number) => string) => Array.from({ length: n }, (_, i) => line(i));
  test.each<[string, string, RegExp]>([
    [
      'all ports, many times',
      services(many(40, (i) => `  s${i}: {image: x, ports: ["0-65535:0-65535"]}`)),
      /more than 400000 values/,
    ],
    [
      'a large service that all others extend',
      services([
        '  base:',
        '    image: x',
        '    labels:',
        ...many(2_000, (i) => `      l${i}: v`),
        ...many(1_000, (i) => `  s${i}: {extends: base}`),
      ]),
      /more than 400000 values/,
    ],
    [
      'a long chain of extends',
      services(many(3_000, (i) => `  s${i}: {image: x, extends: s${i + 1}}`).concat('  s3000: {image: x}')),
      /more than 200 deep/,
    ],
    ['a long cycle', services(many(3_000, (i) => `  s${i}: {image: x, depends_on: [s${(i + 1) % 3_000}]}`)), /cycle/],
    [
      'many mistakes',
      services(many(5_000, (i) => `  s${i}: {image: x, nonsense${i}: 1, networks: [n${i}]}`)),
      /and 4500 more/,
    ],
    ['a long number', services([`  s: {image: x, stop_grace_period: "${'1'.repeat(300_000)}"}`]), /duration/],
    ['many lines to move', services(many(30_000, (i) => `  s${i}: {image: x, nonsense: [\n]}`)), /and 29500 more/],
    ['a line far to the right', `${' '.repeat(100_000)}a: [\n${'\n'.repeat(1_000)}x\n]`, /./],
    ['a long size', services([`  s: {image: x, mem_limit: "${'1.'.repeat(300_000)}"}`]), /size/],
    [
      'many equal mounts',
      services([`  s: {image: x, volumes: [${'{type: bind, source: a}, '.repeat(20_000)}]}`]),
      /same item twice/,
    ],
  ])('%s', (_name, text, message) => {
    const messages = loadCase(caseOf({ 'compose.yaml': text })).issues.map((i) => i.message);
    expect(messages.length).toBeLessThanOrEqual(501);
    expect(messages.join('\n')).toMatch(message);
  });

  test('a chain of the same label_file', () => {
    const files = {
      'compose.yaml': services([`  s: {image: x, label_file: [${'l.env, '.repeat(50_000)}]}`]),
      'l.env': 'A=1\n'.repeat(100_000),
    };
    expect(
      loadCase(caseOf(files))
        .issues.map((i) => i.message)
        .join(),
    ).toMatch(/more than 400000 values/);
  });

  test('names of JavaScript objects are ordinary names', () => {
    const { project, issues } = loadCase(
      caseOf({
        'compose.yaml':
          'services: {__proto__: {image: x, environment: {__proto__: a, constructor: b, toString: c}}, hasOwnProperty: {image: y, depends_on: [__proto__]}}',
      }),
    );
    expect(issues).toEqual([]);
    expect(Object.keys(project.services).sort()).toEqual(['__proto__', 'hasOwnProperty']);
    expect(Object.getPrototypeOf(project.services)).toBe(Object.prototype);
    expect(({} as { image?: unknown }).image).toBeUndefined();
  });

  test.each(['constructor', '__proto__', 'toString'])('%s is not accepted as a key of a service', (key) => {
    expect(errorsOf(`services: {a: {image: x, ${key}: {}}}`).map((e) => e.message)).toEqual([
      expect.stringContaining(`unknown key \`${key}\``),
    ]);
  });

  test('a hundred services, each extending the one before', () => {
    const chain = Array.from(
      { length: 100 },
      (_, i) => `  s${i}: {${i === 0 ? 'image: x' : `extends: s${i - 1}`}, labels: {l${i}: v}}`,
    );
    const { project, issues } = loadCase(caseOf({ 'compose.yaml': `services:\n${chain.join('\n')}\n` }));
    expect(issues).toEqual([]);
    expect(Object.keys(project.services.s99?.labels ?? {}).length).toBe(100);
  });
});

describe('mutated files never crash the loader', () => {
  const texts = allCases().map((one) => Object.values(one.files)[0] ?? '');
  const SPLINTERS = [
    '&a',
    '*a',
    '!reset',
    '!override',
    '<<: *a',
    '${',
    '}',
    '$',
    '"',
    "'",
    '[',
    ']',
    '{',
    '}',
    ':',
    '- ',
    '\n',
    '\t',
    '---\n',
    '? ',
    '|',
    '>',
    '#',
    '\0',
    '\u{1F600}',
    '~',
    '0x',
    '__proto__: ',
    '!!binary ',
    '%',
  ];

  test('with fragments of YAML', () => {
    const mutant = fc
      .tuple(
        fc.constantFrom(...texts),
        fc.array(fc.tuple(fc.nat(), fc.nat(12), fc.constantFrom(...SPLINTERS)), { minLength: 1, maxLength: 4 }),
      )
      .map(([text, cuts]) =>
        cuts.reduce(
          (t, [at, gone, put]) => `${t.slice(0, at % (t.length + 1))}${put}${t.slice((at % (t.length + 1)) + gone)}`,
          text,
        ),
      );
    fc.assert(
      fc.property(mutant, (text) => {
        for (const { line, column, message } of loadCase(caseOf({ 'compose.yaml': text })).issues) {
          expect(line).toBeGreaterThan(0);
          expect(column).toBeGreaterThan(0);
          expect(message).not.toMatch(/undefined|\[object/);
        }
      }),
      { seed, numRuns: 2_000 },
    );
  });

  test('with values of another type', () => {
    const other = fc.constantFrom<unknown>(
      null,
      true,
      0,
      -1,
      1.5,
      '',
      'x',
      [],
      {},
      [null],
      [[]],
      [{}],
      { x: null },
      { '': 1 },
    );
    fc.assert(
      fc.property(composeFiles(), fc.nat(), other, (files, at, value) => {
        const changed = {
          ...files,
          'compose.yaml': JSON.stringify(replaceOne(JSON.parse(files['compose.yaml'] ?? ''), at, value)),
        };
        expect(loadCase(caseOf(changed)).issues.every((i) => i.line > 0)).toBe(true);
      }),
      { seed, numRuns: 1_200 },
    );
  });

  test('with any text as .env and env_file', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 60 }), fc.string({ maxLength: 60 }), (env, file) => {
        const files = {
          'compose.yaml': 'services: {a: {image: x, env_file: a.env}}',
          '.env': env,
          'a.env': `A=1\n${file}`,
        };
        expect(loadCase(caseOf(files)).issues.every((i) => i.line > 0)).toBe(true);
      }),
      { seed, numRuns: 2_000 },
    );
  });
});

/** The tree with its n-th value replaced. */
function replaceOne(root: unknown, at: number, value: unknown): unknown {
  let count = 0;
  const size = (node: unknown): number =>
    typeof node === 'object' && node !== null
      ? 1 + Object.values(node).reduce((sum: number, child) => sum + size(child), 0)
      : 1;
  const target = at % size(root);
  const walk = (node: unknown): unknown => {
    if (count++ === target) return value;
    if (Array.isArray(node)) return node.map(walk);
    if (typeof node !== 'object' || node === null) return node;
    return Object.fromEntries(Object.entries(node).map(([key, child]) => [key, walk(child)]));
  };
  return walk(root);
}
