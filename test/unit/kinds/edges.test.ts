/**
 * Names are edges, across stacks and kinds: order of creation and removal, and reconnecting containers to a recreated network.
 */
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import type { ResourceId } from '../../../agent/core/types.ts';
import { createFakeHost, reconcilerOn } from '../../fakes/host.ts';
import { done } from '../../reconciler.ts';
import type { Repo } from '../repo.ts';
import { NOTHING, problems, stackHost, WELL } from './stack-host.ts';

const on = stackHost();
// Without anonymous volumes.
beforeEach(() => on.host.engine.registry.push('plain:1', { config: { Cmd: ['httpd'] } }));

const NETWORK = '{web: {name: web, ipam: {config: [{subnet: 10.77.0.0/24}]}}}';
const proxy = (network = NETWORK): Repo => ({
  'proxy/compose.yaml': `services: {web: {image: "app:1", ${WELL}, networks: [web]}}\nnetworks: ${network}\n`,
});
/** A stack whose name sorts before `proxy`, on a network of `proxy`. */
const app = (keys = ''): Repo => ({
  'app/compose.yaml': `services: {x: {image: "app:2", ${WELL}, networks: [web]${keys}}}\nnetworks: {web: {external: true}}\n`,
});
const networkOf = async (name: string) =>
  (await on.host.engine.docker.networks()).find((network) => network.Name === name);
const subnetOf = async (name: string) => (await networkOf(name))?.IPAM?.Config?.[0]?.Subnet;
const orderOf = (lines: readonly string[], ...parts: string[]): number[] =>
  parts.map((part) => lines.findIndex((line) => line.startsWith(part)));
const isRising = (places: readonly number[]): boolean =>
  places.every((at, i) => at >= 0 && (i === 0 || at > (places[i - 1] ?? 0)));
const edgesOf = async (files: Repo, id: ResourceId) =>
  (await on.engine.load(files)).resources.find((resource) => resource.id === id);

describe('a network of another stack', () => {
  test('is created before the stack that declares it external, in one commit', async () => {
    const result = await on.engine.apply({ ...app(), ...proxy() });
    expect(problems(result)).toEqual([]);
    expect([...on.only('app-x-1').networks.keys()]).toEqual(['web']);
    const order = orderOf(done(result), 'create network:proxy/web', 'update network:app/web', 'create service:app/x');
    expect(isRising(order), done(result).join('\n')).toBe(true);
    expect((await on.engine.again()).outcome.actions).toEqual([]);
  });

  test('is removed after the stack that uses it', async () => {
    await on.engine.apply({ ...NOTHING, ...app(), ...proxy() });
    const result = await on.engine.apply(NOTHING);
    expect(problems(result)).toEqual([]);
    expect(isRising(orderOf(done(result), 'remove service:app/x', 'remove network:proxy/web'))).toBe(true);
    expect(await networkOf('web')).toBeUndefined();
  });

  test('is recreated while a container of the other stack uses it, which is reconnected and not restarted', async () => {
    await on.engine.apply({ ...app(), ...proxy() });
    const { id } = on.only('app-x-1');
    const changed = { ...app(), ...proxy(NETWORK.replace('10.77.0.0', '10.78.0.0')) };
    const result = await on.engine.apply(changed);
    expect(problems(result)).toEqual([]);
    expect(await subnetOf('web')).toBe('10.78.0.0/24');
    expect(on.only('app-x-1')).toMatchObject({ id, status: 'running' });
    expect(on.only('app-x-1').networks.get('web')?.NetworkID).toBe((await networkOf('web'))?.Id);
    expect((await on.engine.again()).outcome.actions).toEqual([]);
  });

  test('is recreated by the same commit that removes the other stack', async () => {
    await on.engine.apply({ ...app(), ...proxy() });
    const result = await on.engine.apply(proxy(NETWORK.replace('10.77.0.0', '10.78.0.0')));
    expect(problems(result)).toEqual([]);
    expect(await subnetOf('web')).toBe('10.78.0.0/24');
    expect(on.names()).toEqual(['proxy-web-1 running']);
  });

  test('is recreated although its own service has a fixed address on it', async () => {
    const fixed = (subnet: string, address: string): Repo => ({
      'proxy/compose.yaml': `services: {web: {image: "app:1", ${WELL}, networks: {web: {ipv4_address: ${address}}}}}\nnetworks: ${NETWORK.replace('10.77.0.0/24', subnet)}\n`,
    });
    await on.engine.apply(fixed('10.77.0.0/24', '10.77.0.9'));
    const result = await on.engine.apply(fixed('10.78.0.0/24', '10.78.0.9'));
    expect(problems(result)).toEqual([]);
    expect(on.only('proxy-web-1').networks.get('web')?.IPAMConfig?.IPv4Address).toBe('10.78.0.9');
    expect((await on.engine.again()).outcome.actions).toEqual([]);
  });

  test('with a foreign container on it is not removed', async () => {
    await on.engine.apply({ ...app(), ...proxy() });
    const before = (await networkOf('web'))?.Id;
    await on.strangers('guest', { HostConfig: { NetworkMode: 'web' } });
    const result = await on.engine.apply({ ...app(), ...proxy(NETWORK.replace('10.77.0.0', '10.78.0.0')) });
    expect(problems(result).join()).toMatch(/network:proxy\/web NetworkInUse: .*guest, which fairlead did not create/);
    expect((await networkOf('web'))?.Id).toBe(before);
    for (const name of ['proxy-web-1', 'app-x-1', 'guest'])
      expect([...on.only(name).networks.keys()], name).toEqual(['web']);
    await on.host.engine.docker.remove('guest', { volumes: true });
    expect(problems(await on.engine.again())).toEqual([]);
    expect(await subnetOf('web')).toBe('10.78.0.0/24');
  });

  test('is not removed if its new subnet is in use', async () => {
    await on.engine.apply(proxy());
    const { docker } = on.host.engine;
    await docker.createNetwork({ Name: 'theirs', IPAM: { Config: [{ Subnet: '10.78.0.0/16' }] } as never });
    const before = (await networkOf('web'))?.Id;
    const result = await on.engine.apply(proxy(NETWORK.replace('10.77.0.0', '10.78.0.0')));
    expect(problems(result).join()).toMatch(/network:proxy\/web SubnetInUse: .*10\.78\.0\.0\/16 of network theirs/);
    expect((await networkOf('web'))?.Id).toBe(before);
    expect(on.only('proxy-web-1').networks.get('web')?.NetworkID).toBe(before);
  });

  test('is restored if the Docker engine refuses the new one', async () => {
    const host = createFakeHost({
      docker: (real) => ({
        ...real,
        async createNetwork(request) {
          if (request.IPAM?.Config?.[0]?.Subnet === '10.78.0.0/24') throw new Error('no such bridge');
          return real.createNetwork(request);
        },
      }),
    });
    for (const name of ['app:1', 'app:2']) host.engine.registry.push(name, { config: { Cmd: ['httpd'] } });
    const engine = reconcilerOn(host);
    await engine.apply({ ...app(), ...proxy() });
    const result = await engine.apply({ ...app(), ...proxy(NETWORK.replace('10.77.0.0', '10.78.0.0')) });
    expect(problems(result).join()).toMatch(/no such bridge/);
    const network = (await host.engine.docker.networks()).find(({ Name }) => Name === 'web');
    expect(network?.IPAM?.Config?.[0]?.Subnet).toBe('10.77.0.0/24');
    for (const { name, networks } of host.engine.containers())
      expect(networks.get('web')?.NetworkID, name).toBe(network?.Id);
    engine.close();
    host.end();
  });

  test('two networks that swap their subnets are both removed first', async () => {
    const both = (a: string, b: string): Repo => ({
      'two/compose.yaml': `services: {x: {image: "app:1", ${WELL}, networks: [a, b]}}
networks: {a: {ipam: {config: [{subnet: ${a}}]}}, b: {ipam: {config: [{subnet: ${b}}]}}}\n`,
    });
    await on.engine.apply(both('10.81.0.0/24', '10.82.0.0/24'));
    expect(problems(await on.engine.apply(both('10.82.0.0/24', '10.81.0.0/24')))).toEqual([]);
    expect([await subnetOf('two_a'), await subnetOf('two_b')]).toEqual(['10.82.0.0/24', '10.81.0.0/24']);
    expect([...on.only('two-x-1').networks.keys()].sort()).toEqual(['two_a', 'two_b']);
  });

  test('whose subnet moves to another stack is removed first, together with its service', async () => {
    const of = (name: string): Repo => ({
      [`${name}/compose.yaml`]: `services: {x: {image: "app:1", ${WELL}}}\nnetworks: {default: {ipam: {config: [{subnet: 10.83.0.0/24}]}}}\n`,
    });
    await on.engine.apply(of('one'));
    expect(problems(await on.engine.apply(of('two')))).toEqual([]);
    expect(on.names()).toEqual(['two-x-1 running']);
    expect(await subnetOf('two_default')).toBe('10.83.0.0/24');
  });
});

describe('a container of another stack', () => {
  const vpn = { 'vpn/compose.yaml': `services: {gate: {image: "app:1", ${WELL}, container_name: zz-gate}}\n` };
  const tunnelled = {
    'app/compose.yaml': `services: {x: {image: "app:2", ${WELL}, network_mode: "container:zz-gate"}}\n`,
  };
  test('is created before the service that shares its network', async () => {
    const result = await on.engine.apply({ ...tunnelled, ...vpn });
    expect(problems(result)).toEqual([]);
    expect(isRising(orderOf(done(result), 'create service:vpn/gate', 'create service:app/x'))).toBe(true);
  });

  test('is removed after it', async () => {
    await on.engine.apply({ ...NOTHING, ...tunnelled, ...vpn });
    const result = await on.engine.apply(NOTHING);
    expect(isRising(orderOf(done(result), 'remove service:app/x', 'remove service:vpn/gate'))).toBe(true);
  });

  test('lends its volumes by name', async () => {
    const borrowed = { 'app/compose.yaml': `services: {x: {image: "app:2", volumes_from: ["container:zz-gate"]}}\n` };
    expect((await edgesOf({ ...borrowed, ...vpn }, 'service:app/x'))?.after).toContain('service:vpn/gate');
  });
});

describe('a volume of another stack', () => {
  const owner = (options = ''): Repo => ({
    'zz/compose.yaml': `services: {db: {image: "app:1", ${WELL}, volumes: ["data:/d"]}}\nvolumes: {data: {name: data${options}}}\n`,
  });
  const user: Repo = {
    'app/compose.yaml': `services: {x: {image: "app:2", ${WELL}, volumes: ["data:/d"]}}\nvolumes: {data: {external: true}}\n`,
  };
  const nfs = (address: string) => `, driver_opts: {type: nfs, device: ":/share", o: "addr=${address},rw"}`;
  const optionsOf = async () => (await on.host.engine.docker.volumes()).find((v) => v.Name === 'data')?.Options;
  const plain = (image: string): string => `services: {x: {image: "${image}", ${WELL}, volumes: ["data:/d"]}}\n`;

  test('is created before the stack that declares it external, in one commit', async () => {
    const result = await on.engine.apply({ ...user, ...owner() });
    expect(problems(result)).toEqual([]);
    expect(isRising(orderOf(done(result), 'create volume:zz/data', 'update volume:app/data'))).toBe(true);
  });

  describe('without data on this host', () => {
    const files = (options: string): Repo => ({
      'app/compose.yaml': `${plain('plain:1')}volumes: {data: {name: data${options}}}\n`,
      'zz/compose.yaml': `services: {y: {image: "plain:1", ${WELL}, volumes: ["data:/d"]}}\nvolumes: {data: {external: true}}\n`,
    });
    test('is recreated when its options change, and its services in both stacks with it', async () => {
      await on.engine.apply(files(nfs('10.0.0.1')));
      const before = [on.only('app-x-1').id, on.only('zz-y-1').id];
      const result = await on.engine.apply(files(nfs('10.0.0.2')));
      expect(problems(result)).toEqual([]);
      expect(await optionsOf()).toMatchObject({ o: 'addr=10.0.0.2,rw' });
      expect(before).not.toContain(on.only('app-x-1').id);
      expect(before).not.toContain(on.only('zz-y-1').id);
      expect((await on.engine.again()).outcome.actions).toEqual([]);
      expect((await on.host.engine.docker.volumes()).map((v) => v.Name)).toEqual(['data']);
    });

    test('is left alone while a foreign container uses it', async () => {
      await on.engine.apply(files(nfs('10.0.0.1')));
      await on.strangers('guest', { Volumes: {}, HostConfig: { Binds: ['data:/x'] } });
      const before = on.only('app-x-1').id;
      const result = await on.engine.apply(files(nfs('10.0.0.2')));
      expect(problems(result).join()).toMatch(/volume:app\/data VolumeInUse: .*guest, which fairlead did not create/);
      expect(on.only('app-x-1').id).toBe(before);
    });

    test('is held if the new one would store data on this host', async () => {
      await on.engine.apply(files(nfs('10.0.0.1')));
      const { outcome } = await on.engine.apply(files(''));
      expect(outcome.actions.map((a) => `${a.id} ${a.result}`)).toContain('volume:app/data held');
      expect(await optionsOf()).toMatchObject({ type: 'nfs' });
    });
  });

  test('that may be recreated with its data is recreated together with its own service', async () => {
    const files = (options: string): Repo => ({
      'app/compose.yaml': `services: {x: {image: "plain:1", ${WELL}, volumes: ["data:/d"]}}\nvolumes: {data: {name: data, x-fairlead: {adopt: recreate, prune: true}${options}}}\n`,
    });
    await on.engine.apply(files(''));
    const result = await on.engine.apply(files(', driver_opts: {type: tmpfs, device: tmpfs}'));
    expect(problems(result)).toEqual([]);
    expect(await optionsOf()).toMatchObject({ type: 'tmpfs' });
    expect(on.names()).toEqual(['app-x-1 running']);
  });

  test('with data on this host is held when its options change, and its service keeps running', async () => {
    await on.engine.apply(owner());
    const result = await on.engine.apply(owner(', driver_opts: {type: ext4, device: /dev/sdb1}'));
    expect(problems(result)).toEqual([]);
    expect(result.run.sync).toBe('held');
    expect(on.names()).toEqual(['zz-db-1 running']);
  });
});

describe('inferred edges', () => {
  const unit = (name: string, text: string) =>
    `units:\n  ${name}:\n    content: |\n      [Service]\n      ExecStart=/bin/sleep 9\n${text
      .split('\n')
      .map((line) => `      ${line}\n`)
      .join('')}`;
  test.each<[string, Repo, ResourceId, ResourceId]>([
    [
      'a program that a unit starts',
      {
        'u.yaml': unit('a.service', 'ExecStartPre=/opt/tool/run --x'),
        'f.yaml': 'files: {/opt/tool/run: {content: x}}\n',
      },
      'unit:a.service',
      'file:/opt/tool/run',
    ],
    [
      'an environment file',
      {
        'u.yaml': unit('a.service', 'EnvironmentFile=-/etc/app/env'),
        'f.yaml': 'files: {/etc/app/env: {content: x}}\n',
      },
      'unit:a.service',
      'file:/etc/app/env',
    ],
    [
      'a condition on a path',
      {
        'u.yaml': unit('a.service', '[Unit]\nConditionPathExists=/srv/go'),
        'f.yaml': 'files: {/srv/go: {content: x}}\n',
      },
      'unit:a.service',
      'file:/srv/go',
    ],
    [
      'a parent directory',
      { 'u.yaml': unit('a.service', 'WorkingDirectory=/srv/app/deep'), 'f.yaml': 'files: {/srv/app/: {}}\n' },
      'unit:a.service',
      'file:/srv/app',
    ],
    [
      'a user that a job creates',
      { 'u.yaml': unit('a.service', 'User=app'), 'f.yaml': 'jobs: {z: {run: [useradd, --system, app]}}\n' },
      'unit:a.service',
      'job:z',
    ],
    [
      'an owner',
      { 'f.yaml': 'files: {/srv/a: {content: x, owner: app}}\njobs: {z: {run: [sh, -c, "id app || useradd app"]}}\n' },
      'file:/srv/a',
      'job:z',
    ],
    [
      'a required unit',
      { 'u.yaml': unit('a.service', '[Unit]\nRequires=z.service'), 'v.yaml': unit('z.service', '') },
      'unit:a.service',
      'unit:z.service',
    ],
    [
      'a mount below which a container binds',
      {
        'u.yaml':
          'units: {mnt-data.mount: {content: "[Mount]\\nWhat=tmpfs\\nWhere=/mnt/data\\nType=tmpfs\\n", state: started}}\n',
        'app/compose.yaml': 'services: {x: {image: "app:1", volumes: ["/mnt/data/db:/d"]}}\n',
      },
      'service:app/x',
      'unit:mnt-data.mount',
    ],
    [
      'a directory that a volume binds',
      {
        'app/compose.yaml':
          'services: {x: {image: "app:1", volumes: ["data:/d"]}}\nvolumes: {data: {driver_opts: {type: none, o: bind, device: /srv/d}}}\n',
        'f.yaml': 'files: {/srv/d/: {}}\n',
      },
      'volume:app/data',
      'file:/srv/d',
    ],
    [
      'a port that a check probes',
      {
        'app/compose.yaml': 'services: {x: {image: "app:1", ports: ["8080:80"]}}\n',
        'f.yaml': 'checks: {a: {http: "http://127.0.0.1:8080/"}}\n',
      },
      'check:a',
      'service:app/x',
    ],
    [
      'the host address of a published port',
      {
        'app/compose.yaml': 'services: {x: {image: "app:1", ports: ["10.9.9.9:80:80"]}}\n',
        'f.yaml': 'jobs: {z: {run: [ip, addr, replace, 10.9.9.9/24, dev, eth1]}}\n',
      },
      'service:app/x',
      'job:z',
    ],
    [
      'a unit from a Quadlet',
      {
        'u.yaml': 'units: {web.service: {state: started}}\n',
        'f.yaml': 'files: {/etc/containers/systemd/web.container: {content: "[Container]\\nImage=x\\n"}}\n',
      },
      'unit:web.service',
      'file:/etc/containers/systemd/web.container',
    ],
  ])('%s', async (_what, files, second, first) => {
    const found = await edgesOf(files, second);
    const loaded = await on.engine.load(files);
    expect(loaded.issues.filter((issue) => issue.severity === 'error')).toEqual([]);
    expect(found?.after).toContain(first);
    // Nothing is restarted for this volume, and no job runs.
    expect(loaded.resources.find((r) => r.id === first)?.notify ?? []).not.toContain(second);
  });

  test('a file that may be missing does not block its unit', async () => {
    const files = {
      'u.yaml': unit('a.service', 'EnvironmentFile=-/etc/app/env'),
      'f.yaml': 'files: {/etc/app/env: {content: x}}\n',
    };
    expect((await edgesOf(files, 'unit:a.service'))?.optional).toEqual(['file:/etc/app/env']);
  });

  test('an edge that would close a cycle is dropped and named', async () => {
    const files = {
      'u.yaml': `${unit('a.service', 'EnvironmentFile=/etc/app/env')}    after: []\n`,
      'f.yaml':
        'files: {/etc/app/env: {content: x, after: ["job:z"]}}\njobs: {z: {run: ["true"], after: ["unit:a.service"]}}\n',
    };
    const { issues, dropped, resources } = await on.engine.load(files);
    expect(issues).toEqual([]);
    expect(dropped?.join()).toMatch(/unit:a\.service names what file:\/etc\/app\/env provides/);
    expect(resources.find((r) => r.id === 'unit:a.service')?.after).not.toContain('file:/etc/app/env');
  });

  test('a mount unit comes after the file below its mount point', async () => {
    const files = {
      'u.yaml':
        'units: {srv-m.mount: {content: "[Mount]\\nWhat=tmpfs\\nWhere=/srv/m\\nType=tmpfs\\n", state: started}}\n',
      'f.yaml': 'files: {/srv/m/a: {content: x}}\n',
    };
    await on.engine.apply({ ...NOTHING, ...files });
    expect(readdirSync(path.join(on.host.root, 'srv/m'))).toEqual(['a']);
    const result = await on.engine.apply(NOTHING);
    expect(isRising(orderOf(done(result), 'remove file:/srv/m/a', 'remove unit:srv-m.mount'))).toBe(true);
  });
});

describe('a name that somebody else uses is found before the old container is stopped:', () => {
  const web = (keys: string): Repo => ({
    'shop/compose.yaml': `services: {web: {image: "app:1", ${WELL}${keys}}}\n`,
  });
  test.each<[string, string, RegExp]>([
    ['a port of a container', ', ports: ["9090:80"]', /PortInUse: port 9090\/tcp is taken; container guest/],
    ['a port of a program', ', ports: ["9191:80"]', /PortInUse: port 9191\/tcp is taken; a program of the host/],
    ['a name', ', container_name: guest', /NameConflict: container name guest is taken by/],
  ])('%s', async (_what, keys, why) => {
    await on.engine.apply(web(''));
    await on.strangers('guest', { HostConfig: { PortBindings: { '80/tcp': [{ HostPort: '9090' }] } } });
    const proc = path.join(on.host.root, 'proc/self/net');
    mkdirSync(proc, { recursive: true });
    const listening = '   0: 00000000:23E7 00000000:0000 0A 00000000:00000000';
    writeFileSync(path.join(proc, 'tcp'), `  sl  local_address rem_address   st\n${listening}\n`);
    const { id, startedAt } = on.only('shop-web-1');
    const result = await on.engine.apply(web(keys));
    expect(problems(result).join()).toMatch(why);
    expect(on.only('shop-web-1')).toMatchObject({ id, startedAt, status: 'running' });
    await on.host.engine.docker.remove('guest', { volumes: true });
    writeFileSync(path.join(proc, 'tcp'), '');
    expect(problems(await on.engine.again())).toEqual([]);
  });
});
