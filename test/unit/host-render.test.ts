import { createHash } from 'node:crypto';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { definitionOf } from '../../agent/core/kind.ts';
import { withImpliedEdges } from '../../agent/core/order/edges.ts';
import { findCycle } from '../../agent/core/order/graph.ts';
import { makePlan } from '../../agent/core/plan/plan.ts';
import { checkReferences, renderHost } from '../../agent/core/render/render.ts';
import type { Desired, ResourceId } from '../../agent/core/types.ts';
import type { CheckSpec } from '../../agent/kinds/check/spec.ts';
import type { FileSpec } from '../../agent/kinds/file/spec.ts';
import { KINDS } from '../../agent/kinds/index.ts';
import type { JobSpec } from '../../agent/kinds/job/spec.ts';
import type { UnitSpec } from '../../agent/kinds/unit/spec.ts';

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const facts = { os: '', arch: '', cpus: 1, memory: 1, machine_id: '', ipv4: '', ipv6: '' };
const H = 'hosts/h';
const encode = (text: string) => new TextEncoder().encode(text);

function render(manifest: string, payload: Record<string, string | Uint8Array> = {}) {
  const files = new Map([
    [`${H}/a.yaml`, encode(manifest)],
    ...Object.entries(payload).map(([name, text]): [string, Uint8Array] => [
      path.join(H, name),
      typeof text === 'string' ? encode(text) : text,
    ]),
  ]);
  const info = { ref: 'main', commit: 'c', author: '', subject: '', committedAt: '' };
  const checkout = { info, hostPath: H, hostExists: true, files };
  const rendered = renderHost({
    kinds: KINDS,
    checkout,
    host: 'h',
    fleet: 'f',
    labels: {},
    facts,
    sha256,
    keyedHash: sha256,
  });
  return { ...rendered, resources: withImpliedEdges(rendered.resources, { kinds: KINDS, sha256 }).resources };
}

const one = <S>(manifest: string, id: ResourceId, payload = {}): Desired<S> => {
  const { resources, issues } = render(manifest, payload);
  expect(issues).toEqual([]);
  const found = resources.find((r) => r.id === id);
  if (!found) throw new Error(`${id} is not among ${resources.map((r) => r.id)}`);
  return found as Desired<S>;
};
/** `line: message` of each error. */
const errors = (manifest: string, payload = {}) =>
  render(manifest, payload).issues.map((i) => `${i.line}: ${i.message}`);

test('all errors are reported together: entries that a schema refuses do not hide errors of the others', () => {
  const yaml = `files:
  /etc/a: {contnt: x}
  /etc/b: {source: files/nope}
  etc/c: {content: x}
  /etc/d: {content: x, notify: [web.service]}
units:
  web: {state: started}
jobs:
  j: {run: "echo hi", timeout: 5}
checks:
  c: {}
`;
  expect(errors(yaml)).toEqual([
    '2: unknown key `contnt`; did you mean `content`?',
    '5: `notify[0]` must be a resource id such as unit:nginx.service',
    expect.stringMatching(/^9: `run` must be a list: a program and its arguments, .* got the string "echo hi"$/),
    '9: `timeout` must be a duration such as 90s, 5m or 2h, got the number 5',
    expect.stringMatching(/^3: `source: files\/nope` is not in the repository/),
    '4: `etc/c` must be an absolute path',
    expect.stringMatching(/^7: `web` is not a unit name/),
    expect.stringMatching(/^11: `c` has no probe/),
  ]);
});

test('an entry that a lower layer declared wrong causes no further error in the layers above', () => {
  const { issues } = render('files: {/etc/a: {mode: "0600"}}\n', {
    'host.yaml': 'roles: [r]\n',
    '../../roles/r/r.yaml': 'files: {/etc/a: {content: 1}}\n',
  });
  expect(issues.map((i) => i.message)).toEqual(['`content` must be a string, got the number 1']);
});

describe('files', () => {
  test('a purged directory keeps the names of every entry below it', () => {
    const yaml =
      'files:\n  /etc/app.d/: {source: tree, purge: true}\n  /etc/app.d/sub/extra: {content: x}\n  /etc/app.d/gone: {state: absent}\n  /etc/app.d/deep/er/x: {content: x}\n';
    const payload = { 'tree/a': 'a', 'tree/sub/b': 'b' };
    expect(one<FileSpec>(yaml, 'file:/etc/app.d', payload).spec).toMatchObject({
      purge: true,
      keep: ['a', 'deep', 'sub'],
    });
    expect(one<FileSpec>(yaml, 'file:/etc/app.d/sub', payload).spec.keep).toEqual(['b', 'extra']);
  });

  test('the names to keep are part of the hash', () => {
    const yaml = (name: string) => `files:\n  /srv/d/: {purge: true}\n  /srv/d/${name}: {content: x}\n`;
    expect(one(yaml('a'), 'file:/srv/d').hash).not.toBe(one(yaml('b'), 'file:/srv/d').hash);
  });

  test.each([
    ['/etc/fairlead/agent.yaml', "fairlead's own"],
    ['/VAR/lib/Fairlead/x', "fairlead's own"],
    ['/var/lib/fairlead/originals/x', "fairlead's own"],
    ['/etc/systemd/system/fairlead.service', "fairlead's own"],
    ['/etc/../etc/fairlead/x', 'plain path'],
    ['/etc//x', 'plain path'],
    ['etc/x', 'absolute'],
  ])('%s cannot be managed', (path, why) => {
    expect(errors(`files:\n  "${path}": {content: x}\n`)).toEqual([expect.stringMatching(new RegExp(`^2: .*${why}`))]);
  });

  test.each([
    ['/etc/x: {content: x, purge: true}', 'purge'],
    ['/etc/: {purge: true}', 'files that the system needs'],
    ['/usr/bin/: {purge: true}', 'files that the system needs'],
    ['/etc/systemd/system/: {purge: true}', 'files that the system needs'],
    ['/srv/x: {content: x, validate: [visudo, -cf]}', '%s'],
    ['/srv/x/: {validate: [a, "%s"]}', '`content` or `source`'],
    ['/srv/x: {content: x, reload: ["service:shop/web"]}', 'notify'],
    ['/srv/x: {content: x, validate: []}', 'program'],
    ['/srv/x/: {source: one}', 'is a file'],
  ])('%s is an error at its line', (entry, why) => {
    expect(errors(`files:\n  ${entry}\n`, { one: '1' })).toEqual([expect.stringContaining(why)]);
    expect(errors(`files:\n  ${entry}\n`, { one: '1' })[0]).toMatch(/^2: /);
  });

  test('a payload file over 64 MiB is an error', () => {
    const payload = { big: new Uint8Array(64 * 1024 * 1024 + 1) };
    expect(errors('files:\n  /srv/x: {source: big}\n', payload)).toEqual([expect.stringContaining('64 MiB')]);
    expect(errors('files:\n  /srv/x: {source: d}\n', { 'd/big': payload.big })).toEqual([
      expect.stringContaining('64 MiB'),
    ]);
  });
});

describe('units', () => {
  test('drop-ins, from content and from payload', () => {
    const yaml =
      'units:\n  ssh.service: {dropins: {10-a.conf: {content: "[Service]\\n"}, 20-b.conf: {source: b.conf}}}\n';
    expect(one<UnitSpec>(yaml, 'unit:ssh.service', { 'b.conf': 'B' }).spec.dropins).toEqual({
      '10-a.conf': '[Service]\n',
      '20-b.conf': 'B',
    });
  });

  test.each([
    ['a.service: {masked: true, content: x}', 'masked'],
    ['a.service: {masked: true, state: started}', 'masked'],
    ['a@.service: {content: x, state: started}', 'template'],
    ['a.service: {dropins: {x: {content: x}}}', '.conf'],
    ['a.service: {dropins: {x.conf: {}}}', 'says nothing'],
    ['a.service: {dropins: {x.conf: {source: nowhere}}}', 'not in the repository'],
    ['a.service: {}', 'says nothing'],
    ['fairlead.service: {state: stopped}', "fairlead's own"],
    ['fairlead-job-x.service: {state: stopped}', "fairlead's own"],
  ])('%s is an error', (entry, why) => {
    expect(errors(`units:\n  ${entry}\n`)[0]).toContain(why);
  });

  test('masked with state stopped is no contradiction', () => {
    expect(errors('units:\n  a.service: {masked: true, state: stopped, enabled: false}\n')).toEqual([]);
  });
});

describe('jobs and checks', () => {
  test('a job with its defaults, and with every key', () => {
    expect(one<JobSpec>('jobs: {m: {run: [a, b]}}\n', 'job:m').spec).toEqual({
      ...{ name: 'm', run: ['a', 'b'], when: 'change', cwd: '/', env: {}, user: 'root' },
      ...{ timeoutMs: 600_000, onRollback: 'skip' },
    });
    const all =
      'jobs:\n  m: {run: [a], when: once, unless: [b], cwd: /srv, env: {A: "1"}, user: app, timeout: 5s, on_rollback: run}\n';
    expect(one<JobSpec>(all, 'job:m').spec).toMatchObject({
      ...{
        when: 'once',
        unless: ['b'],
        cwd: '/srv',
        env: { A: '1' },
        user: 'app',
        timeoutMs: 5_000,
        onRollback: 'run',
      },
    });
  });

  test('probes', () => {
    const probe = (entry: string) => one<CheckSpec>(`checks: {c: ${entry}}\n`, 'check:c').spec.probe;
    expect(probe('{http: "http://x:1/y"}')).toEqual({ type: 'http', url: 'http://x:1/y', expect: null });
    expect(probe('{tcp: "[::1]:80"}')).toEqual({ type: 'tcp', host: '::1', port: 80 });
    expect(probe('{run: [a], expect: 3}')).toEqual({ type: 'run', argv: ['a'], expect: 3 });
  });

  test.each([
    ['checks: {c: {http: "http://x", tcp: "x:1"}}', 'both'],
    ['checks: {c: {within: 3s}}', 'has no probe'],
    ['checks: {c: {tcp: "x:99999"}}', '65535'],
    ['checks: {c: {tcp: "x:1", expect: 200}}', 'expect'],
    ['checks: {"a/b": {tcp: "x:1"}}', 'not a name'],
    ['jobs: {"a b": {run: [x]}}', 'not a name'],
    ['jobs: {a: {run: "x y"}}', 'must be a list'],
    ['jobs: {a: {run: [x], unles: [y]}}', 'did you mean `unless`'],
  ])('%s is an error', (yaml, why) => {
    expect(errors(`${yaml}\n`)[0]).toContain(why);
  });
});

describe('implied order', () => {
  const find = (resources: readonly Desired[], id: ResourceId) => resources.find((r) => r.id === id);

  test('a job that runs on change is notified by the resources before it; one that runs once is not', () => {
    const { resources } = render(
      'files: {/srv/a: {content: x}}\njobs:\n  m: {run: [x], after: ["file:/srv/a"]}\n  o: {run: [x], when: once, after: ["file:/srv/a"]}\n',
    );
    expect(find(resources, 'file:/srv/a')?.notify).toEqual(['job:m']);
  });

  test('an instance follows its template, a service its socket, a file the mount that contains it', () => {
    const { resources } = render(
      `units:
  a@.service: {content: x, on_change: reload}
  a@1.service: {state: started}
  b.service: {content: x, state: started}
  b.socket: {content: x, state: started}
  srv-my\\x2ddata.mount: {content: x, state: started}
files:
  /srv/my-data/: {}
  /srv/my-data/x: {content: x}
`,
    );
    expect(find(resources, 'unit:a@.service')?.reload).toEqual(['unit:a@1.service']);
    expect(find(resources, 'unit:b.service')?.after).toEqual(['unit:b.socket']);
    expect(find(resources, 'file:/srv/my-data/x')?.after).toContain('unit:srv-my\\x2ddata.mount');
    expect(find(resources, 'file:/srv/my-data')?.after).toEqual([]);
    expect(findCycle(resources)).toBeNull();
  });

  test('a declared order overrides the implied one', () => {
    const { resources } = render(
      'units:\n  b.service: {content: x, state: started}\n  b.socket: {content: x, after: ["unit:b.service"]}\n',
    );
    expect(findCycle(resources)).toBeNull();
  });

  test('a managed file that a service mounts comes first and restarts it; a directory only comes first', () => {
    const base = render('files:\n  /srv/d/: {}\n  /srv/d/x: {content: x}\n  /srv/one: {content: x}\n').resources;
    const service: Desired = {
      ...{ id: 'service:p/s', spec: ['/srv/d', '/srv/one'], hash: 'h', after: [], notify: [] },
      origin: { file: '', line: 1, layer: '' },
    };
    const definition = definitionOf(KINDS, service.id);
    const kinds = new Map([
      ...KINDS,
      [
        definition.name,
        { ...definition, mounts: (spec: unknown) => spec as string[], provides: () => [], names: () => [] },
      ],
    ]);
    const { resources } = withImpliedEdges([...base, service], { kinds, sha256 });
    expect([...(find(resources, 'service:p/s')?.after ?? [])].sort()).toEqual([
      'file:/srv/d',
      'file:/srv/d/x',
      'file:/srv/one',
    ]);
    expect(find(resources, 'file:/srv/one')?.notify).toEqual(['service:p/s']);
    expect(find(resources, 'file:/srv/d/x')?.notify).toEqual([]);
    const { resources: quiet } = withImpliedEdges([...base, { ...service, quiet: ['/srv/one'] }], { kinds, sha256 });
    expect(find(quiet, 'file:/srv/one')?.notify).toEqual([]);
    expect(find(quiet, 'service:p/s')?.after).toContain('file:/srv/one');
  });
});

test('a reload of a missing resource is an error, like every reference', () => {
  const { resources } = render('files:\n  /srv/a: {content: x, reload: ["unit:x.service"]}\n');
  expect(checkReferences(resources, resources, () => false)).toMatchObject([
    { line: 2, message: expect.stringContaining('`reload`') },
  ]);
});

test('a reload requests a reload, unless a restart is requested, in this run or one that was interrupted', () => {
  const { resources } = render(
    'files:\n  /srv/a: {content: x, reload: ["unit:x.service"]}\n  /srv/b: {content: x, notify: ["unit:x.service"]}\nunits: {x.service: {state: started}}\n',
  );
  const verb = (changed: string, pending: { verb: 'restart' | 'reload' }[] = []) => {
    const diff = (want: Desired) =>
      want.id === changed ? { op: 'update' as const, why: [] } : { op: 'none' as const };
    const fake = { claims: () => [], diff };
    const plan = makePlan({
      desired: resources,
      seen: new Map(),
      inventory: new Map(),
      pendingNotifies: pending.map((p) => ({ target: 'unit:x.service', source: 'file:/srv/z', ...p })),
      kinds: KINDS,
      providers: new Map([
        ['file', fake],
        ['unit', fake],
      ]),
    });
    const step = plan.steps.find((s) => s.want.id === 'unit:x.service');
    return step?.refreshFor.length === 0 ? null : step?.refreshVerb;
  };
  expect([verb(''), verb('file:/srv/a'), verb('file:/srv/b')]).toEqual([null, 'reload', 'restart']);
  expect([verb('file:/srv/a', [{ verb: 'restart' }]), verb('', [{ verb: 'reload' }])]).toEqual(['restart', 'reload']);
});
