/** The samples of examples/bootstrap and the scripts of the image, as far as they can be checked without a host. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { parseConfig } from '../../agent/config.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const SAMPLES = path.join(ROOT, 'examples/bootstrap');
const read = (file: string) => readFileSync(path.join(ROOT, file), 'utf8');

test('user-data has the header that cloud-init expects', () => {
  expect(read('examples/bootstrap/cloud-init/user-data.yaml')).toMatch(/^#cloud-config\n/);
});

test('the script in user-data is valid for sh', () => {
  const { runcmd } = parse(read('examples/bootstrap/cloud-init/user-data.yaml')) as { runcmd: string[][] };
  expect(runcmd.map(([shell, flags]) => [shell, flags])).toEqual([['sh', '-ec']]);
  execFileSync('sh', ['-n'], { input: runcmd[0]?.[2] });
});

test('the agent.yaml that the Ansible playbook writes is valid for the agent', () => {
  const [play] = parse(read('examples/bootstrap/ansible/playbook.yml')) as {
    roles: { vars: Record<string, unknown> }[];
  }[];
  const vars = play?.roles[0]?.vars ?? {};
  const text = stringify(vars.fairlead_config).replaceAll('{{ inventory_hostname }}', 'edge-1');
  const { host, repo, mqtt } = parseConfig('agent.yaml', text, 'machine');
  expect([host, repo.url, mqtt?.username]).toEqual(['edge-1', 'https://git.example.com/fleet.git', 'edge-1']);
  expect(Object.keys(vars.fairlead_files as object)).toEqual([mqtt?.passwordFile]);
});

test('every variable that the role uses has a default', () => {
  const tasks = readFileSync(path.join(SAMPLES, 'ansible/roles/fairlead/tasks/main.yml'), 'utf8');
  const defaults = parse(
    readFileSync(path.join(SAMPLES, 'ansible/roles/fairlead/defaults/main.yml'), 'utf8'),
  ) as object;
  const registered = [...tasks.matchAll(/register: (\w+)/g)].map(([, name]) => name);
  const used = new Set([...tasks.matchAll(/\bfairlead_\w+/g)].map(([name]) => name));
  for (const name of [...registered, 'fairlead_bootstrap']) used.delete(name ?? '');
  expect([...used].sort()).toEqual(Object.keys(defaults).sort());
});

test('the container starts the agent as its unit does', () => {
  const unit = readFileSync(path.join(ROOT, 'systemd/fairlead.service'), 'utf8');
  const enter = readFileSync(path.join(ROOT, 'packaging/container/enter'), 'utf8');
  const flagsOf = (line = '') => line.match(/ --[a-z-]+(=\d+)?/g);
  const inUnit = flagsOf(/^ExecStart=.*$/m.exec(unit)?.[0]);
  expect(flagsOf(/^exec .*"\$@"$/m.exec(enter.split('|| exec').pop() ?? '')?.[0])).toEqual(inUnit);
  const mallocOf = (text: string) => text.match(/MALLOC_\w+=\d+/g);
  expect(mallocOf(enter)).toEqual(mallocOf(unit));
});

test.each([
  'examples/bootstrap/first-boot/fairlead-firstboot',
  'packaging/container/enter',
  'packaging/container/update',
])('%s is a script that is valid for sh', (file) => {
  execFileSync('sh', ['-n', path.join(ROOT, file)]);
});
