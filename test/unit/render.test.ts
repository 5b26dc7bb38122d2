import { describe, expect, test } from 'vitest';
import { pathProblem } from '../../agent/core/names/reserved-paths.ts';
import { resolveSource } from '../../agent/core/names/source-path.ts';
import { renderHost } from '../../agent/core/render/render.ts';
import type { FileSpec } from '../../agent/kinds/file/spec.ts';
import { KINDS } from '../../agent/kinds/index.ts';
import type { UnitSpec } from '../../agent/kinds/unit/spec.ts';
import { facts, keyedHash, sha256 } from './repo.ts';

const render = (files: Record<string, string>) =>
  renderHost({
    kinds: KINDS,
    checkout: {
      info: { ref: 'main', commit: 'c', author: '', subject: '', committedAt: '' },
      hostPath: 'hosts/a',
      hostExists: true,
      files: new Map(Object.entries(files).map(([f, t]) => [`hosts/a/${f}`, new TextEncoder().encode(t)])),
    },
    host: 'a',
    fleet: 'default',
    labels: {},
    facts,
    sha256,
    keyedHash,
  });
const ids = (files: Record<string, string>) => render(files).resources.map((r) => r.id);
const problems = (files: Record<string, string>) =>
  render(files).issues.map((i) => `${i.file}:${i.line}: ${i.message}`);

describe('files', () => {
  test('content, source, link, directory and absence, with their defaults', () => {
    const { resources, issues } = render({
      'x.yaml':
        'files:\n  /a: {content: hi}\n  /b: {source: files/b, mode: "0600", owner: www-data}\n  /c/: {}\n  /d: {link: /a}\n  /e: {state: absent}\n',
      'files/b': 'payload',
    });
    expect(issues).toEqual([]);
    const specs = Object.fromEntries(resources.map((r) => [r.id, r.spec as FileSpec]));
    expect(specs['file:/a']).toMatchObject({ type: 'file', mode: 0o644, owner: 'root', group: 'root' });
    expect(new TextDecoder().decode(specs['file:/b']?.content as Uint8Array)).toBe('payload');
    expect(specs['file:/b']).toMatchObject({ mode: 0o600, owner: 'www-data' });
    expect(specs['file:/c']).toMatchObject({ type: 'directory', mode: 0o755 });
    expect(specs['file:/d']).toMatchObject({ type: 'link', target: '/a' });
    expect(specs['file:/e']).toMatchObject({ type: 'absent' });
  });

  test('a source directory becomes a tree, parents before their content', () => {
    const { resources } = render({ 'x.yaml': 'files: {/srv/t: {source: t}}\n', 't/a': '1', 't/sub/b': '2' });
    expect(resources.map((r) => r.id).sort()).toEqual([
      'file:/srv/t',
      'file:/srv/t/a',
      'file:/srv/t/sub',
      'file:/srv/t/sub/b',
    ]);
    expect(resources.find((r) => r.id === 'file:/srv/t/sub/b')?.after).toContain('file:/srv/t/sub');
  });

  test('the hash depends only on the content', () => {
    const hash = (text: string) => render({ 'x.yaml': text }).resources[0]?.hash;
    expect(hash('files: {/a: {content: x, mode: "0644"}}\n')).toBe(
      hash('files:\n  /a:\n    mode: "0644"\n    content: x\n'),
    );
    expect(hash('files: {/a: {content: x}}\n')).not.toBe(hash('files: {/a: {content: y}}\n'));
  });

  test('contradictions are an error at their line', () => {
    expect(problems({ 'x.yaml': 'files:\n  /a: {source: none}\n' })).toEqual([
      expect.stringMatching(/x\.yaml:2: `source: none` is not in the repository/),
    ]);
    expect(problems({ 'x.yaml': 'files:\n  /a: {source: ../b/secret}\n' })[0]).toMatch(/leaves hosts\/a/);
    expect(problems({ 'x.yaml': 'files:\n  /a: {content: x, link: /b}\n' })[0]).toMatch(/both `content` and `link`/);
    expect(problems({ 'x.yaml': 'files:\n  /a: {}\n' })[0]).toMatch(/says nothing of what it is/);
  });

  test.each([
    'etc/x',
    '/etc/../x',
    '//x',
    '/etc/./x',
    '/',
    '/etc/fairlead/agent.yaml',
    '/var/lib/fairlead/history.db',
    '/usr/lib/fairlead',
  ])('the path %s is refused', (path) => expect(pathProblem(path)).not.toBeNull());

  test('a source never leaves its root, however it is written', () => {
    for (const source of ['../x', 'a/../../x', '/etc/passwd', '../a2/x'])
      expect(resolveSource('hosts/a/x.yaml', source, 'hosts/a')).toBeNull();
    expect(resolveSource('hosts/a/x.yaml', './f/../g', 'hosts/a')).toBe('hosts/a/g');
  });
});

describe('units', () => {
  test('content, enabled, state; an existing unit can be given only a state', () => {
    const { resources, issues } = render({
      'x.yaml':
        'units:\n  a.service: {content: "[Service]\\n", enabled: true, state: started}\n  b.timer: {state: stopped}\n',
    });
    expect(issues).toEqual([]);
    expect(resources.map((r) => r.spec as UnitSpec)).toEqual([
      expect.objectContaining({
        name: 'a.service',
        content: '[Service]\n',
        enabled: true,
        state: 'started',
        onChange: 'restart',
      }),
      expect.not.objectContaining({ content: expect.anything() }),
    ]);
  });

  test("invalid unit names, and fairlead's own units, are refused", () => {
    expect(problems({ 'x.yaml': 'units: {"a b.service": {state: started}}\n' })[0]).toMatch(/is not a unit name/);
    expect(problems({ 'x.yaml': 'units: {fairlead.service: {state: stopped}}\n' })[0]).toMatch(/fairlead's own/);
    expect(problems({ 'x.yaml': 'units: {a.service: {}}\n' })[0]).toMatch(/says nothing/);
  });
});

describe('the directory', () => {
  test('every top-level YAML is a manifest, host.yaml is settings, sub-directories are payload or stacks', () => {
    const { stacks, host, resources } = render({
      'a.yaml': 'files: {/a: {content: x}}\n',
      'b.yml': 'files: {/b: {content: x}}\n',
      'host.yaml': 'prune: {max: 10%}\n',
      'payload/c.yaml': 'files: {/c: {content: x}}\n',
      'shop/compose.yaml': 'services: {web: {image: i}}\n',
      'shop/compose.override.yaml': 'services: {web: {image: j}}\n',
    });
    expect(resources.map((r) => r.id)).toEqual(['file:/a', 'file:/b']);
    expect(host.prune?.max).toBe('10%');
    expect(stacks.map((s) => [s.dir, s.files.map((f) => f.path)])).toEqual([
      ['hosts/a/shop', ['hosts/a/shop/compose.yaml', 'hosts/a/shop/compose.override.yaml']],
    ]);
  });

  test('an empty manifest declares nothing', () => expect(ids({ 'x.yaml': '' })).toEqual([]));
});
