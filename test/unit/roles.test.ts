import { describe, expect, test } from 'vitest';
import { find, loadRepo, messages, textOf } from './repo.ts';

const base = {
  'fleet.yaml': 'name: demo\nroles: [all]\nvars: {zone: eu, tier: fleet, list: [1]}\n',
  'roles/all/motd.yaml':
    'files:\n  /etc/motd: {content: "all\\n", mode: "0600", owner: daemon}\n  /etc/gone: {content: x}\n',
  'roles/web/role.yaml': 'roles: [tls]\nvars:\n  tier: web\n  list: [2]\n',
  'roles/web/site.yaml': 'files:\n  /etc/site: {source: files/site}\n',
  'roles/web/files/site': 'from web\n',
  'roles/tls/tls.yaml': 'files:\n  /etc/tls: {content: "tls\\n"}\n  /etc/site: {content: "below web\\n", group: adm}\n',
  'hosts/a/host.yaml': 'roles: [web]\nlabels: {site: berlin}\nvars: {tier: host}\n',
  'hosts/a/system.yaml': 'files:\n  /etc/motd:\n    content: "host\\n"\n  /etc/gone: null\n',
};

describe('layers', () => {
  test('override each other attribute by attribute: fleet, roles of roles, roles, host', async () => {
    const loaded = await loadRepo(base);
    expect(messages(loaded)).toEqual([]);
    expect(loaded.layers).toEqual(['roles/all', 'roles/tls', 'roles/web', 'hosts/a']);
    expect(loaded.resources.map((r) => r.id).sort()).toEqual(['file:/etc/motd', 'file:/etc/site', 'file:/etc/tls']);
    expect(find(loaded, 'file:/etc/motd')?.spec).toMatchObject({ mode: 0o600, owner: 'daemon' });
    expect(textOf(loaded, 'file:/etc/motd')).toBe('host\n');
  });

  test('resolve relative paths in the layer that wrote them, and another form of content replaces the first', async () => {
    const loaded = await loadRepo(base);
    expect(textOf(loaded, 'file:/etc/site')).toBe('from web\n');
    expect(find(loaded, 'file:/etc/site')?.spec.group).toBe('adm');
    const above = await loadRepo({
      ...base,
      'hosts/a/z.yaml': 'files: {/etc/site: {mode: "0640"}}\n',
      'hosts/a/files/site': 'from host\n',
    });
    expect(textOf(above, 'file:/etc/site')).toBe('from web\n');
    expect(find(above, 'file:/etc/site')?.spec.mode).toBe(0o640);
  });

  test('record where each value came from', async () => {
    const loaded = await loadRepo(base);
    const motd = find(loaded, 'file:/etc/motd');
    expect(motd?.origin).toEqual({ file: 'hosts/a/system.yaml', line: 2, layer: 'hosts/a' });
    expect(motd?.attributes).toEqual({
      content: { file: 'hosts/a/system.yaml', line: 3, layer: 'hosts/a' },
      mode: { file: 'roles/all/motd.yaml', line: 2, layer: 'roles/all' },
      owner: { file: 'roles/all/motd.yaml', line: 2, layer: 'roles/all' },
    });
    expect(Object.fromEntries([...loaded.vars].map(([k, v]) => [k, [v.value, v.origin.file, v.origin.line]]))).toEqual({
      zone: ['eu', 'fleet.yaml', 3],
      tier: ['host', 'hosts/a/host.yaml', 3],
      list: [[2], 'roles/web/role.yaml', 4],
    });
  });

  test("let host.yaml's labels override the agent's", async () => {
    const loaded = await loadRepo(base, { labels: { site: 'oslo', ring: 'canary' } });
    expect(loaded.labels).toEqual({ site: 'berlin', ring: 'canary' });
  });

  test('contain a role that is reached in two ways once, at its first place', async () => {
    const loaded = await loadRepo({
      'roles/a/role.yaml': 'roles: [base]\n',
      'roles/b/role.yaml': 'roles: [base]\n',
      'roles/base/x.yaml': 'files: {/etc/x: {content: base}}\n',
      'roles/b/x.yaml': 'files: {/etc/x: {content: b}}\n',
      'hosts/a/host.yaml': 'roles: [b, a, base]\n',
    });
    expect(loaded.layers).toEqual(['roles/base', 'roles/b', 'roles/a', 'hosts/a']);
    expect(textOf(loaded, 'file:/etc/x')).toBe('b');
  });

  test('of files: a file of an inherited tree is replaced by a later layer', async () => {
    const loaded = await loadRepo({
      'roles/r/x.yaml': 'files: {/etc/app/: {source: tree}}\n',
      'roles/r/tree/a': 'tree a',
      'roles/r/tree/b': 'tree b',
      'hosts/a/host.yaml': 'roles: [r]\n',
      'hosts/a/x.yaml': 'files: {/etc/app/a: {content: host a}}\n',
    });
    expect(messages(loaded)).toEqual([]);
    expect([textOf(loaded, 'file:/etc/app/a'), textOf(loaded, 'file:/etc/app/b')]).toEqual(['host a', 'tree b']);
  });
});

describe('mistakes in layers', () => {
  test.each([
    [
      'a cycle of roles',
      {
        'roles/a/role.yaml': 'roles: [b]\n',
        'roles/b/role.yaml': 'vars: {}\nroles:\n  - a\n',
        'hosts/a/host.yaml': 'roles: [a]\n',
      },
      'roles/b/role.yaml:3:5: role cycle: a → b → a',
    ],
    [
      'a missing role',
      { 'roles/web/x.yaml': '', 'hosts/a/host.yaml': 'roles:\n  - wbe\n' },
      'hosts/a/host.yaml:2:5: there is no role `wbe`; did you mean `web`?',
    ],
    [
      'a duplicate id in one layer',
      { 'hosts/a/1.yaml': 'files: {/etc/x: {content: a}}\n', 'hosts/a/2.yaml': 'files:\n  /etc/x/: {}\n' },
      'hosts/a/2.yaml:2:3: `/etc/x/` is declared twice in hosts/a: here and at hosts/a/1.yaml:1',
    ],
    [
      'a duplicate service in one layer',
      { 'hosts/a/compose.yaml': 'services: {web: {image: a}}\n', 'hosts/a/2.yaml': 'services:\n  web: {image: b}\n' },
      'hosts/a/2.yaml:2:3: `web` is declared twice in services of hosts/a: here and at hosts/a/compose.yaml:1',
    ],
    [
      'a source that leaves its layer',
      {
        'roles/r/x.yaml': 'files:\n  /etc/x:\n    source: ../../hosts/a/secret\n',
        'hosts/a/secret': 's',
        'hosts/a/host.yaml': 'roles: [r]\n',
      },
      'roles/r/x.yaml:3:5: `source: ../../hosts/a/secret` leaves roles/r',
    ],
    [
      'a missing source',
      { 'hosts/a/x.yaml': 'files:\n  /etc/x: {source: files/none}\n' },
      'hosts/a/x.yaml:2:12: `source: files/none` is not in the repository; expected it at hosts/a/files/none',
    ],
    [
      'host.yaml in a role',
      { 'roles/r/host.yaml': 'mode: observe\n', 'hosts/a/host.yaml': 'roles: [r]\n' },
      "roles/r/host.yaml:1:1: this file has no place in a role's directory; its settings are roles/r/role.yaml",
    ],
    [
      'an unknown key in role.yaml',
      { 'roles/r/role.yaml': 'rolse: []\n', 'hosts/a/host.yaml': 'roles: [r]\n' },
      'roles/r/role.yaml:1:1: unknown key `rolse`; did you mean `roles`?',
    ],
    [
      'an unknown key in fleet.yaml',
      { 'fleet.yaml': 'host: []\n', 'hosts/a/x.yaml': '' },
      'fleet.yaml:1:1: unknown key `host`; did you mean `hosts`?',
    ],
    [
      'one project in two directories',
      {
        'hosts/a/one/compose.yaml': 'name: shop\nservices: {a: {image: a}}\n',
        'hosts/a/shop/compose.yaml': 'services: {b: {image: a}}\n',
      },
      'hosts/a/shop/compose.yaml:1:1: hosts/a/shop and hosts/a/one are both the project `shop`',
    ],
  ])('%s', async (_what, repo: Record<string, string>, message) => {
    expect(messages(await loadRepo(repo)).join('\n')).toContain(message);
  });

  test('a wrong value is reported where its layer wrote it', async () => {
    const loaded = await loadRepo({
      'roles/r/x.yaml': 'files:\n  /etc/x:\n    content: a\n',
      'hosts/a/host.yaml': 'roles: [r]\n',
      'hosts/a/x.yaml': 'files:\n  /etc/x/:\n    mode: "0755"\n',
    });
    expect(messages(loaded)).toEqual([
      'roles/r/x.yaml:3:5: `/etc/x/` ends in /, so it is a directory and can have no `content`',
    ]);
  });

  test('null that removes nothing is a warning', async () => {
    const loaded = await loadRepo({ 'hosts/a/x.yaml': 'files: {/etc/x: null, /etc/y: {content: y}}\n' });
    expect(loaded.issues.map((i) => i.severity)).toEqual(['warning']);
  });
});

test('a stack of several layers is one stack, its files in the order of the layers', async () => {
  const loaded = await loadRepo({
    'roles/web/shop/compose.yaml': 'services: {web: {image: "nginx:1", environment: {A: "1"}}}\n',
    'hosts/a/host.yaml': 'roles: [web]\n',
    'hosts/a/shop/compose.yaml': 'services: {web: {image: "nginx:2"}}\n',
  });
  expect(messages(loaded)).toEqual([]);
  expect(find(loaded, 'service:shop/web')?.spec).toMatchObject({ image: 'nginx:2', environment: { A: '1' } });
});

test('every setting of a host is accepted; an impossible window is an error at its place', async () => {
  const host = (schedule: string, timezone: string) =>
    `window: {schedule: "${schedule}", duration: 2h, timezone: ${timezone}, harmless: allow}\nrollback: off\ndecommission: false\n`;
  const good = await loadRepo({ 'hosts/a/host.yaml': host('0 2 * * 6', 'Europe/Berlin') });
  expect([messages(good), good.host]).toMatchObject([
    [],
    { rollback: 'off', decommission: false, window: { duration: '2h' } },
  ]);
  expect(messages(await loadRepo({ 'hosts/a/host.yaml': host('at night', 'Europe/Atlantis') }))).toEqual([
    'hosts/a/host.yaml:1:10: `schedule` must be a cron expression such as 0 2 * * 6',
    'hosts/a/host.yaml:1:46: `timezone` must be an IANA time zone such as Europe/Berlin',
  ]);
});
