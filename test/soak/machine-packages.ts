/** The .deb on Debian's next release, a virtual machine: installed, set up, upgraded with a migration, removed, purged. */
import assert from 'node:assert/strict';
import type { StatusDocument } from '../../manifests-schema/payloads.ts';
import { differing, fairlead, fairleadJson, identities } from '../lab/agent.ts';
import { type LabHost, startLab, until } from '../lab/lab.ts';

/** The machine has no hardware virtualization: everything takes ten times as long there. */
const SLOW_MS = 900_000;
const WATCHED = { files: ['/etc/greeting'], units: ['work.service'], containers: ['shop-web-1'] };
const FLEET = {
  'hosts/vm-1/a.yaml':
    'files: {/etc/greeting: {content: "hello\\n"}}\nunits: {work.service: {source: work.service, state: started}}\n',
  'hosts/vm-1/work.service': '[Service]\nExecStart=/bin/sleep infinity\n',
  'hosts/vm-1/shop/compose.yaml': 'services: {web: {image: "infra:5000/app:1", volumes: ["./data:/data"]}}\n',
};
function step(what: string): void {
  console.log(`packages: ${what}`);
}

/** The output of dpkg and apt-get; throws if they fail. */
const apt = (host: LabHost, ...args: string[]) => host.exec(['apt-get', '-y', ...args], { timeoutMs: SLOW_MS });

async function wellAgain(host: LabHost): Promise<void> {
  await until('a host that is as it should be', SLOW_MS, async () => {
    const { sync, health } = await fairleadJson<StatusDocument>(host, 'status');
    return sync === 'synced' && health === 'healthy';
  });
}

/** Paths of two packages, the second with a further migration of the database, and its version. */
export interface Debs {
  now: string;
  newer: string;
  newerVersion: string;
}

/** Throws if something is not as expected. */
export async function playOnMachine(debs: Debs): Promise<void> {
  const lab = await startLab({ name: 'soak-packages', hosts: [{ name: 'vm-1', flavour: 'vm' }], log: step });
  try {
    await play(lab.host('vm-1'), debs);
  } finally {
    await lab.stop();
  }
}

async function play(host: LabHost, debs: Debs): Promise<void> {
  // Files that the lab installed only for tests of the agent.
  await host.sh('umount /usr/lib/fairlead; rm -rf /usr/lib/fairlead /usr/local/bin/fairlead');
  await host.copyIn(debs.now, '/root/now.deb');
  await host.copyIn(debs.newer, '/root/newer.deb');
  for (const [file, content] of Object.entries(FLEET)) await host.write(`/srv/work/${file}`, content);
  await host.sh(`cd /srv/work && git init -q -b main && git add -A
    git -c user.name=Ben -c user.email=ben@example.com commit -qm First && git clone -q --bare /srv/work /srv/fleet.git`);
  step('apt install and fairlead init');
  await apt(host, 'install', '/root/now.deb');
  await fairlead(host, 'init', '/srv/fleet.git', '--host', 'vm-1');
  await wellAgain(host);
  const before = await identities(host, WATCHED);
  step('apt install of a newer version');
  await apt(host, 'install', '/root/newer.deb');
  assert.equal((await fairlead(host, 'version')).stdout.trim(), `fairlead ${debs.newerVersion}`);
  await wellAgain(host);
  assert.deepEqual(differing(before, await identities(host, WATCHED)), []);
  step('apt remove');
  await host.write('/var/lib/fairlead/tree/hosts/vm-1/shop/data/orders.db', 'data');
  await apt(host, 'remove', 'fairlead');
  assert.deepEqual(differing(before, await identities(host, WATCHED)), []);
  step('apt purge');
  await host.exec(['docker', 'rm', '-f', 'shop-web-1'], { timeoutMs: SLOW_MS });
  await apt(host, 'purge', 'fairlead');
  const { stdout } = await host.sh('cd /var/lib/fairlead && find . ! -type d');
  assert.equal(stdout.trim(), './tree/hosts/vm-1/shop/data/orders.db');
}
