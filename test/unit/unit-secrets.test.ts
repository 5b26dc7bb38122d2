/** systemd shows a secret in a unit file to every local user; which units are refused, and with which messages. */
import { expect, test } from 'vitest';
import type { Secrets } from '../../agent/core/render/secret-values.ts';
import { loadRepo } from './repo.ts';

const VALUE = 'hunter2secret';
const secrets: Secrets = {
  file: () => new TextEncoder().encode(`[Service]\nEnvironment=P=${VALUE}\nExecStart=/bin/true\n`),
  names: () => ['token', 'port'],
  value: (_path, name) => (name === 'port' ? 8080 : VALUE),
};

/** Severity and message of each issue. */
async function issuesOf(unit: string, more: Record<string, string> = {}): Promise<string[]> {
  const repo = { 'hosts/a/s.sops.yaml': 'x: y\n', 'hosts/a/a.yaml': `units:\n  x.service:\n${unit}`, ...more };
  const loaded = await loadRepo(repo, { decrypt: async () => secrets });
  return loaded.issues.map(({ severity, message }) => `${severity}: ${message}`);
}
const content = (...lines: string[]) =>
  `    template: true\n    content: |\n${['[Service]', 'ExecStart=/bin/true', ...lines].map((line) => `      ${line}\n`).join('')}`;

test.each([
  ['Environment=P={{ secrets.token }}', 'Environment='],
  ['ExecStartPre=/bin/echo {{ secrets.token }}', 'ExecStartPre='],
  ['Environment=P={{ secrets.token | base64_encode }}', 'Environment='],
  ['Environment=PORT={{ secrets.port }}', 'Environment='],
  ['{% if secrets.token == "x" %}{% else %}Description=it is not x{{ secrets.token }}{% endif %}', 'Description='],
])('%s is an error that names the directive and never the value', async (line, directive) => {
  const issues = await issuesOf(content(line));
  expect(issues).toEqual([expect.stringMatching(/^error: a secret is in .*LoadCredential=.*EnvironmentFile=/)]);
  expect(issues[0]).toContain(`\`${directive}\``);
  expect(issues[0]).not.toContain(VALUE);
});

test('a continued line belongs to its directive', async () => {
  expect((await issuesOf(content('Environment=A=1 \\', '  B={{ secrets.token }}')))[0]).toContain('`Environment=`');
});

test('a drop-in and a completely encrypted file are checked as well', async () => {
  const dropin =
    '    dropins: {x.conf: {template: true, content: "[Service]\\nEnvironment=P={{ secrets.token }}\\n"}}\n';
  expect((await issuesOf(dropin))[0]).toMatch(/^error: .*`Environment=`/);
  expect((await issuesOf('    source: files/x.service.age\n', { 'hosts/a/files/x.service.age': 'age' }))[0]).toMatch(
    /^error: /,
  );
});

test('SetCredential= is a warning, because local users can read it too', async () => {
  expect(await issuesOf(content('SetCredential=p:{{ secrets.token }}'))).toEqual([
    expect.stringMatching(/^warning: .*SetCredential=/),
  ]);
});

test('lines without a secret, comments, and the content of SetCredentialEncrypted= are accepted', async () => {
  const unit = content(
    'LoadCredential=p:/etc/token',
    '# {{ secrets.token }}',
    'SetCredentialEncrypted=p:{{ secrets.token }}',
    'Environment=HOST={{ host.name }}',
  );
  expect(await issuesOf(unit)).toEqual([]);
});
