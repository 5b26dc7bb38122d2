/**
 * The power of a whole machine fails while a commit replaces its agent: once at each point of it, and what was not synced is lost, of
 * the package's files and dpkg's records too. engine/upgrade-script.test.ts has each command of the script, over disks that are made up.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFailed, test } from 'vitest';
import { apiOf, type DaemonApi } from '../api.ts';
import { builtPackage, VERSIONS } from '../built-packages.ts';
import { type Lab, startLab } from '../lab.ts';
import { run } from '../run.ts';
import type { VirtualHost } from './host.ts';
import { whyNone } from './need.ts';

const UPGRADE = '/var/lib/fairlead/upgrade';
const MINUTE = 60_000;
/**
 * A new version that is silent for half of its trial has failed: on this machine an agent takes half a minute to start, and some
 * minutes while other tests run.
 */
const TRIAL = '[Service]\nEnvironment=FAIRLEAD_UPGRADE_TRIAL=300 NODE_EXTRA_CA_CERTS=/srv/tls.crt\n';
/** The machine's own server of packages. */
const SERVE = `const fs = require('fs');
require('https').createServer({ key: fs.readFileSync('/srv/tls.key'), cert: fs.readFileSync('/srv/tls.crt') },
  (q, r) => fs.createReadStream('/srv' + q.url).pipe(r)).listen(8443);
`;
const CERTIFICATE = `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /srv/tls.key -out /srv/tls.crt \\
  -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost`;
/** It is a process of the machine's boot, and ends with its power. */
const START_SERVER = `systemd-run --unit=packages /usr/lib/lab-node /srv/serve.cjs
until bash -c '</dev/tcp/localhost/8443' 2> /dev/null; do
  systemctl is-active -q packages || { journalctl -u packages; exit 1; }
  sleep 0.2
done`;
/**
 * A package writes to places that are on the root disk, which is the saved one again after a cut: what is written there goes to the
 * second disk, which has what was synced. The agent that the lab brings makes room for the package's.
 */
const PLACES = `umount /usr/lib/fairlead
rm -rf /usr/lib/fairlead
for at in /usr /var/lib/dpkg /var/lib/systemd; do
  mkdir -p /data/above$at/files /data/above$at/work
  mount -t overlay -o lowerdir=$at,upperdir=/data/above$at/files,workdir=/data/above$at/work above $at
done`;
/** What a package brings of the program, with digests; typed in the root of the machine or of the unpacked package. */
const LISTING = `find usr/lib/fairlead usr/bin/fairlead usr/lib/systemd/system/fairlead.service -type f -exec sha256sum {} + | sort -k 2`;

/** Conditions of a shell, in the order in which they come to be true. */
const isIn = (phase: string) => `[ "$(cat ${UPGRADE}/phase 2>/dev/null)" = ${phase} ]`;
const ORDERED = `[ -e ${UPGRADE}/order ]`;
const UNPACKING = 'ls /usr/lib/fairlead/*.dpkg-new > /dev/null 2>&1';
const IN_PLACE = `[ "$(cat /usr/lib/fairlead/VERSION 2>/dev/null)" = ${VERSIONS.newer} ]`;
const PASSED = `{ ${isIn('good')} || grep -qs '^verdict=upgraded' ${UPGRADE}/result; }`;
const RESTORING = `[ -e ${UPGRADE}/restoring ]`;
const FAILED = `grep -qs '^verdict=failed' ${UPGRADE}/result`;
/** Nothing is left of the order. */
const ENDED = `! ls -d ${UPGRADE}/order ${UPGRADE}/phase /usr/lib/fairlead.before /etc/systemd/system/fairlead-upgrade.service > /dev/null 2>&1`;

const none = await whyNone();

describe.skipIf(none !== null)('a machine whose agent a commit replaces', () => {
  let lab: Lab;
  let host: VirtualHost;
  let api: DaemonApi;
  let debs: Record<'now' | 'newer' | 'mute', string>;
  const slowly = { timeoutMs: 15 * MINUTE };

  beforeAll(async () => {
    debs = { now: await builtPackage('now'), newer: await builtPackage('newer'), mute: await builtPackage('mute') };
    const vm = { name: 'vm-1', flavour: 'vm' as const, firewall: false, engine: false };
    lab = await startLab({ name: 'vm-upgrade', hosts: [vm], infra: 'shared', log: console.log });
    host = lab.machine('vm-1');
    api = apiOf(host);
    await host.sh(`${PLACES}\nsystemctl disable docker.service docker.socket containerd.service`, slowly);
    for (const [name, deb] of Object.entries(debs)) await host.copyIn(deb, `/srv/${name}.deb`);
    await host.write('/etc/systemd/system/fairlead.service.d/trial.conf', TRIAL);
    await host.write('/srv/serve.cjs', SERVE);
    // What the test itself writes must survive; the package and fairlead, which come after it, see to theirs.
    await host.sh(`${CERTIFICATE}\nsync`, slowly);
    await host.exec(['dpkg', '--install', '/srv/now.deb'], slowly);
    await commit('one');
    await host.sh('systemctl daemon-reload; fairlead init /srv/fleet.git --host vm-1 --json', slowly);
    await api.statusWhere('synced', ({ sync }) => sync === 'synced');
  }, 40 * MINUTE);
  afterAll(async () => lab?.stop());
  beforeEach(() =>
    onTestFailed(async ({ task }) => {
      // At once, because the next test takes long.
      for (const error of task.result?.errors ?? []) console.error(error.stack);
      const { stdout } = await host.exec(['journalctl', '--no-pager', '-n', '200', '-u', 'fairlead*'], {
        check: false,
      });
      console.error(stdout);
    }),
  );

  /** Commits a greeting, and the version that is wanted beside it. The repository survives a power cut, file by file. */
  async function commit(greeting: string, build?: 'newer' | 'mute'): Promise<string> {
    const wanted = build && {
      version: VERSIONS[build],
      source: `https://localhost:8443/${build}.deb`,
      sha256: createHash('sha256').update(readFileSync(debs[build])).digest('hex'),
    };
    const at = '/srv/work/hosts/vm-1';
    await host.write(`${at}/a.yaml`, `files: {/etc/greeting: {content: ${greeting}}}\n`);
    await host.write(`${at}/host.yaml`, `${JSON.stringify({ agent: wanted ?? null })}\n`);
    const { stdout } = await host.sh(
      `cd /srv/work; [ -d .git ] || git init -q -b main; git add -A
git -c user.name=Ben -c user.email=ben@example.com commit -qm ${greeting}
if [ -d /srv/fleet.git ]; then git push -q /srv/fleet.git main; else git clone -q --bare . /srv/fleet.git; fi
find /srv/work /srv/fleet.git \\( -type f -o -type d \\) -exec sync {} +
git rev-parse HEAD`,
      slowly,
    );
    return stdout.trim();
  }
  /** In the machine itself, which takes long to be asked. */
  const reach = (condition: string) => host.sh(`until ${condition}; do sleep 0.2; done`, slowly);
  const cutWhen = async (condition: string) => {
    await reach(condition);
    await host.powerOff();
    console.log(`vm-upgrade: power cut when ${condition}`);
    await host.resume();
    await host.sh(PLACES);
    await host.startAll();
  };
  const listingOf = async (deb: string) => {
    const unpacked = `d=$(mktemp -d); trap 'rm -rf "$d"' EXIT; dpkg-deb --extract "$1" "$d"; cd "$d"; ${LISTING}`;
    return (await run(['sh', '-ec', unpacked, 'sh', deb])).stdout;
  };
  /** One agent, whole, that runs; and what it has done. */
  const expectNewer = async ({ head, greeting }: { head: string; greeting: string }) => {
    await reach(ENDED);
    const { problems } = await api.statusWhere(
      'the commit, applied by the version that stays',
      ({ agent, applied }) => agent.version === VERSIONS.newer && applied?.commit === head,
    );
    expect((await host.sh(`cd /; ${LISTING}`, slowly)).stdout).toBe(await listingOf(debs.newer));
    const processes = await host.sh("pgrep -fc '^/usr/lib/fairlead/node .*/fairlead.cjs agent$'");
    expect(processes.stdout.trim()).toBe('1');
    expect((await host.exec(['cat', '/etc/greeting'])).stdout).toBe(greeting);
    return problems;
  };
  const schema = async () => Number((await host.exec(['cat', '/var/lib/fairlead/schema'])).stdout);

  test(
    'has the new version, although power failed while it was ordered, unpacked, in place, on trial, and when it had passed',
    async () => {
      const before = await schema();
      const head = await commit('two', 'newer');
      await host.sh(START_SERVER, slowly);
      await host.exec(['fairlead', 'sync', '--no-wait'], slowly);
      for (const point of [ORDERED, UNPACKING, IN_PLACE, isIn('judging'), PASSED]) await cutWhen(point);
      expect(await expectNewer({ head, greeting: 'two' })).toEqual([]);
      expect(await schema()).toBe(before + 1);
    },
    90 * MINUTE,
  );

  test(
    'has the former version, although power failed while it was put back, and when the new one had failed',
    async () => {
      const before = await schema();
      const head = await commit('three', 'mute');
      await host.sh(START_SERVER, slowly);
      await host.exec(['fairlead', 'sync', '--no-wait'], slowly);
      for (const point of [RESTORING, FAILED]) await cutWhen(point);
      const problems = await expectNewer({ head, greeting: 'three' });
      expect(problems.map(({ reason }) => reason)).toEqual(['AgentUpgradeFailed']);
      expect(await schema()).toBe(before);
    },
    60 * MINUTE,
  );
});
