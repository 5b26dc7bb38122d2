/** The rules of docs/architecture.md, checked against the sources, and each rule checked against sources that break it. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { KINDS, SECTIONS } from '../../manifests-schema/kinds/index.ts';
import {
  cycles,
  impure,
  moduleState,
  namedIds,
  namedKinds,
  needsOfNode,
  type Plan,
  pastDoors,
  strayLibraries,
  upwards,
  upwardsInside,
} from '../layers/rules.ts';
import { importsOf, literalsOf, type Sources, withoutComments } from '../layers/source.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const sources: Sources = new Map(
  ['agent', 'manifests-schema'].flatMap((dir) =>
    readdirSync(path.join(ROOT, dir), { recursive: true, encoding: 'utf8' })
      .filter((file) => /\.tsx?$/.test(file))
      .map((file): [string, string] => [path.posix.join(dir, file), readFileSync(path.join(ROOT, dir, file), 'utf8')]),
  ),
);

/** The composition root. */
const MAIN = [
  'agent/main.ts',
  'agent/command-line.ts',
  'agent/daemon.ts',
  'agent/daemon',
  'agent/doctor.ts',
  'agent/host-probes.ts',
  'agent/layout.ts',
  'agent/relay.ts',
];

const PLAN: Plan = {
  floors: [
    [...MAIN, 'agent/cli'],
    // Code for the browser: no other room imports it.
    ['agent/dashboard'],
    ['agent/control', 'agent/report', 'agent/fleet', 'agent/repo', 'agent/metrics'],
    ['agent/notify'],
    ['agent/engine'],
    ['agent/kinds', 'agent/upgrade'],
    ['agent/compose', 'agent/git', 'agent/secrets', 'agent/system', 'agent/store'],
    ['agent/core'],
    ['manifests-schema'],
  ],
  leaves: [
    'agent/config.ts',
    'agent/directories.ts',
    'agent/errors.ts',
    'agent/log.ts',
    'agent/reading.ts',
    'agent/tame.ts',
  ],
  below: 'manifests-schema',
  root: MAIN,
  inside: {
    'agent/kinds': [
      ['index.ts'],
      ['service', 'unit', 'job', 'check', 'sysctl'],
      ['container', 'file'],
      ['image'],
      ['docker'],
    ],
    'agent/engine': [['when'], ['drift'], ['run'], ['decide'], ['steps', 'load'], ['types.ts']],
    // The reporter knows channels only by their interface. In notify, the content and words of a message come before its
    // delivery.
    'agent/notify': [
      ['index.ts'],
      ['notifier.ts'],
      ['deliver.ts'],
      ['post.ts', 'mail.ts'],
      ['destinations'],
      ['model'],
    ],
    'agent/report': [['index.ts'], ['reporter.ts', 'mqtt'], ['retaining.ts'], ['pace.ts']],
    'agent/metrics': [['index.ts'], ['prometheus', 'host'], ['tally.ts']],
    'agent/git': [
      ['source.ts'],
      ['access.ts'],
      ['fetch.ts', 'renewal.ts'],
      ['reader', 'trust'],
      ['store'],
      ['pack'],
      ['wire'],
    ],
    'agent/cli': [
      ['index.ts'],
      ['program.ts'],
      ['fleet', 'repository', 'shell'],
      ['host'],
      ['building.ts', 'failure.ts', 'since.ts'],
      ['context.ts'],
      ['text'],
    ],
    'agent/core': [
      ['channel.ts'],
      ['render', 'reporting', 'version'],
      ['plan'],
      ['order'],
      ['each.ts'],
      ['provider.ts', 'kind.ts'],
      ['id.ts', 'progress.ts', 'strict-text.ts', 'credentials', 'clock-doubt.ts', 'reach.ts', 'exit-codes.ts'],
      ['types.ts'],
      ['names', 'trust.ts'],
      ['payload'],
    ],
    'agent/engine/run': [
      ['reconcile.ts', 'preview.ts'],
      ['pursue.ts'],
      ['try-commit.ts'],
      ['converge.ts', 'gates.ts'],
      ['plan-for.ts'],
      ['prefetch.ts'],
      ['records'],
      ['guards'],
      ['create-run.ts', 'patience.ts'],
    ],
    'agent/kinds/service': [
      ['kind.ts', 'provider.ts', 'watch.ts'],
      ['act', 'data'],
      ['plan.ts'],
      ['order.ts', 'names.ts', 'memory.ts', 'summary.ts'],
    ],
    'agent/store': [
      ['disk-full-store.ts'],
      ['db.ts'],
      ['schema'],
      ['inventory'],
      ['history'],
      ['commands.ts', 'commits.ts', 'facts.ts', 'records.ts', 'snapshots.ts', 'trust.ts', 'lock.ts'],
      ['disk'],
    ],
    'agent/compose': [['index.ts'], ['stack'], ['load'], ['merge'], ['spec'], ['yaml']],
  },
  doors: [
    // The page reads the fleet only by code that needs nothing of Node.
    {
      from: 'agent/dashboard',
      to: 'agent/fleet',
      only: ['agent/fleet/reader/gate.ts', 'agent/fleet/reader/kept.ts', 'agent/fleet/reader/link.ts'],
    },
    ...MAIN.concat('agent/cli').map((from) => ({ from, to: 'agent/dashboard', only: [] })),
    // The command line speaks to the daemon only by these.
    { from: 'agent/cli', to: 'agent/control', only: ['agent/control/protocol.ts', 'agent/control/client.ts'] },
    // Only the composition root knows the kinds, by the one file that lists them.
    ...['engine', 'control', 'report', 'fleet', 'repo', 'metrics', 'cli'].map((room) => ({
      from: `agent/${room}`,
      to: 'agent/kinds',
      only: [],
    })),
    ...MAIN.map((file) => ({ from: file, to: 'agent/kinds', only: ['agent/kinds/index.ts'] })),
  ],
};

/** Libraries of a kind stay in its rooms and its drivers; each other library has one room as well. */
const LIBRARIES = {
  dockerode: ['agent/system', 'agent/kinds/docker', 'agent/kinds/container'],
  'dbus-native': ['agent/system'],
  nodemailer: ['agent/notify'],
  // Only types.
  '@octokit/openapi-types': ['agent/fleet/relay/forges'],
  mqtt: ['agent/system', 'agent/report/mqtt', 'agent/dashboard/link'],
  '@noble/hashes': ['agent/dashboard/link'],
  preact: ['agent/dashboard'],
  uplot: ['agent/dashboard/view'],
  '@tanstack/virtual-core': ['agent/dashboard/view'],
  'mqtt-packet': ['agent/system'],
  systeminformation: ['agent/system'],
  pino: ['agent/system'],
  'better-sqlite3': ['agent/store'],
  'isomorphic-git': ['agent/git'],
  'age-encryption': ['agent/secrets'],
  commander: ['agent/cli'],
  liquidjs: ['agent/core'],
  'js-yaml': ['agent/compose'],
  yaml: ['manifests-schema', 'agent/secrets', 'agent/cli'],
  zod: ['manifests-schema', 'agent/core'],
  croner: ['manifests-schema', 'agent/engine'],
  'node-cron': ['agent/config.ts', 'agent/engine'],
};

const NAMES = { kinds: KINDS, sections: SECTIONS };
/** These rooms know kinds only by `KindDefinition`. */
const BLIND = ['agent/core', 'agent/engine'];
/** Here `'file'` may be a word of git or of stat(2); ids and comparisons of kinds are forbidden nevertheless. */
const OTHERS = [
  'control',
  'report',
  'notify',
  'fleet',
  'repo',
  'metrics',
  'cli',
  'git',
  'secrets',
  'system',
  'store',
].map((r) => `agent/${r}`);

test('imports only point down', () => {
  expect(sources.size).toBeGreaterThan(200);
  expect(upwards(sources, PLAN)).toEqual([]);
});

test('imports inside a room only point down as well', () => {
  expect(upwardsInside(sources, PLAN)).toEqual([]);
});

test('only the composition root knows the kinds, and the command line knows the daemon only by its protocol', () => {
  expect(pastDoors(sources, PLAN)).toEqual([]);
});

test('core, compose and the schemas do no I/O', () => {
  const shipped = new Map([...sources].filter(([file]) => file !== 'manifests-schema/generate.ts'));
  expect(
    impure(shipped, [
      'agent/core',
      'agent/compose',
      'agent/engine/decide',
      'agent/notify/model',
      'agent/notify/destinations',
      'agent/dashboard/model',
      'manifests-schema',
    ]),
  ).toEqual([]);
});

test('the reader of a fleet runs in a browser as well', () => {
  expect(needsOfNode(sources, 'agent/fleet/reader', ['zod'])).toEqual([]);
});

test('a library is imported only in its own rooms', () => {
  expect(strayLibraries(sources, LIBRARIES)).toEqual([]);
});

test('no module keeps state of its own', () => {
  expect(moduleState(sources)).toEqual([]);
});

test('no file imports itself through others, except for Compose files, which include and extend each other', () => {
  expect(cycles(sources)).toEqual([
    'agent/compose/load/extends.ts ↔ agent/compose/load/files.ts ↔ agent/compose/load/include.ts',
  ]);
});

/** The same word in another sense: the type of a path is file, directory or link, as in stat(2). */
const NO_KIND = ['agent/core/names/host-path.ts: file'];

test('core and engine name no kind, by import or by literal', () => {
  expect(namedKinds(sources, BLIND, NAMES)).toEqual(NO_KIND);
});

test('the reader of compose files names kinds in one file, and uses a Compose word that looks like an id in another', () => {
  const named = namedIds(sources, ['agent/compose'], NAMES).map((found) => found.replace(/: .*/, ''));
  expect([...new Set(named)].sort()).toEqual(['agent/compose/spec/namespace.ts', 'agent/compose/stack/ids.ts']);
});

/** In these rooms words of other systems are allowed: `file` is one of git and of stat(2), `jobs` one of systemd. */
const OWN_WORDS = {
  kinds: KINDS.filter((kind) => kind !== 'file'),
  sections: SECTIONS.filter((section) => section !== 'files' && section !== 'jobs'),
};

test('no other room names a kind by a word that has no other meaning', () => {
  expect(namedKinds(sources, [...OTHERS, ...MAIN], OWN_WORDS)).toEqual([]);
});

test('in the schemas only the list of kinds names them', () => {
  const named = namedKinds(sources, ['manifests-schema'], OWN_WORDS).map((found) => found.replace(/: .*/, ''));
  expect([...new Set(named)].sort()).toEqual(['manifests-schema/kinds/index.ts', 'manifests-schema/kinds/shared.ts']);
});

test('no other room below or above the kinds makes an id or compares a kind', () => {
  expect(namedIds(sources, [...OTHERS, ...MAIN], NAMES)).toEqual([]);
});

describe('each rule fails if it is broken', () => {
  const world = (files: Record<string, string>): Sources => new Map(Object.entries(files));

  test('imports: up, sideways, from a leaf, from a file without a floor', () => {
    const broken = world({
      'agent/core/plan/plan.ts': "import { x } from '../../engine/types.ts';",
      'agent/git/tree.ts': "import type { Store } from '../store/db.ts';",
      'agent/log.ts': "import { x } from './core/types.ts';",
      'agent/attic/x.ts': "import { x } from '../core/types.ts';",
      'agent/engine/load/load.ts': "export * from '../../control/api.ts';",
      'agent/store/db.ts': "const x = await import('../kinds/index.ts');",
    });
    expect(upwards(broken, PLAN)).toEqual([
      'agent/core/plan/plan.ts → agent/engine/types.ts',
      'agent/git/tree.ts → agent/store/db.ts',
      'agent/log.ts → agent/core/types.ts',
      'agent/attic/x.ts → agent/core/types.ts',
      'agent/engine/load/load.ts → agent/control/api.ts',
      'agent/store/db.ts → agent/kinds/index.ts',
    ]);
    const right = world({
      'agent/engine/types.ts': "import { x } from '../core/plan/plan.ts';\nimport { log } from '../log.ts';",
      'agent/main.ts': "import { x } from './daemon.ts';",
      'agent/log.ts': "import { x } from '../manifests-schema/yaml.ts';",
    });
    expect(upwards(right, PLAN)).toEqual([]);
  });

  test('inside a room: up, sideways, and a file without a place', () => {
    const broken = world({
      'agent/kinds/docker/labels.ts': "import { x } from '../service/plan.ts';",
      'agent/kinds/unit/files.ts': "import { x } from '../job/provider.ts';",
      'agent/kinds/package/apt.ts': '',
      'agent/engine/steps/apply.ts': "import { x } from '../run/judge.ts';",
      'agent/compose/spec/shape.ts': "import type { X } from '../load/types.ts';",
      'agent/compose/stack/model.ts': "import { x } from '../yaml/node.ts';",
    });
    expect(upwardsInside(broken, PLAN)).toEqual([
      'agent/kinds/package/apt.ts has no place',
      'agent/kinds/docker/labels.ts → agent/kinds/service/plan.ts',
      'agent/kinds/unit/files.ts → agent/kinds/job/provider.ts',
      'agent/engine/steps/apply.ts → agent/engine/run/judge.ts',
      'agent/compose/spec/shape.ts → agent/compose/load/types.ts',
    ]);
  });

  test('interfaces: the engine at a kind, the daemon past the list of kinds, the command line past the protocol', () => {
    const broken = world({
      'agent/engine/steps/zz.ts': "import { plan } from '../../kinds/service/plan.ts';",
      'agent/engine/load/zz.ts': "import { createProviders } from '../../kinds/index.ts';",
      'agent/daemon/session/session.ts': "import { x } from '../../kinds/file/originals.ts';",
      'agent/command-line.ts': "import { createProviders } from './kinds/index.ts';",
      'agent/cli/host/show.ts':
        "import { api } from '../../control/api.ts';\nimport { x } from '../../control/client.ts';",
    });
    expect(pastDoors(broken, PLAN)).toEqual([
      'agent/engine/steps/zz.ts → agent/kinds/service/plan.ts',
      'agent/engine/load/zz.ts → agent/kinds/index.ts',
      'agent/daemon/session/session.ts → agent/kinds/file/originals.ts',
      'agent/cli/host/show.ts → agent/control/api.ts',
    ]);
  });

  test('libraries: of a kind in the engine, of another kind in a kind, and an unassigned one', () => {
    const broken = world({
      'agent/engine/types.ts': "import type Docker from 'dockerode';",
      'agent/kinds/unit/jobs.ts': "import { x } from 'dbus-native/lib/message';",
      'agent/core/payload/hash.ts': "import x from '@scope/unheard-of';",
      'agent/system/docker.ts': "const { default: D } = await import('dockerode');\nimport fs from 'node:fs';",
    });
    expect(strayLibraries(broken, LIBRARIES)).toEqual([
      'agent/engine/types.ts: dockerode',
      'agent/kinds/unit/jobs.ts: dbus-native',
      'agent/core/payload/hash.ts: @scope/unheard-of',
    ]);
  });

  test('pure rooms: a module of the machine, the clock, randomness; a comment about them is allowed', () => {
    const broken = world({
      'agent/core/a.ts': "import { readFileSync } from 'node:fs';",
      'agent/core/b.ts': 'export const at = () => Date.now();',
      'agent/compose/c.ts': 'export const x = Math.random();',
      'agent/core/d.ts': "// Date.now() is asked elsewhere\nimport path from 'node:path';",
      'agent/system/e.ts': 'export const at = () => Date.now();',
    });
    expect(impure(broken, ['agent/core', 'agent/compose'])).toEqual([
      'agent/core/a.ts: node:fs',
      'agent/core/b.ts: clock, randomness or process',
      'agent/compose/c.ts: clock, randomness or process',
    ]);
  });

  test('a browser: a module or a global of Node, a library, also indirectly; types and other rooms are allowed', () => {
    const broken = world({
      'agent/fleet/reader/a.ts': "import { b } from '../../core/b.ts';\nimport type { D } from '../d.ts';",
      'agent/fleet/reader/c.ts': "import { z } from 'zod';\nimport mqtt from 'mqtt';",
      'agent/core/b.ts': "import path from 'node:path';\nexport const x = Buffer.from('x');",
      'agent/fleet/d.ts': "import fs from 'node:fs';",
    });
    expect(needsOfNode(broken, 'agent/fleet/reader', ['zod'])).toEqual([
      'agent/core/b.ts: a global of Node',
      'agent/core/b.ts: node:path',
      'agent/fleet/reader/c.ts: mqtt',
    ]);
  });

  test('cycles: at run time; cycles of types alone are allowed', () => {
    const broken = world({
      'agent/core/a.ts': "import { b } from './b.ts';",
      'agent/core/b.ts': "import { type X, c } from './c.ts';",
      'agent/core/c.ts': "export { a } from './a.ts';",
      'agent/core/d.ts': "import type { E } from './e.ts';",
      'agent/core/e.ts': "import { d } from './d.ts';\nimport { type A, type B } from './d.ts';",
    });
    expect(cycles(broken)).toEqual(['agent/core/a.ts ↔ agent/core/b.ts ↔ agent/core/c.ts']);
  });

  test('state of a module: a variable, a collection; constants and local ones are allowed', () => {
    const broken = world({
      'agent/core/a.ts': 'let last = 0;\nexport let other = 1;',
      'agent/core/b.ts':
        'const seen = new Map<string, string>();\nexport const all: string[] = [];\nconst known = new WeakSet();',
      'agent/core/c.ts': 'const NONE: ReadonlySet<string> = new Set();\nconst NOBODY: readonly string[] = [];',
      'agent/core/d.ts': 'export function f() {\n  let x = 1;\n  const m = new Map();\n}\n// let y = 2;',
    });
    expect(moduleState(broken)).toEqual([
      'agent/core/a.ts: last',
      'agent/core/a.ts: other',
      'agent/core/b.ts: seen',
      'agent/core/b.ts: all',
      'agent/core/b.ts: known',
    ]);
  });

  test('names of kinds: as a word, a section, an id, a template, in a regular expression', () => {
    const broken = world({
      'agent/core/a.ts': "if (kindOf(id) === 'job') go(); // 'unit' in a comment",
      'agent/core/b.ts': "const SECTIONS = ['files'];",
      'agent/core/c.ts': 'const id = `unit:${name.replace(/`/, `x`)}`;',
      'agent/core/d.ts': 'const isCheap = /^(job|check):/.test(id);',
      'agent/engine/e.ts': "id.startsWith('file:')",
      'agent/engine/f.ts':
        "const message = 'a file: it differs'; const other = 'a service of a stack'; const u = 'file://x';",
      'agent/core/g.ts': 'const half = a / b; const name = `x/${a}/file`; const rest = /[/]job/;',
    });
    expect(namedKinds(broken, BLIND, NAMES)).toEqual([
      'agent/core/a.ts: job',
      'agent/core/b.ts: files',
      'agent/core/c.ts: unit:',
      'agent/core/d.ts: ^(job|check):',
      'agent/engine/e.ts: file:',
    ]);
  });

  test('a kind in a list, in a room where only words of other systems are allowed', () => {
    const broken = world({
      'agent/control/api.ts': "const dear = ['job', 'check'].includes(kindOf(id));",
      'agent/git/tree.ts': "const blob = type === 'file';",
    });
    expect(namedKinds(broken, OTHERS, OWN_WORDS)).toEqual(['agent/control/api.ts: job', 'agent/control/api.ts: check']);
  });

  test('ids and comparisons in other rooms; words of other systems are allowed there', () => {
    const broken = world({
      'agent/control/api.ts': "const x = kindOf(rid(it)) === 'file' ? 1 : 0;",
      'agent/cli/host/show.ts': 'const id = `file:${path}`;',
      'agent/git/tree.ts': "const blob = type === 'file';\nconst url = 'file://';",
    });
    expect(namedIds(broken, OTHERS, NAMES)).toEqual([
      'agent/cli/host/show.ts: file:',
      'agent/control/api.ts: compares a kind',
    ]);
  });
});

describe('what the rules read', () => {
  test('imports of every form, with their run-time part', () => {
    const text = [
      "import a from './a.ts';",
      "import type { B } from '../b.ts';",
      "import { type C, type D } from './c.ts';",
      "import { type E, f } from './e.ts';",
      "export * from './g.ts';",
      "import './h.ts';",
      "import {\n  type I,\n  j,\n} from 'lib';",
      "// import k from './k.ts';",
      "const l = await import('./l.ts');",
    ].join('\n');
    expect(
      importsOf('agent/core/x.ts', text).map((i) => `${i.target ?? i.specifier}${i.typeOnly ? ' (types)' : ''}`),
    ).toEqual([
      'agent/core/a.ts',
      'agent/b.ts (types)',
      'agent/core/c.ts (types)',
      'agent/core/e.ts',
      'agent/core/g.ts',
      'agent/core/h.ts',
      'lib',
      'agent/core/l.ts',
    ]);
  });

  test('literals at any depth, and no comments', () => {
    const text =
      "const a = `x:${f(`y${1}`, { b: 'z' })} ${c}`; // 'no'\n/* \"no\" */ const d = /[/'](q)/.test(\"w\\\"w\") ? e / 2 : 'v';";
    expect(literalsOf(text).map((l) => l.text)).toEqual(['x:', 'y', 'z', "[/'](q)", 'w\\"w', 'v']);
    expect(withoutComments("a // b\n'//c'")).toBe("a     \n'//c'");
  });
});
