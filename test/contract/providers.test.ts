/** Every provider, held against the contract on real hosts of both flavours. Declarations come by way of the agent's own loader. */
import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest';
import { kindOf, predecessors } from '../../agent/core/graph.ts';
import type { Provider } from '../../agent/core/provider.ts';
import type { Desired, Kind, ResourceId } from '../../agent/core/types.ts';
import { createLoader } from '../../agent/engine/load/load.ts';
import { createProviders, KINDS } from '../../agent/kinds/index.ts';
import { systemClock } from '../../agent/system/clock.ts';
import type { KernelSettings } from '../../agent/system/kernel-settings.ts';
import { type Lab, type LabHost, startLab } from '../lab/lab.ts';
import type { Flavour } from '../lab/recipe.ts';
import { facts, keyedHash, sha256 } from '../unit/repo.ts';
import { bring, contract, type Subject } from './contract.ts';

const FLAVOURS: readonly Flavour[] = ['debian13', 'debian12'];
let lab: Lab;

beforeAll(async () => {
  lab = await startLab({
    name: 'contract',
    infra: 'shared',
    hosts: FLAVOURS.map((flavour) => ({ name: flavour, flavour })),
  });
});
afterAll(async () => lab?.stop());

/** The agent's providers, acting on a lab host from outside: its files and sockets are reached through its init's root. */
async function providersOn(host: LabHost): Promise<ReadonlyMap<Kind, Provider>> {
  const root = `/proc/${await host.pid()}/root`;
  return createProviders({
    isRoot: true,
    root,
    filesOnly: false,
    dockerSocket: `${root}/run/docker.sock`,
    busSocket: `${root}/run/dbus/system_bus_socket`,
    stagingDir: '/var/lib/fairlead/staging',
    clock: systemClock,
    exec: (argv, options = {}) =>
      host.exec(argv, {
        check: false,
        ...(options.input === undefined ? {} : { input: options.input }),
        ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }),
      }),
    kernel: kernelOf(host),
    owned: (id) => id !== 'unit:foreign.service',
  });
}

/** The settings of the host's own network namespace: /proc/sys/net shows whoever reads it his own. */
const kernelOf = (host: LabHost): KernelSettings => ({
  async read(setting) {
    const { code, stdout } = await host.exec(['cat', `/proc/sys/${setting}`], { check: false });
    return code === 0 ? stdout : null;
  },
  async write(setting, value) {
    await host.exec(['sh', '-c', 'printf "%s\\n" "$1" > "/proc/sys/$2"', 'sh', value, setting]);
  },
});

let commits = 0;
/** What the agent would load from these files of one host's directory. */
async function declare(
  providers: ReadonlyMap<Kind, Provider>,
  files: Record<string, string>,
): Promise<readonly Desired[]> {
  const load = createLoader({
    host: 'edge-1',
    fleet: 'default',
    labels: {},
    treeRoot: '/var/lib/fairlead/tree',
    facts,
    sha256,
    keyedHash,
    kinds: KINDS,
    providers,
  });
  const encoded = Object.entries(files).map(([name, text]): [string, Uint8Array] => [
    `hosts/edge-1/${name}`,
    new TextEncoder().encode(text),
  ]);
  const info = { ref: 'main', commit: String(commits++), author: '', subject: '', committedAt: '' };
  const loaded = await load({ info, hostPath: 'hosts/edge-1', hostExists: true, files: new Map(encoded) });
  expect(loaded.issues).toEqual([]);
  return loaded.resources;
}

interface Setup {
  id: ResourceId;
  files: Record<string, string>;
  changed: { files: Record<string, string>; field: string };
  drifts: (host: LabHost) => Subject['drifts'];
  exists: (host: LabHost) => Promise<boolean>;
  before?: (host: LabHost) => Promise<unknown>;
  stays?: true;
  outage?: (host: LabHost) => NonNullable<Subject['outage']>;
}

/** Brings what the resource waits for, so that it can be brought itself. */
async function subjectOn(host: LabHost, setup: Setup): Promise<Subject> {
  await setup.before?.(host);
  const providers = await providersOn(host);
  const find = (all: readonly Desired[]): Desired => {
    const found = all.find((r) => r.id === setup.id);
    if (!found) throw new Error(`${setup.id} is not among ${all.map((r) => r.id).join(', ')}`);
    return found;
  };
  const providerOf = (id: ResourceId): Provider => {
    const found = providers.get(kindOf(id));
    if (!found) throw new Error(`no provider for ${id}`);
    return found;
  };
  const all = await declare(providers, setup.files);
  const before = predecessors(all);
  const needs = async (id: ResourceId): Promise<void> => {
    for (const other of before.get(id) ?? []) {
      await needs(other);
      const want = all.find((r) => r.id === other);
      if (want) await bring(providerOf(other), want);
    }
  };
  await needs(setup.id);
  return {
    provider: providerOf(setup.id),
    want: find(all),
    changed: { want: find(await declare(providers, setup.changed.files)), field: setup.changed.field },
    drifts: setup.drifts(host),
    exists: () => setup.exists(host),
    ...(setup.stays ? { stays: true } : {}),
    ...(setup.outage ? { outage: setup.outage(host) } : {}),
  };
}

const succeeds = async (host: LabHost, ...argv: string[]) => (await host.exec(argv, { check: false })).code === 0;

const FILES: Record<string, Setup> = {
  'a file with content': {
    id: 'file:/etc/contract/app.conf',
    files: { 'a.yaml': 'files: {/etc/contract/app.conf: {content: "hello\\n", mode: "0640", owner: daemon}}\n' },
    changed: {
      files: { 'a.yaml': 'files: {/etc/contract/app.conf: {content: "bye\\n", mode: "0640", owner: daemon}}\n' },
      field: 'content',
    },
    exists: (host) => succeeds(host, 'grep', '-qx', 'hello', '/etc/contract/app.conf'),
    drifts: (host) => [
      { what: 'edited', act: () => host.write('/etc/contract/app.conf', 'other\n', '0640'), field: 'content' },
      { what: 'chmodded', act: () => host.exec(['chmod', '0666', '/etc/contract/app.conf']), field: 'mode' },
      { what: 'chowned', act: () => host.exec(['chown', 'root', '/etc/contract/app.conf']), field: 'owner' },
      { what: 'deleted', act: () => host.exec(['rm', '/etc/contract/app.conf']), field: 'state' },
      {
        what: 'replaced by a link',
        act: () => host.exec(['ln', '-sf', '/etc/hostname', '/etc/contract/app.conf']),
        field: 'type',
      },
      { what: 'its directory moved away', act: () => host.exec(['mv', '/etc/contract', '/etc/away']), field: 'state' },
    ],
  },
  'a file from the repository': {
    id: 'file:/etc/contract-source/motd',
    files: { 'a.yaml': 'files: {/etc/contract-source/motd: {source: files/motd}}\n', 'files/motd': 'welcome\n' },
    changed: {
      files: {
        'a.yaml': 'files: {/etc/contract-source/motd: {source: files/motd, mode: "0600"}}\n',
        'files/motd': 'welcome\n',
      },
      field: 'mode',
    },
    exists: (host) => succeeds(host, 'grep', '-qx', 'welcome', '/etc/contract-source/motd'),
    drifts: (host) => [
      { what: 'grown', act: () => host.sh('echo more >> /etc/contract-source/motd'), field: 'content' },
    ],
  },
  'a directory': {
    id: 'file:/srv/contract-dir',
    files: { 'a.yaml': 'files: {/srv/contract-dir/: {mode: "0750"}}\n' },
    changed: { files: { 'a.yaml': 'files: {/srv/contract-dir/: {mode: "0700"}}\n' }, field: 'mode' },
    exists: (host) => succeeds(host, 'test', '-d', '/srv/contract-dir'),
    drifts: (host) => [
      { what: 'chmodded', act: () => host.exec(['chmod', '0777', '/srv/contract-dir']), field: 'mode' },
      { what: 'given away', act: () => host.exec(['chgrp', 'daemon', '/srv/contract-dir']), field: 'group' },
      { what: 'deleted', act: () => host.exec(['rmdir', '/srv/contract-dir']), field: 'state' },
    ],
  },
  'a link': {
    id: 'file:/srv/contract-link',
    files: { 'a.yaml': 'files: {/srv/contract-link: {link: /etc/hostname}}\n' },
    changed: { files: { 'a.yaml': 'files: {/srv/contract-link: {link: /etc/hosts}}\n' }, field: 'link' },
    exists: (host) => succeeds(host, 'test', '/srv/contract-link', '-ef', '/etc/hostname'),
    drifts: (host) => [
      { what: 'bent', act: () => host.exec(['ln', '-sfn', '/etc/passwd', '/srv/contract-link']), field: 'link' },
      {
        what: 'replaced by a file',
        act: () => host.sh('rm /srv/contract-link; echo x > /srv/contract-link'),
        field: 'type',
      },
    ],
  },
};

const SYSCTLS: Record<string, Setup> = {
  'a kernel setting': {
    id: 'sysctl:net.ipv4.tcp_keepalive_time',
    files: { 'a.yaml': 'sysctls: {net.ipv4.tcp_keepalive_time: "600"}\n' },
    changed: { files: { 'a.yaml': 'sysctls: {net.ipv4.tcp_keepalive_time: "700"}\n' }, field: 'value' },
    exists: (host) => succeeds(host, 'test', '-e', '/proc/sys/net/ipv4/tcp_keepalive_time'),
    drifts: (host) => [
      { what: 'set', act: () => host.sh('echo 800 > /proc/sys/net/ipv4/tcp_keepalive_time'), field: 'value' },
      {
        what: 'edited for the next boot',
        act: () => host.exec(['sed', '-i', 's/= 600/= 900/', '/etc/sysctl.d/zz-fairlead.conf']),
        field: 'at boot',
      },
      {
        what: 'taken out of the file',
        act: () => host.exec(['rm', '/etc/sysctl.d/zz-fairlead.conf']),
        field: 'at boot',
      },
    ],
    stays: true,
  },
};

const unit = (word: string) =>
  `units:\n  contract.service:\n    content: |\n      [Service]\n      ExecStart=/bin/sleep infinity\n      Environment=WORD=${word}\n      [Install]\n      WantedBy=multi-user.target\n    enabled: true\n    state: started\n`;
const noBus = (host: LabHost): NonNullable<Subject['outage']> => ({
  begin: () => host.exec(['systemctl', 'stop', 'dbus.socket', 'dbus.service']),
  end: () => host.exec(['systemctl', 'start', 'dbus.socket', 'dbus.service']),
});

const UNITS: Record<string, Setup> = {
  'a unit with its file': {
    id: 'unit:contract.service',
    files: { 'a.yaml': unit('one') },
    changed: { files: { 'a.yaml': unit('two') }, field: 'content' },
    exists: async (host) =>
      (await succeeds(host, 'systemctl', 'is-active', 'contract.service')) &&
      (await succeeds(host, 'systemctl', 'is-enabled', 'contract.service')),
    drifts: (host) => [
      { what: 'stopped', act: () => host.exec(['systemctl', 'stop', 'contract.service']), field: 'state' },
      { what: 'disabled', act: () => host.exec(['systemctl', 'disable', 'contract.service']), field: 'enabled' },
      {
        what: 'edited',
        act: () => host.sh('echo "# mine" >> /etc/systemd/system/contract.service; systemctl daemon-reload'),
        field: 'content',
      },
      {
        what: 'killed again and again',
        act: () => host.exec(['systemctl', 'kill', '-s', 'KILL', 'contract.service']),
        field: 'state',
      },
    ],
    outage: noBus,
  },
  'a timer': {
    id: 'unit:contract.timer',
    files: {
      'a.yaml':
        'units:\n  contract-job.service: {content: "[Service]\\nType=oneshot\\nExecStart=/bin/true\\n"}\n  contract.timer:\n    content: "[Timer]\\nOnCalendar=hourly\\nUnit=contract-job.service\\n[Install]\\nWantedBy=timers.target\\n"\n    enabled: true\n    state: started\n    after: [unit:contract-job.service]\n',
    },
    changed: {
      files: {
        'a.yaml':
          'units:\n  contract-job.service: {content: "[Service]\\nType=oneshot\\nExecStart=/bin/true\\n"}\n  contract.timer:\n    content: "[Timer]\\nOnCalendar=daily\\nUnit=contract-job.service\\n[Install]\\nWantedBy=timers.target\\n"\n    enabled: true\n    state: started\n    after: [unit:contract-job.service]\n',
      },
      field: 'content',
    },
    exists: (host) => succeeds(host, 'systemctl', 'is-active', 'contract.timer'),
    drifts: (host) => [
      { what: 'stopped', act: () => host.exec(['systemctl', 'stop', 'contract.timer']), field: 'state' },
    ],
  },
  'a drop-in for a unit that may come later': {
    id: 'unit:later.service',
    files: {
      'a.yaml': 'units: {later.service: {dropins: {10-a.conf: {content: "[Service]\\nNice=3\\n"}}}}\n',
    },
    changed: {
      files: {
        'a.yaml': 'units: {later.service: {dropins: {10-a.conf: {content: "[Service]\\nNice=4\\n"}}}}\n',
      },
      field: 'dropins.10-a.conf',
    },
    exists: (host) => succeeds(host, 'test', '-e', '/etc/systemd/system/later.service.d/10-a.conf'),
    drifts: (host) => [
      {
        what: 'edited',
        act: () => host.sh('echo "Nice=5" >> /etc/systemd/system/later.service.d/10-a.conf'),
        field: 'dropins.10-a.conf',
      },
      {
        what: 'deleted',
        act: () => host.exec(['rm', '/etc/systemd/system/later.service.d/10-a.conf']),
        field: 'dropins.10-a.conf',
      },
    ],
  },
  'the state of a unit that is not ours': {
    id: 'unit:foreign.service',
    before: (host) =>
      host.sh(
        'printf "[Service]\\nExecStart=/bin/sleep infinity\\n[Install]\\nWantedBy=multi-user.target\\n" > /etc/systemd/system/foreign.service; systemctl daemon-reload',
      ),
    files: { 'a.yaml': 'units: {foreign.service: {state: started, enabled: false}}\n' },
    changed: { files: { 'a.yaml': 'units: {foreign.service: {state: started, enabled: true}}\n' }, field: 'enabled' },
    exists: (host) => succeeds(host, 'systemctl', 'is-active', 'foreign.service'),
    drifts: (host) => [
      { what: 'stopped', act: () => host.exec(['systemctl', 'stop', 'foreign.service']), field: 'state' },
    ],
    stays: true,
  },
};

const COMPOSE = `services:
  web:
    image: infra:5000/app:1
    hostname: box
    stop_grace_period: 1s
    networks: [front]
    volumes: ["data:/data", "./conf:/etc/box:ro"]
    ports: ["127.0.0.1:8081:8080"]
networks:
  front: {}
volumes:
  data: {}
`;
/** The stack, with one of its words replaced. */
const stack = (word = '', other = '') => ({
  'box/compose.yaml': COMPOSE.replace(word, other),
  'box/conf/a.conf': 'a=1\n',
});
const noEngine = (host: LabHost): NonNullable<Subject['outage']> => ({
  begin: () => host.exec(['systemctl', 'stop', 'docker.socket', 'docker.service']),
  end: () => host.exec(['systemctl', 'start', 'docker.socket', 'docker.service']),
});

const ENGINE: Record<string, Setup> = {
  'a network': {
    id: 'network:box/front',
    files: stack(),
    changed: {
      files: stack('front: {}', 'front: {internal: true}'),
      field: 'internal',
    },
    exists: (host) => succeeds(host, 'docker', 'network', 'inspect', 'box_front'),
    drifts: (host) => [
      { what: 'removed', act: () => host.exec(['docker', 'network', 'rm', 'box_front']), field: 'state' },
    ],
    outage: noEngine,
  },
  'a service': {
    id: 'service:box/web',
    files: stack(),
    changed: { files: stack('hostname: box', 'hostname: crate'), field: 'hostname' },
    exists: (host) => succeeds(host, 'docker', 'exec', 'box-web-1', '/bin/busybox', 'cat', '/etc/box/a.conf'),
    drifts: (host) => [
      { what: 'removed', act: () => host.exec(['docker', 'rm', '-f', 'box-web-1']), field: 'container' },
      { what: 'killed', act: () => host.exec(['docker', 'kill', 'box-web-1']), field: 'state' },
      {
        what: 'taken off its network',
        act: () => host.exec(['docker', 'network', 'disconnect', 'box_front', 'box-web-1']),
        field: 'networks',
      },
    ],
    outage: noEngine,
  },
};
const VOLUME: Setup = {
  id: 'volume:box/data',
  files: stack(),
  changed: { files: stack(), field: '' },
  exists: (host) => succeeds(host, 'docker', 'volume', 'inspect', 'box_data'),
  drifts: () => [],
};

describe.each(FLAVOURS)('on %s', (flavour) => {
  const on = (setup: Setup) => () => subjectOn(lab.host(flavour), setup);
  for (const [name, setup] of Object.entries({ ...FILES, ...SYSCTLS, ...UNITS, ...ENGINE }))
    contract(name, { away: setup.outage !== undefined }, on(setup));

  test('a volume is made, found again, and outlives its removal with what is in it', async () => {
    onTestFailed(async () => console.error(await lab.host(flavour).journal('docker.service')));
    const host = lab.host(flavour);
    const { provider, want, exists } = await subjectOn(host, VOLUME);
    await bring(provider, want);
    expect(await exists()).toBe(true);
    await host.sh('echo precious > /var/lib/docker/volumes/box_data/_data/x');
    expect(await bring(provider, want)).toEqual({ op: 'none' });
    const signal = new AbortController().signal;
    const seen = (await provider.observe([want.id], signal)).get(want.id);
    if (seen) await provider.remove(want.id, seen, signal);
    expect((await host.exec(['cat', '/var/lib/docker/volumes/box_data/_data/x'])).stdout).toBe('precious\n');
  });
});
