/**
 * Attackers on the host itself: a local user on the system bus, root of a container, and the rights that the unit leaves to the
 * agent.
 */
import fs from 'node:fs';
import path from 'node:path';
import dbus, { type MessageBus } from 'dbus-native';
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest';
import { AgentError } from '../../agent/errors.ts';
import { createFiles } from '../../agent/system/files/files.ts';
import { createExposures } from '../../agent/system/paths/exposed.ts';
import { createSystemd } from '../../agent/system/systemd/systemd.ts';
import { failOnStalls } from '../stall.ts';
import { fairlead, installAgent, statusWhere } from './agent.ts';
import { type EngineOn, engineOn } from './engine-on.ts';
import { type Lab, type LabHost, startLab, until } from './lab.ts';

const OPERATIONS = 10_000;
const META = { mode: 0o644, uid: 0, gid: 0 };

let lab: Lab;
let host: LabHost;
let root: string;
let engine: EngineOn;
failOnStalls();
beforeAll(async () => {
  lab = await startLab({ name: 'hostile-host', hosts: [{ name: 'edge-1' }] });
  host = lab.host('edge-1');
  root = `/proc/${await host.pid()}/root`;
  engine = await engineOn(host);
});
afterAll(async () => {
  engine?.close();
  await lab?.stop();
});

const asNobody = (script: string) =>
  host.exec(['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', 'sh', '-ec', script], { check: false });

test('a local user cannot end a job of ours on the real system bus, although the forged signals arrive', async () => {
  await host.write(
    '/etc/systemd/system/slow.service',
    '[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c "until [ -e /run/go ]; do sleep 0.1; done"\n',
  );
  await host.exec(['systemctl', 'daemon-reload']);
  const socket = `${root}/run/dbus/system_bus_socket`;
  const systemd = createSystemd({ socket });
  const bystander: MessageBus = dbus.createClient({ busAddress: `unix:path=${socket}`, authMethods: ['EXTERNAL'] });
  const arrived: unknown[][] = [];
  bystander.connection.on('message', ({ member, body = [] }: { member?: string; body?: unknown[] }) => {
    if (member === 'JobRemoved') arrived.push(body);
  });
  try {
    let result: string | null = null;
    const job = systemd.job('StartUnit', 'slow.service').then((answer) => {
      result = answer;
    });
    const forged = await until('the forged signals to be sent', 30_000, async () => {
      const { code, stdout } = await asNobody(`
        id=$(systemctl list-jobs --no-legend | awk '$2 == "slow.service" { print $1 }')
        [ -n "$id" ]
        for name in $(busctl list --no-legend --unique | awk '{ print $1 }'); do
          busctl emit --destination="$name" /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager JobRemoved \\
            uoss "$id" "/org/freedesktop/systemd1/job/$id" slow.service failed && echo "$name"
        done`);
      return code === 0 && stdout.trim() !== '' ? stdout : undefined;
    });
    expect(forged).toMatch(/^:1\./m);
    await until('a forged signal to arrive at a bystander', 60_000, async () => arrived.some((b) => b[3] === 'failed'));
    expect(result).toBeNull();
    await host.write('/run/go', '');
    await job;
    expect(result).toBe('done');
  } finally {
    systemd.close();
    bystander.connection.end();
  }
});

/** Exchanges, as root of a container and as fast as it can, a mounted directory and a link: renameat2(2). */
const ATTACK = `
  my %nr = (x86_64 => 316, aarch64 => 276);
  my ($call, $conf, $link) = ($nr{$ENV{ARCH}}, "/data/conf", "/data/link");
  symlink "../../etc/cron.d", $link;
  my $end = time + 900;
  while (time < $end) { syscall $call, -100, $conf, -100, $link, 2; }
`;

test(`root of a container that exchanges a directory and a link makes none of ${OPERATIONS} operations land elsewhere`, async () => {
  await host.sh(
    'tar -chf - /usr/bin/perl $(ldd /usr/bin/perl | grep -o "/[^ ]*") 2>/dev/null | docker import - attacker:1 >/dev/null',
  );
  const victim = path.join(root, 'etc/cron.d');
  await host.write('/etc/cron.d/app.conf', 'precious', '0600');
  const untouched = () =>
    fs.readdirSync(victim).map((name) => {
      const { mode, uid } = fs.statSync(path.join(victim, name));
      return { name, mode, uid, text: fs.readFileSync(path.join(victim, name), 'utf8') };
    });
  const before = untouched();
  const compose = {
    services: {
      attacker: {
        image: 'attacker:1',
        command: ['/usr/bin/perl', '-e', ATTACK.replaceAll('$', '$$$$')],
        environment: { ARCH: process.arch === 'arm64' ? 'aarch64' : 'x86_64' },
        volumes: ['/srv/app:/data'],
        pull_policy: 'never',
        init: true,
      },
    },
  };
  await engine.apply({
    'files.yaml': 'files:\n  /srv/app/conf/app.conf: {content: "declared\\n"}\n',
    'shop/compose.yaml': JSON.stringify(compose),
  });
  const exchanged = () => fs.lstatSync(path.join(root, 'srv/app/conf'), { throwIfNoEntry: false })?.isSymbolicLink();
  await until('the attack to begin', 120_000, async () => exchanged() === true);

  // What the providers found by themselves about the paths that containers can write.
  const exposures = createExposures({ root, always: [], file: '/var/lib/fairlead/exposed.json' });
  const files = createFiles({ root, exposures });
  const file = '/srv/app/conf/app.conf';
  const codes = new Map<string, number>();
  const note = (code: string) => codes.set(code, (codes.get(code) ?? 0) + 1);
  for (let n = 0; n < OPERATIONS; n++) {
    try {
      if (n % 10 === 5) files.setMeta(file, { ...META, mode: 0o666 });
      else if (n % 10 === 6) files.remove(file);
      else if (n % 10 === 7) await files.removeAll([file, `${file}.1`]);
      else if (n % 20 === 8) await files.mkdir(`${file}.d`, META);
      else if (n % 20 === 18) await files.removeTree(`${file}.d`);
      else if (n % 100 === 9) await files.empty('/srv/app/conf', new Set());
      else await files.write(file, Buffer.from(String(n)), META);
      note('done');
    } catch (thrown) {
      if (!(thrown instanceof AgentError)) throw thrown;
      note(thrown.code);
    }
  }
  expect(untouched()).toEqual(before);
  // Both happened: operations that succeeded, and links that were refused.
  expect(codes.get('done')).toBeGreaterThan(100);
  expect(codes.get('UnsafePath')).toBeGreaterThan(100);

  // The same attack against a walk that takes uid 0 for the host's root.
  const trusting = createFiles({ root });
  let fooled = false;
  for (let n = 0; n < OPERATIONS && !fooled; n++) {
    await trusting.write(file, Buffer.from('elsewhere'), META).catch(() => undefined);
    fooled = fs.readFileSync(path.join(victim, 'app.conf'), 'utf8') === 'elsewhere';
  }
  expect(fooled).toBe(true);
}, 900_000);

test('a container whose mount leads elsewhere by now is not started, and status names the link', async () => {
  await host.sh(
    'docker rm -f $(docker ps -aq) >/dev/null 2>&1 || true; rm -rf /srv/app; mkdir -p /srv/app; ln -s /etc /srv/app/data',
  );
  const compose = {
    services: {
      web: {
        image: 'attacker:1',
        command: ['/usr/bin/perl', '-e', 'sleep 600'],
        volumes: ['/srv/app/data:/data'],
        pull_policy: 'never',
      },
    },
  };
  const run = await engine.apply({ 'web/compose.yaml': JSON.stringify(compose) });
  expect(JSON.stringify(run)).toMatch(/UnsafePath/);
  expect((await host.exec(['docker', 'ps', '-q'])).stdout).toBe('');
});

test("the exposure of the agent's unit is at most 5.0", async () => {
  onTestFailed(async () => console.error(await host.journal('fairlead.service')));
  const repo = await lab.infra.createRepo('fleet');
  await repo.commit(
    {
      'hosts/edge-1/a.yaml': [
        'files:',
        '  /srv/checked: {content: "x", validate: [grep, -q, x, "%s"], owner: daemon, mode: "4755"}',
        '  /tmp/here: {content: "seen by all"}',
        'units:',
        '  t.service: {content: "[Service]\\nExecStart=/bin/sleep infinity\\n", state: started}',
        'jobs:',
        '  j: {run: [sh, -c, "echo ran > /srv/ran"]}',
        'checks:',
        '  c: {run: [sh, -c, "runuser -u daemon -- test -x /srv/checked"], within: 5s}',
        '',
      ].join('\n'),
    },
    'Work in it',
  );
  await installAgent(host, { repoUrl: repo.httpUrl });
  await statusWhere(lab.infra, 'edge-1', 'synced', (s) => s.sync === 'synced' && s.health === 'healthy');
  expect((await host.exec(['stat', '-c', '%a %U', '/srv/checked', '/tmp/here'])).stdout).toBe(
    '4755 daemon\n644 root\n',
  );
  expect((await fairlead(host, 'doctor')).stdout).not.toMatch(/permission denied|not permitted/i);
  const { stdout } = await host.exec(['systemd-analyze', 'security', '--no-pager', 'fairlead.service'], {
    check: false,
  });
  const exposure = /Overall exposure level for fairlead\.service: ([\d.]+)/.exec(stdout)?.[1];
  expect(Number(exposure)).toBeGreaterThan(0);
  expect(Number(exposure)).toBeLessThanOrEqual(5);
});
