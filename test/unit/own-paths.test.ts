/** No section of a manifest can reach fairlead's own paths, not only `files`. */
import { describe, expect, test } from 'vitest';
import { loadRepo, messages } from './repo.ts';

const problems = async (files: Record<string, string>): Promise<string> =>
  messages(
    await loadRepo(Object.fromEntries(Object.entries(files).map(([name, text]) => [`hosts/a/${name}`, text]))),
  ).join('\n');
const compose = (service: string, more = ''): Promise<string> =>
  problems({ 'shop/compose.yaml': `services:\n  web: {image: app, ${service}}\n${more}` });

describe.each([
  '/etc/fairlead',
  '/var/lib/fairlead',
  '/run/fairlead/agent.sock',
  '/ETC/fairlead/age.key',
  '/srv/../etc/fairlead/',
  '/var/lib/fairlead/secrets/shop',
])('%s', (own) => {
  test('cannot be mounted, in short or in long form, read-only or not', async () => {
    expect(await compose(`volumes: ["${own}:/x"]`)).toMatch(/fairlead's own and cannot be mounted/);
    expect(await compose(`volumes: ["${own}:/x:ro"]`)).toMatch(/fairlead's own and cannot be mounted/);
    expect(await compose(`volumes: [{type: bind, source: "${own}", target: /x, read_only: true}]`)).toMatch(
      /cannot be mounted/,
    );
  });
  test('cannot be the device of a volume', async () => {
    const volume = `volumes: {vol: {driver_opts: {type: none, o: bind, device: "${own}"}}}\n`;
    expect(await compose('volumes: ["vol:/x"]', volume)).toMatch(/cannot be mounted/);
  });
  test('cannot be a layer of a volume', async () => {
    for (const o of [`lowerdir=/srv/a:${own},upperdir=/srv/b,workdir=/srv/c`, `lowerdir+=${own}`, `upperdir=${own}`]) {
      const volume = `volumes: {vol: {driver_opts: {type: overlay, device: overlay, o: "${o}"}}}\n`;
      expect(await compose('volumes: ["vol:/x"]', volume), o).toMatch(/cannot be mounted/);
    }
  });
  test('cannot be a config or secret', async () => {
    expect(await compose('secrets: [s]', `secrets: {s: {file: "${own}"}}\n`)).toMatch(/cannot be mounted/);
  });
});

test.each(['/etc/fairlead', '/var/lib/fairlead/originals', '/var/lib/fairlead/', '/srv/../etc/fairlead', '/'])(
  '%s cannot be a project directory',
  async (dir) => {
    expect(await compose('volumes: ["./data:/data"]', `x-fairlead: {project_directory: "${dir}"}\n`)).toMatch(
      /project_directory: .*(cannot be managed|plain path|absolute path)/,
    );
  },
);

test('content that a stack mounts by relative path, and every other path, can be mounted', async () => {
  expect(await compose('volumes: ["./data:/data", "/srv/data:/x", "/etc:/etc2:ro", "/etc/fairlead-other:/y"]')).toBe(
    '',
  );
});

test.each([
  '/etc/systemd/system/fairlead-upgrade.service',
  '/usr/lib/fairlead.before/node',
  '/run/systemd/system/fairlead.service.d/x.conf',
  '/run/systemd/transient/fairlead.service',
  '/etc/systemd/system.control/fairlead.service.d/x.conf',
  '/etc/systemd/system/fairlead.service.wants/x.service',
  '/usr/local/lib/systemd/system/fairlead.service',
  '/usr/lib/systemd/system/fairlead.service.d/x.conf',
  '/etc/systemd/system/service.d/x.conf',
  '/run/systemd/system/service.d/x.conf',
])('%s cannot be managed', async (path) => {
  expect(await problems({ 'a.yaml': `files: {${path}: {content: x}}\n` })).toMatch(/cannot be managed/);
});

const SERVICE = 'content: "[Service]\\nExecStart=/bin/true\\n';
test.each([
  ['-.mount: {state: stopped}', /cannot be managed/],
  ['-.slice: {dropins: {x.conf: {content: "[Slice]\\nMemoryMax=1\\n"}}}', /cannot be managed/],
  ['dbus.service: {masked: true}', /cannot be stopped or masked/],
  ['dbus.socket: {state: stopped}', /cannot be stopped or masked/],
  ['system.slice: {state: stopped}', /cannot be stopped or masked/],
  ['fairlead.service: {state: stopped}', /fairlead's own/],
  ['fairlead-upgrade.service: {masked: true}', /fairlead's own/],
  [`x.service: {${SERVICE}[Install]\\nAlias=y.service fairlead.service\\n", enabled: true}`, /Alias=fairlead\.service/],
  [
    'a.service: {content: "[Service]\\nExecStart=/bin/true\\n[Install]\\nAlias=b.service \\\\\\n# c\\n fairlead.service\\n"}',
    /fairlead's own/,
  ],
])('units: %s', async (unit, expected) => {
  expect(await problems({ 'a.yaml': `units:\n  ${unit}\n` })).toMatch(expected);
});

test.each([
  'system.slice: {dropins: {x.conf: {content: "[Slice]\\nMemoryMax=1G\\n"}}}',
  'dbus.service: {state: started}',
  `x.service: {${SERVICE}[Install]\\nAlias=my-fairlead.service fairlead.service.example.service\\n"}`,
])('units: %s is no error', async (unit) => {
  expect(await problems({ 'a.yaml': `units:\n  ${unit}\n` })).toBe('');
});
