/** Requests to the Docker engine that the lab cannot compare with docker compose; they are compared with the Engine API. */
import { describe, expect, test } from 'vitest';
import type { NetworkSpec, ServiceSpec } from '../../agent/compose/stack/model.ts';
import type { Work } from '../../agent/core/provider.ts';
import type { Desired } from '../../agent/core/types.ts';
import { digests } from '../../agent/kinds/container/diff.ts';
import { preStartRequest } from '../../agent/kinds/container/pre-start.ts';
import { createRequest, endpoint } from '../../agent/kinds/container/request.ts';
import { networkNeeds, refuseTooNew, serviceNeeds } from '../../agent/kinds/docker/engine-version.ts';
import { mountedIds } from '../../agent/kinds/docker/image-mounts.ts';
import { networkRequest } from '../../agent/kinds/docker/network.ts';
import type { Docker } from '../../agent/system/docker/docker.ts';
import { find, loadRepo, messages, textOf } from './repo.ts';

/** The service `web` and the network `n` of this stack. */
async function stack(keys: string, more = '') {
  const loaded = await loadRepo({
    'hosts/a/shop/compose.yaml': `services:\n  web:\n    image: x\n${keys}\n${more}`,
    'hosts/a/host.yaml': 'vars: {VALUE: "42"}\n',
    'hosts/a/shop/profile.json': '{\n  "defaultAction": "SCMP_ACT_ALLOW", "comment": "a b"\n}\n',
    'hosts/a/shop/broken.json': '{',
  });
  expect(messages(loaded)).toEqual([]);
  const spec = find(loaded, 'service:shop/web')?.spec as unknown as ServiceSpec;
  const network = find(loaded, 'network:shop/n')?.spec as unknown as NetworkSpec;
  const request = createRequest({ spec, hash: '', imageId: '', peers: new Map(), fields: '' });
  return { spec, network, request };
}
const host = async (keys: string, more?: string) => (await stack(keys, more)).request.HostConfig;

describe('features that need a kernel or a device', () => {
  test('real-time scheduling', async () => {
    expect(await host('    cpu_rt_period: "400000"\n    cpu_rt_runtime: 95000')).toMatchObject({
      CpuRealtimePeriod: 400_000,
      CpuRealtimeRuntime: 95_000,
    });
  });

  test('graphics processors', async () => {
    expect((await host('    gpus: all'))?.DeviceRequests).toEqual([
      { Capabilities: [['gpu']], Count: -1, DeviceIDs: [], Driver: '' },
    ]);
    const long =
      '    gpus: [{driver: nvidia, count: 2, capabilities: [compute], options: {a: b}}, {device_ids: ["0", "3"]}]';
    expect((await host(long))?.DeviceRequests).toEqual([
      { Capabilities: [['compute', 'gpu']], Count: 2, DeviceIDs: [], Driver: 'nvidia', Options: { a: 'b' } },
      { Capabilities: [['gpu']], Count: 0, DeviceIDs: ['0', '3'], Driver: '' },
    ]);
  });

  test('reserved devices', async () => {
    const keys =
      '    deploy: {resources: {reservations: {devices: [{driver: cdi, device_ids: [a], capabilities: [tpu], options: ["k=v"]}, {capabilities: [gpu], count: all}]}}}';
    expect((await host(keys))?.DeviceRequests).toEqual([
      { Capabilities: [['tpu']], Count: 0, DeviceIDs: ['a'], Driver: 'cdi', Options: { k: 'v' } },
      { Capabilities: [['gpu']], Count: -1, DeviceIDs: [], Driver: '' },
    ]);
  });

  test('a disk with quotas', async () => {
    expect((await host('    storage_opt: {size: 1G}'))?.StorageOpt).toEqual({ size: '1G' });
  });
});

describe('differences from docker compose 2.40', () => {
  test('contents and variables become mounted files', async () => {
    const { spec } = await stack(
      '    configs: [c, e]\n    secrets: [s]',
      'configs: {c: {content: "text\\n"}, e: {environment: VALUE}}\nsecrets: {s: {environment: VALUE}}\n',
    );
    expect(spec.mounts.map((m) => m.mount)).toEqual(
      [
        ['secrets/s', '/run/secrets/s'],
        ['configs/c', '/c'],
        ['configs/e', '/e'],
      ].map(([source, Target]) => ({
        ...{ Type: 'bind', Source: `/var/lib/fairlead/secrets/shop/${source}`, Target, ReadOnly: true },
      })),
    );
  });

  test('an unset variable is an error', async () => {
    const loaded = await loadRepo({
      'hosts/a/shop/compose.yaml':
        'services:\n  web:\n    image: x\n    secrets: [s]\nsecrets:\n  s:\n    environment: NOWHERE\n',
    });
    expect(messages(loaded)).toEqual([
      'hosts/a/shop/compose.yaml:7:5: `secrets.s` takes its value from the variable NOWHERE, which is not set; add it to `vars` or to the .env of the stack',
    ]);
  });

  test('options of an attachment are sent', async () => {
    const { spec } = await stack('    networks: {n: {driver_opts: {com.example.opt: 1}}}', 'networks: {n: }');
    expect(endpoint(spec, spec.networks[0] as never, new Map()).DriverOpts).toEqual({ 'com.example.opt': '1' });
  });

  test("the hardware address of a service goes to its first network, and overrides that network's own", async () => {
    const { request } = await stack('    mac_address: "02:00:00:00:00:01"');
    expect(request.MacAddress).toBe('02:00:00:00:00:01');
    expect(request.NetworkingConfig?.EndpointsConfig).toMatchObject({
      shop_default: { MacAddress: '02:00:00:00:00:01' },
    });
    expect((await stack('    mac_address: "02:00:00:00:00:01"\n    network_mode: bridge')).request.MacAddress).toBe(
      '02:00:00:00:00:01',
    );
  });
});

describe('keys younger than docker compose 2.40', () => {
  test('the name of an interface, and which network is the default route', async () => {
    const { spec } = await stack(
      '    networks: {n: {interface_name: lan0, gw_priority: 7, driver_opts: {a: b}}}',
      'networks: {n: }',
    );
    expect(endpoint(spec, spec.networks[0] as never, new Map())).toMatchObject({
      DriverOpts: { 'com.docker.network.endpoint.ifname': 'lan0', a: 'b' },
      GwPriority: 7,
    });
  });

  test('a network without IPv4', async () => {
    const six = await stack('    networks: [n]', 'networks: {n: {enable_ipv4: false, enable_ipv6: true}}');
    expect(networkRequest(six.network)).toMatchObject({ EnableIPv4: false, EnableIPv6: true });
    const four = await stack('    networks: [n]', 'networks: {n: {enable_ipv4: true}}');
    expect(networkRequest(four.network)).not.toHaveProperty('EnableIPv4');
  });

  test('labels of a volume, a subpath of one, and mounts below a mount', async () => {
    const mounts = await host(
      '    volumes: [{type: volume, target: /v, volume: {labels: {a: b}, subpath: part}}, {type: bind, source: /s, target: /b, read_only: true, bind: {recursive: readonly, create_host_path: true}}, {type: bind, source: /s, target: /c, bind: {recursive: disabled, propagation: rslave}}]',
    );
    expect(mounts?.Mounts).toEqual([
      { Type: 'volume', Target: '/v', VolumeOptions: { Subpath: 'part', Labels: { a: 'b' } } },
      {
        ...{ Type: 'bind', Source: '/s', Target: '/b', ReadOnly: true },
        BindOptions: { CreateMountpoint: true, ReadOnlyForceRecursive: true },
      },
      { Type: 'bind', Source: '/s', Target: '/c', BindOptions: { NonRecursive: true, Propagation: 'rslave' } },
    ]);
  });
});

describe('pre_start', () => {
  const hook = async (service: string, hooks: string, index = 0) => {
    const { spec } = await stack(`${service}    pre_start: ${hooks}`, 'networks: {n: }');
    const one = spec.preStart[index] as ServiceSpec['preStart'][number];
    return preStartRequest({ spec, hook: one, index, id: 'ctr', hash: 'h', peers: new Map() });
  };
  const OWN =
    '    user: "7"\n    working_dir: /w\n    environment: {A: "1", B: "2"}\n    networks: [n]\n    platform: linux/amd64\n';

  test('is a container with the service’s image, variables, user and directory, with its mounts, in its network', async () => {
    expect(await hook(OWN, '[{command: ./migrate now}]')).toEqual({
      name: 'shop-web-1-fairlead-pre-start-0',
      platform: 'linux/amd64',
      Image: 'x',
      Cmd: ['./migrate', 'now'],
      Env: ['A=1', 'B=2'],
      User: '7',
      WorkingDir: '/w',
      Labels: {
        'com.docker.compose.project': 'shop',
        'com.docker.compose.service': 'web',
        'com.docker.compose.hook': 'pre_start',
        'com.docker.compose.version': '2.40.3',
        'dev.fairlead.hash': 'h',
      },
      HostConfig: { VolumesFrom: ['ctr'], NetworkMode: 'shop_n' },
    });
  });

  test('its own settings come first; another image keeps its own user', async () => {
    const hooks =
      '[{image: a}, {image: busybox, command: [id], user: "0", working_dir: /, privileged: true, environment: [B=3, C=4], per_replica: true}]';
    expect(await hook(OWN, hooks, 1)).toMatchObject({
      ...{ Image: 'busybox', Cmd: ['id'], User: '0', WorkingDir: '/', Env: ['A=1', 'B=3', 'C=4'] },
      HostConfig: { Privileged: true, VolumesFrom: ['ctr'] },
    });
    const plain = await hook(OWN, hooks);
    for (const key of ['User', 'Cmd', 'platform']) expect(plain).not.toHaveProperty(key);
    expect((await hook('    network_mode: host\n', '[{command: a}]')).HostConfig?.NetworkMode).toBe('host');
  });

  test('a changed hook recreates the container', async () => {
    const { spec } = await stack('    pre_start: [{command: a}]');
    const { spec: other } = await stack('    pre_start: [{command: b}]');
    const of = (one: ServiceSpec) => (JSON.parse(digests(one, new Map())) as { pre_start: string }).pre_start;
    expect(of(spec)).not.toBe(of(other));
  });
});

describe('use_api_socket', () => {
  const kept = '/var/lib/fairlead/secrets/shop/docker/config.json';

  test('is the socket, the logins as a secret file, and the variable that names them', async () => {
    const { spec, request } = await stack('    use_api_socket: true\n    environment: {A: b}');
    expect(request.HostConfig?.Binds).toEqual(['/var/run/docker.sock:/var/run/docker.sock:rw']);
    expect(request.HostConfig?.Mounts).toEqual([
      { Type: 'bind', Source: kept, Target: '/run/secrets/docker/config.json', ReadOnly: true },
    ]);
    expect([...(request.Env ?? [])].sort()).toEqual(['A=b', 'DOCKER_CONFIG=/run/secrets/docker']);
    expect(serviceNeeds(spec)).toEqual([]);
    const own = await stack('    use_api_socket: true\n    environment: {DOCKER_CONFIG: /mine}');
    expect(own.request.Env).toEqual(['DOCKER_CONFIG=/mine']);
    const none = await stack('    use_api_socket: false');
    expect(none.request.Env).toEqual([]);
    expect(none.request.HostConfig).not.toHaveProperty('Binds');
  });

  const LOGINS = '{"auths":{"r.example.com":{"auth":"bWU6c2VjcmV0"}}}';
  const files = {
    'hosts/a/shop/compose.yaml': 'services:\n  web:\n    image: x\n    use_api_socket: true\n  db: {image: x}\n',
  };
  const loadWith = (logins: () => Promise<string>, repo = files) => loadRepo(repo, { logins });

  test('the logins of the host are read if a service needs them, and shown nowhere', async () => {
    let asked = 0;
    const loaded = await loadWith(async () => {
      asked++;
      return LOGINS;
    });
    expect([asked, loaded.issues]).toEqual([1, []]);
    const file = loaded.byId().get(`file:${kept}`);
    expect(file?.spec).toMatchObject({ secret: true, owner: 'root', mode: 0o444 });
    expect(textOf(loaded, `file:${kept}`)).toBe(LOGINS);
    expect(loaded.byId().get(`file:${kept.replace('/docker/config.json', '')}`)?.spec).toMatchObject({ mode: 0o700 });
    expect(loaded.byId().get('service:shop/web')?.after).toContain(`file:${kept}`);
    const { spec } = loaded.byId().get('service:shop/web') ?? {};
    expect(JSON.stringify([spec, loaded.compose])).not.toContain('bWU6c2VjcmV0');
    // Their digest is keyed by the host.
    expect(file?.hash).not.toBe(
      (await loadWith(async () => LOGINS.replace('bWU6', 'eW91'))).byId().get(file?.id as never)?.hash,
    );
    await loadWith(
      async () => {
        asked++;
        return LOGINS;
      },
      { 'hosts/a/shop/compose.yaml': 'services: {web: {image: x}}' },
    );
    expect(asked).toBe(1);
  });

  test('unreadable logins are an error at the key', async () => {
    const { issues } = await loadWith(async () => {
      throw new Error('/root/.docker/config.json is not valid JSON; mend it');
    });
    expect(issues.map((i) => `${i.file}:${i.line} ${i.message}`)).toEqual([
      'hosts/a/shop/compose.yaml:4 `use_api_socket`: /root/.docker/config.json is not valid JSON; mend it',
    ]);
  });
});

describe('a mounted image', () => {
  const KEYS =
    '    volumes: [{type: image, source: "r.example.com/assets:2", target: /assets, read_only: true, image: {subpath: dist}}, {type: image, source: plain, target: /p}]';

  test('is a mount of type image, and its id a label', async () => {
    const { spec, request } = await stack(KEYS);
    expect(request.HostConfig?.Mounts).toEqual([
      {
        ...{ Type: 'image', Source: 'r.example.com/assets:2', Target: '/assets', ReadOnly: true },
        ImageOptions: { Subpath: 'dist' },
      },
      { Type: 'image', Source: 'plain', Target: '/p' },
    ]);
    expect(request.HostConfig).not.toHaveProperty('Binds');
    const ids: Record<string, string> = { plain: 'sha256:aa' };
    const docker = { image: async (name: string) => (ids[name] ? { id: ids[name] } : undefined) } as unknown as Docker;
    const imageVolumes = await mountedIds(docker, spec);
    const made = createRequest({ spec, hash: '', imageId: '', imageVolumes, peers: new Map(), fields: '' });
    expect(made.Labels).toMatchObject({ 'com.docker.compose.image-volume-digest': '/assets=,/p=sha256:aa' });
    expect(request.Labels).not.toHaveProperty('com.docker.compose.image-volume-digest');
  });

  test('without a source is an error at its place', async () => {
    const loaded = await loadRepo({
      'hosts/a/shop/compose.yaml': 'services:\n  web:\n    image: x\n    volumes:\n      - {type: image, target: /t}\n',
    });
    expect(messages(loaded)).toEqual([
      expect.stringMatching(/compose.yaml:5:9: a mount of type `image` needs an image as its `source`/),
    ]);
  });
});

describe('security_opt', () => {
  test('a seccomp profile is sent as its content', async () => {
    const keys = '    security_opt: ["seccomp:./profile.json", "seccomp=unconfined", "no-new-privileges:true"]';
    expect((await host(keys))?.SecurityOpt).toEqual([
      'seccomp={"defaultAction":"SCMP_ACT_ALLOW","comment":"a b"}',
      'seccomp=unconfined',
      'no-new-privileges:true',
    ]);
  });

  test.each([
    ['seccomp:./missing.json', /profile `\.\/missing\.json` is not a file of this stack; put it beside/],
    ['seccomp=../broken.json', /is not a file of this stack/],
    ['seccomp=./broken.json', /profile `\.\/broken\.json` is not JSON/],
  ])('%s is an error at its place', async (option, message) => {
    const loaded = await loadRepo({
      'hosts/a/shop/compose.yaml': `services:\n  web:\n    image: x\n    security_opt:\n      - "${option}"\n`,
      'hosts/a/shop/broken.json': '{',
    });
    expect(messages(loaded)).toEqual([expect.stringMatching(new RegExp(`compose.yaml:5:9: .*${message.source}`))]);
  });
});

test('two hardware addresses for one attachment are an error', async () => {
  const loaded = await loadRepo({
    'hosts/a/shop/compose.yaml':
      'services:\n  web:\n    image: x\n    mac_address: "02:00:00:00:00:01"\n    networks: {n: {mac_address: "02:00:00:00:00:02"}}\nnetworks: {n: }\n',
  });
  expect(messages(loaded)).toEqual([
    expect.stringMatching(/compose\.yaml:4:5: `mac_address` is 02:00:00:00:00:01, and network `n`/),
  ]);
});

describe('keys that need a newer Docker engine', () => {
  const refused = async (api: string, keys: string, more?: string) => {
    const { spec } = await stack(keys, more);
    const docker = { version: async () => ({ version: '', api }) } as Docker;
    const want = { id: 'service:shop/web', spec } as unknown as Desired<ServiceSpec>;
    const work = [{ want, change: { op: 'create', why: [] }, seen: undefined }] satisfies Work<ServiceSpec>[];
    return (await refuseTooNew(docker, work, serviceNeeds)).get('service:shop/web');
  };

  test.each([
    ['1.41', '1.40', 'cgroup', '    cgroup: private', ''],
    ['1.41', '1.40', 'platform', '    platform: linux/amd64', ''],
    ['1.43', '1.42', 'annotations', '    annotations: {a: b}', ''],
    ['1.44', '1.43', 'healthcheck.start_interval', '    healthcheck: {test: x, start_interval: 1s}', ''],
    [
      ...['1.44', '1.43', 'networks.mac_address'],
      '    networks: {m: , n: {mac_address: "02:00:00:00:00:01"}}',
      'networks: {m: , n: }',
    ],
    [
      ...['1.44', '1.43', 'volumes.bind.recursive'],
      '    volumes: [{type: bind, source: /s, target: /t, read_only: true, bind: {recursive: writable}}]',
      '',
    ],
    [
      ...['1.42', '1.41', 'volumes.bind.create_host_path'],
      '    volumes: [{type: bind, source: /s, target: /t, bind: {recursive: disabled, create_host_path: true}}]',
      '',
    ],
    [
      ...['1.45', '1.44', 'volumes.volume.subpath'],
      '    volumes: [{type: volume, source: v, target: /t, volume: {subpath: s}}]',
      'volumes: {v: }',
    ],
    ['1.48', '1.47', 'volumes.type: image', '    volumes: [{type: image, source: i, target: /i}]', ''],
    ['1.48', '1.47', 'networks.gw_priority', '    networks: {n: {gw_priority: 1}}', 'networks: {n: }'],
    ['1.49', '1.48', 'networks.interface_name', '    networks: {n: {interface_name: a}}', 'networks: {n: }'],
  ] as [string, string, string, string, string][])('API %s, not %s: %s', async (enough, less, key, keys, more) => {
    expect(await refused(enough, keys, more)).toBeUndefined();
    const error = await refused(less, keys, more);
    expect(error).toMatchObject({ code: 'EngineTooOld', phase: 'prepare', retry: false });
    expect(error?.message).toMatch(
      new RegExp(
        `^\`${key}\` needs API ${enough} \\(Docker 2\\d\\.\\d+\\), and this host's engine has API ${less}; update`,
      ),
    );
  });

  test('all such keys are named, and plain services need none', async () => {
    expect(
      (await refused('1.41', '    annotations: {a: b}\n    healthcheck: {test: x, start_interval: 1s}'))?.message,
    ).toBe(
      "`annotations` needs API 1.43 (Docker 24.0), `healthcheck.start_interval` needs API 1.44 (Docker 25.0), and this host's engine has API 1.41; update Docker, or remove these keys",
    );
    expect(serviceNeeds((await stack('    mac_address: "02:00:00:00:00:01"\n    init: true')).spec)).toEqual([]);
    const { network } = await stack('    networks: [n]', 'networks: {n: {enable_ipv4: false, enable_ipv6: true}}');
    expect(networkNeeds(network)).toEqual([{ key: 'enable_ipv4', api: '1.48' }]);
  });
});
