import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { pathsOf, type Shape } from '../../../agent/compose/spec/shape.ts';
import { project } from '../../../agent/compose/spec/spec.ts';
import { allCases, type Case } from '../../compose/cases.ts';
import { loadCase } from '../../compose/load.ts';
import { classOf, DOCUMENT, specificationPaths, withTable } from '../../compose/table.ts';
import { pathsIn } from '../../compose/touched.ts';

const ours = new Map(pathsOf(project).map(({ path, shape }) => [path, shape]));

test('the table has exactly the paths of the Specification', () => {
  const { origin, paths } = specificationPaths();
  expect(origin).toMatch(/\d{4}-\d{2}-\d{2}/);
  expect(paths.length).toBeGreaterThan(450);
  expect(paths.filter((path) => !ours.has(path))).toEqual([]);
  expect([...ours.keys()].filter((path) => !paths.includes(path))).toEqual([]);
});

test('docs/compose.md prints the table', () => {
  const document = readFileSync(DOCUMENT, 'utf8');
  expect(document).toBe(withTable(document));
});

const caseOf = (text: string): Case => ({
  ...{ name: '', slug: 'unit', dir: '', vars: {}, refused: false, stricter: '', looser: '' },
  files: { 'compose.yaml': text, 'a.env': 'A="1" # $B\n' },
});
const errorsOf = (text: string) => loadCase(caseOf(text)).issues.filter((i) => i.severity === 'error');

describe('refused paths', () => {
  /** A valid value for each refused path. */
  const REFUSED: Record<string, string> = {
    'services.*.build': '.',
    'services.*.cpu_count': '1',
    'services.*.cpu_percent': '50',
    'services.*.credential_spec': '{file: a.json}',
    'services.*.deploy.resources.reservations.generic_resources': '[{discrete_resource_spec: {kind: ssd, value: 1}}]',
    'services.*.deploy.rollback_config': '{parallelism: 1}',
    'services.*.develop': '{watch: [{path: ., action: rebuild}]}',
    'services.*.isolation': 'hyperv',
    'services.*.models': '[m]',
    'services.*.provider': '{type: x}',
    'networks.*.ipam.options': '{a: b}',
    'secrets.*.external.name': 'other',
    'configs.*.external.name': 'other',
    'secrets.*.driver': 'd',
    'secrets.*.driver_opts': '{a: b}',
    'secrets.*.template_driver': 'd',
    'configs.*.template_driver': 'd',
    models: '{m: {model: x}}',
  };
  const refusedRoots = [...ours].filter(([path, shape]) => {
    const parent = [...ours.keys()]
      .filter((p) => path !== p && (path.startsWith(`${p}.`) || path.startsWith(`${p}[]`)))
      .at(-1);
    return shape.refuse && !(ours.get(parent ?? '') as Shape | undefined)?.refuse;
  });

  test.each(refusedRoots.map(([path, shape]) => [path, shape.refuse ?? ''] as const))('%s', (path, why) => {
    const value = REFUSED[path];
    expect(value, 'no example').toBeDefined();
    const errors = errorsOf(example(path, value ?? ''));
    expect(errors.map((e) => e.message)).toEqual([expect.stringMatching(/^`\w+` /)]);
    expect(errors[0]?.message).toContain(why);
    expect(errors[0]?.line).toBe(
      example(path, value ?? '')
        .split('\n')
        .findIndex((l) => l.includes('# here')) + 1,
    );
  });
});

test.each([
  ['services.*.deploy.endpoint_mode', 'vip'],
  ['services.*.deploy.labels', '{a: b}'],
  ['services.*.deploy.placement', '{constraints: [node.role==manager]}'],
])('%s is for swarms, and only causes a warning', (path, value) => {
  const { issues } = loadCase(caseOf(example(path, value)));
  expect(issues.map((i) => i.severity)).toEqual(['warning']);
  expect(issues[0]?.message).toMatch(/swarm/);
});

/** A compose file with one additional key, whose line ends in `# here`. */
function example(path: string, value: string): string {
  const used = 'services:\n  s:\n    image: x\n    networks: [s]\n    secrets: [s]\n    configs: [s]\n';
  const rest: Record<string, string> = {
    networks: '  s:\n',
    secrets: '  s:\n    file: ./s\n',
    configs: '  s:\n    file: ./s\n',
  };
  const [section = '', , ...keys] = path.split('.');
  if (keys.length === 0)
    return `${used}networks: {s: }\nsecrets: {s: {file: ./s}}\nconfigs: {s: {file: ./s}}\n${path}: ${value} # here\n`;
  const nested = keys
    .map((key, i) => `${' '.repeat(4 + 2 * i)}${key}:${i === keys.length - 1 ? ` ${value} # here` : ''}\n`)
    .join('');
  const sections = Object.entries(rest).map(([name, body]) => `${name}:\n${body}${name === section ? nested : ''}`);
  return `${used}${section === 'services' ? nested : ''}${sections.join('')}`;
}

describe('keys that are newer than the oracle', () => {
  const YOUNG: Record<string, [text: string, at: readonly (string | number)[], value: unknown]> = {
    'services.*.pull_refresh_after': [
      'services: {s: {image: x, pull_refresh_after: 12h}}',
      ['pull_refresh_after'],
      '12h',
    ],
    'services.*.pre_start': [
      'services: {s: {image: x, pre_start: [{command: a b, image: i, per_replica: "true", user: u, working_dir: /w, privileged: true, environment: [A=1]}]}}',
      ['pre_start'],
      [
        {
          command: ['a', 'b'],
          image: 'i',
          per_replica: true,
          user: 'u',
          working_dir: '/w',
          privileged: true,
          environment: { A: '1' },
        },
      ],
    ],
  };

  test.each(Object.entries(YOUNG))('%s', (_path, [text, at, value]) => {
    const { project: model, issues } = loadCase(caseOf(text));
    expect(issues).toEqual([]);
    const found = at.reduce<unknown>(
      (node, step) => (node as Record<string | number, unknown>)[step],
      model.services.s,
    );
    expect(found).toEqual(value);
  });

  test('each has an example', () => {
    const inspected = [...ours].filter(([, shape]) => classOf(shape) === 'inspected').map(([path]) => path);
    const shown = new Set(Object.values(YOUNG).flatMap(([text]) => [...pathsIn(caseOf(text))]));
    const inForms = (path: string) => shown.has(path) || shown.has(path.replace(/\.\*$|\[\]$/, ''));
    expect(inspected.filter((path) => !inForms(path))).toEqual([]);
  });
});

test('cases that only fairlead refuses have a reason', () => {
  for (const one of allCases()) expect(one.stricter === '' || one.stricter.length > 5, one.name).toBe(true);
});
