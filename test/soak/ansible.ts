/**
 * The Ansible sample, run by Debian's ansible-core over ssh: a bare Debian 12 host follows its directory, a second run changes
 * nothing, other settings reach the running agent, and another package upgrades it.
 */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { StatusDocument } from '../../manifests-schema/payloads.ts';
import { buildPackages } from '../../packaging/package.ts';
import { differing, identities } from '../lab/agent.ts';
import { statusOf } from '../lab/api.ts';
import { type Lab, type LabHost, startLab, until } from '../lab/lab.ts';
import { run } from '../lab/run.ts';

const NEWER = '9.0.0';
const WATCHED = { files: ['/etc/greeting'], units: ['work.service'], containers: [] };
const FLEET = {
  'hosts/edge-1/a.yaml':
    'files: {/etc/greeting: {content: "hello\\n"}}\nunits: {work.service: {source: work.service, state: started}}\n',
  'hosts/edge-1/work.service': '[Service]\nExecStart=/bin/sleep infinity\n',
};

export interface AnsibleOptions {
  /** Directory of the sample, which is not changed. */
  sample: string;
  /** An empty directory on this machine. */
  work: string;
}

/** Throws if something is not as expected. */
export async function playRole(options: AnsibleOptions): Promise<void> {
  const lab = await startLab({
    name: 'soak-ansible',
    hosts: [{ name: 'edge-1', flavour: 'debian12', engine: false }],
    log: step,
  });
  try {
    await play(lab, options);
  } finally {
    await lab.stop();
  }
}

function step(what: string): void {
  console.log(`bootstrap: ${what}`);
}

async function play(lab: Lab, { sample, work }: AnsibleOptions): Promise<void> {
  const host = lab.host('edge-1');
  const book = path.join(work, 'ansible');
  cpSync(sample, book, { recursive: true });
  const edit = editorOf(path.join(book, 'playbook.yml'));
  const repo = await lab.infra.createRepo('fleet');
  await repo.commit(FLEET, 'First');
  step('packages of two versions');
  const packages = { archs: ['x64' as const], formats: ['deb' as const], fast: true, out: path.join(book, 'files') };
  await buildPackages(packages);
  await buildPackages({ ...packages, version: NEWER });
  await bringPython(host, work);
  const inventory = await inventoryOf(host, work);
  const playbook = () => runPlaybook(inventory, book);

  edit('https://git.example.com/fleet.git', repo.httpUrl);
  // The lab's broker has no certificate.
  edit('url: mqtts://broker.example.com:8883', `url: ${lab.infra.brokerUrl}\n            insecure: true`);
  step('a bare host');
  const first = await playbook();
  assert.match(first.said, /age: age1\w+, ssh: ssh-ed25519 \S+/);
  const { agent } = await statusWhere(host, ({ sync, problems }) => sync === 'synced' && problems.length === 0);
  assert.deepEqual(await linesOf(host, 'cat /etc/greeting'), ['hello']);
  assert.deepEqual(await linesOf(host, 'stat -c "%n %a" /etc/fairlead/*'), [
    '/etc/fairlead/agent.yaml 600',
    '/etc/fairlead/mqtt.password 600',
    '/etc/fairlead/ssh_key 600',
    '/etc/fairlead/ssh_key.pub 644',
  ]);
  assert.deepEqual(await linesOf(host, 'cat /etc/fairlead/mqtt.password'), [PASSWORD]);
  assert.ok(!first.said.includes(PASSWORD), 'the password was printed');

  step('a second run');
  assert.equal((await playbook()).changed, 0);

  step('another setting');
  edit('labels: {site: berlin}', 'labels: {site: munich}');
  assert.equal((await playbook()).changed, 2);
  const later = await statusWhere(host, ({ labels }) => labels.site === 'munich');
  assert.equal(later.agent.instance, agent.instance, 'the agent was restarted');

  step('another version');
  const before = await identities(host, WATCHED);
  edit(/files\/fairlead_\S+_amd64\.deb/, `files/fairlead_${NEWER}_amd64.deb`);
  await playbook();
  await statusWhere(
    host,
    (status) => status.agent.version === NEWER && status.sync === 'synced' && status.run !== null,
  );
  assert.deepEqual(differing(before, await identities(host, WATCHED)), []);
}

const PASSWORD = 'correct horse battery staple';

/** @returns a function that replaces a part of a text, which must occur in it */
const editorOf = (file: string) => (from: string | RegExp, to: string) => {
  const text = readFileSync(file, 'utf8');
  const edited = text.replace(from, to);
  assert.notEqual(edited, text, `${file} does not say ${from}`);
  writeFileSync(file, edited);
};

const linesOf = async (host: LabHost, script: string): Promise<string[]> =>
  (await host.sh(script)).stdout.trimEnd().split('\n');

async function statusWhere(host: LabHost, fits: (status: StatusDocument) => boolean): Promise<StatusDocument> {
  let last: StatusDocument | null = null;
  try {
    return await until('a status', 120_000, async () => {
      last = await statusOf(host);
      return fits(last) && last;
    });
  } catch (thrown) {
    throw new Error(`${thrown instanceof Error ? thrown.message : ''}; last: ${JSON.stringify(last)}`);
  }
}

/**
 * What Ansible needs on every host, and the lab's hosts lack: Python, with its module for apt. This machine's apt, which is of
 * Debian 12 as well, fetches the missing packages.
 */
async function bringPython(host: LabHost, work: string): Promise<void> {
  const archives = path.join(work, 'archives');
  mkdirSync(path.join(archives, 'partial'), { recursive: true });
  writeFileSync(path.join(work, 'dpkg-status'), (await host.exec(['cat', '/var/lib/dpkg/status'])).stdout);
  const options = [
    `Dir::State::status=${path.join(work, 'dpkg-status')}`,
    `Dir::Cache::archives=${archives}`,
    'Debug::NoLocking=true',
    'APT::Sandbox::User=root',
  ].flatMap((option) => ['-o', option]);
  const wanted = ['--download-only', '--no-install-recommends', 'python3', 'python3-apt'];
  await run(['apt-get', ...options, 'install', '-y', ...wanted], { timeoutMs: 600_000 });
  await host.copyIn(archives, '/root/python');
  await host.sh('apt-get install -y /root/python/*.deb', { timeoutMs: 500_000 });
}

/** @returns an inventory with this one host, and a private key of this test */
async function inventoryOf(host: LabHost, work: string): Promise<string> {
  const key = path.join(work, 'key');
  await run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', key]);
  await host.write('/root/.ssh/authorized_keys', readFileSync(`${key}.pub`, 'utf8'), '0600');
  await host.exec(['systemctl', 'start', 'ssh']);
  const known = path.join(work, 'known_hosts');
  const address = await host.address();
  writeFileSync(known, `${address} ${(await host.exec(['cat', '/etc/ssh/ssh_host_ed25519_key.pub'])).stdout}`);
  const variables = {
    ansible_host: address,
    ansible_user: 'root',
    ansible_ssh_private_key_file: key,
    ansible_ssh_common_args: `-o UserKnownHostsFile=${known} -o StrictHostKeyChecking=yes`,
  };
  const inventory = path.join(work, 'hosts.json');
  writeFileSync(inventory, JSON.stringify({ fairlead: { hosts: { [host.name]: variables } } }));
  return inventory;
}

/** @returns the output, and the number of changed tasks. Throws if one failed. */
async function runPlaybook(inventory: string, book: string): Promise<{ said: string; changed: number }> {
  // Uses none of this machine's own settings for Ansible.
  const config = path.join(book, 'ansible.cfg');
  writeFileSync(config, '');
  const env = { ANSIBLE_CONFIG: config, ANSIBLE_NOCOLOR: '1', MQTT_PASSWORD: PASSWORD };
  const argv = ['ansible-playbook', '--inventory', inventory, 'playbook.yml'];
  const { stdout } = await run(argv, { cwd: book, env, timeoutMs: 600_000 });
  const [, changed = ''] = /: ok=\d+\s+changed=(\d+)/.exec(stdout) ?? [];
  assert.notEqual(changed, '', `ansible-playbook printed no recap: ${stdout}`);
  return { said: stdout, changed: Number(changed) };
}
