/**
 * The samples of examples/bootstrap set up a bare host: the effect of user-data in cloud-init, and the first boot of an image.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, onTestFailed, test } from 'vitest';
import { parse } from 'yaml';
import { fairlead } from './agent.ts';
import { statusOf } from './api.ts';
import { builtPackage } from './built-packages.ts';
import { type Lab, type LabHost, startLab, until } from './lab.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const SAMPLES = path.join(ROOT, 'examples/bootstrap');
const DEB = '/root/fairlead.deb';
let lab: Lab;
let host: LabHost;

beforeAll(async () => {
  const booting = startLab({ name: 'bootstrap', hosts: [{ name: 'boot-1', flavour: 'debian12' }], infra: 'shared' });
  const deb = await builtPackage('now');
  lab = await booting;
  host = lab.host('boot-1');
  await host.copyIn(deb, DEB);
  await host.sh(`git init -q -b main /srv/work; cd /srv/work; mkdir -p hosts/boot-1
    echo 'files: {/etc/greeting: {content: hello}}' > hosts/boot-1/a.yaml; git add -A
    git -c user.name=Ben -c user.email=ben@example.com commit -qm First; git clone -q --bare /srv/work /srv/fleet.git`);
});
afterAll(async () => {
  await lab?.stop();
});
beforeEach(() => onTestFailed(async () => console.error(await host.journal())));

interface UserData {
  write_files: { path: string; permissions: string; content: string }[];
  runcmd: string[][];
}

test('user-data for cloud-init: the machine follows its directory afterwards', async () => {
  const sum = (await host.exec(['sha256sum', DEB])).stdout.slice(0, 64);
  const text = readFileSync(path.join(SAMPLES, 'cloud-init/user-data.yaml'), 'utf8')
    .replace(/https:\/\/downloads\S*/, `file://${DEB}`)
    .replace(/0{64}/, sum)
    .replace('https://git.example.com/fleet.git', '/srv/fleet.git')
    // There is no such broker here, and so no password for it.
    .replace('--broker mqtts://broker.example.com:8883', '')
    .replace('--username "$(hostname)" --password-file /etc/fairlead/mqtt.password', '');
  const { write_files, runcmd } = parse(text) as UserData;
  for (const { path: file, content, permissions } of write_files) await host.write(file, content, permissions);
  for (const argv of runcmd) await host.exec(argv, { timeoutMs: 500_000 });
  await until('a managed host', 150_000, async () => (await statusOf(host)).sync === 'synced');
  expect((await host.exec(['cat', '/etc/greeting'])).stdout).toBe('hello');
});

test('the first boot of an image: name and keys are created, and the settings are removed from the boot partition', async () => {
  await host.sh('apt-get purge -y fairlead; rm -rf /etc/fairlead', { timeoutMs: 500_000 });
  await host.exec(['apt-get', 'install', '-y', DEB], { timeoutMs: 500_000 });
  await host.copyIn(path.join(SAMPLES, 'first-boot'), '/root/first-boot');
  await host.sh(`cd /root/first-boot; mkdir -p /boot/firmware
    install -m755 fairlead-firstboot /usr/local/sbin/; install -m644 fairlead-firstboot.service /etc/systemd/system/
    systemctl enable fairlead-firstboot.service; grep -v BROKER fairlead.env | sed 's#https://git.example.com/#/srv/#' > /boot/firmware/fairlead.env`);
  await host.powerOff();
  await host.powerOn();
  const told = await until('the first boot', 150_000, async () => {
    const { code, stdout } = await host.exec(['cat', '/boot/firmware/fairlead.txt'], { check: false });
    return code === 0 && /^age: age1/m.test(stdout) && stdout;
  });
  const id = (await host.exec(['cat', '/etc/machine-id'])).stdout.trim();
  const recipient = (await fairlead(host, 'secret', 'recipients')).stdout.trim();
  expect(told).toBe(`host: pi-${id.slice(-8)}\nage: ${recipient}\n`);
  await until('the settings to be gone', 60_000, async () => {
    const { code } = await host.exec(['test', '-e', '/boot/firmware/fairlead.env'], { check: false });
    return code === 1;
  });
  await until('an agent without a directory', 150_000, async () => {
    const { host: name, sync } = await statusOf(host);
    return name === `pi-${id.slice(-8)}` && sync === 'unassigned';
  });
});
