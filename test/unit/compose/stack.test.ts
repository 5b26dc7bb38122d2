import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { loadStack } from '../../../agent/compose/index.ts';
import type { NetworkSpec, ServiceSpec, VolumeSpec } from '../../../agent/compose/stack/model.ts';
import type { Desired } from '../../../agent/core/types.ts';

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const DIR = 'hosts/edge/shop';

function load(text: string, files: Record<string, string> = {}) {
  const payload = new Map(
    Object.entries(files).map(([path, content]) => [`${DIR}/${path}`, new TextEncoder().encode(content)]),
  );
  return loadStack({
    ...{ dir: DIR, layer: 'hosts/edge', env: null, vars: {}, payload, treeRoot: '/tree', sha256 },
    files: [{ path: `${DIR}/compose.yaml`, text }],
  });
}
const service = (text: string, files?: Record<string, string>) => {
  const { resources, issues } = load(text, files);
  expect(issues).toEqual([]);
  return resources.find((r) => r.id === 'service:shop/web') as Desired<ServiceSpec>;
};

test('a service, its networks and volumes become resources', () => {
  const { resources, issues } = load(
    `services:
  web:
    image: nginx
    command: run --fast
    environment: {A: 1, B: }
    ports: ["8080-8081:80-81", "127.0.0.1::90/udp"]
    expose: [99]
    volumes: ["data:/data:ro", "/anonymous", "./conf:/etc/conf"]
    tmpfs: ["/run:size=1m"]
    networks: {front: {aliases: [www]}, default: }
    depends_on: {db: {condition: service_healthy}}
    healthcheck: {test: curl x, interval: 1m30s, retries: 2}
    mem_limit: 64m
    cpus: 0.5
    stop_grace_period: 1500ms
    extra_hosts: ["a=1.1.1.1"]
    restart: on-failure:3
    logging: {options: {max-size: 1m}}
  db: {image: postgres}
networks: {front: {internal: true, labels: [a=b]}}
volumes: {data: {name: kept}, unused: }
`,
    { 'conf/a.conf': 'a' },
  );
  expect(issues).toEqual([]);
  const ids = resources.map((r) => r.id).sort();
  expect(ids).toEqual([
    'file:/tree/hosts/edge/shop/conf',
    'file:/tree/hosts/edge/shop/conf/a.conf',
    'network:shop/default',
    'network:shop/front',
    'service:shop/db',
    'service:shop/web',
    'volume:shop/data',
  ]);
  const of = <S>(id: string) => resources.find((r) => r.id === id)?.spec as S;
  expect(of<NetworkSpec>('network:shop/front')).toEqual({
    ...{ project: 'shop', key: 'front', name: 'shop_front', external: false, driver: 'bridge', driverOptions: {} },
    ...{
      internal: true,
      labels: { a: 'b' },
      attachable: false,
      ipv4: null,
      ipv6: null,
      ipam: { driver: '', config: [] },
      adopt: 'match',
    },
  });
  expect(of<VolumeSpec>('volume:shop/data')).toMatchObject({ name: 'kept', driver: 'local' });
  expect(of<ServiceSpec>('service:shop/web')).toMatchObject({
    ...{
      containerName: 'shop-web-1',
      image: 'nginx',
      command: ['run', '--fast'],
      entrypoint: null,
      environment: { A: '1', B: null },
    },
    ports: [
      { target: 80, protocol: 'tcp', published: '8080', hostIp: '' },
      { target: 81, protocol: 'tcp', published: '8081', hostIp: '' },
      { target: 90, protocol: 'udp', published: '', hostIp: '127.0.0.1' },
    ],
    expose: ['99'],
    mounts: [
      { type: 'volume', source: 'kept', target: '/data', readOnly: true },
      { type: 'volume', source: '', target: '/anonymous', readOnly: false },
      { type: 'bind', source: '/tree/hosts/edge/shop/conf', target: '/etc/conf', readOnly: false },
    ],
    networks: [
      { name: 'shop_default', aliases: [] },
      { name: 'shop_front', aliases: ['www'] },
    ],
    dependsOn: [{ service: 'db', condition: 'service_healthy' }],
    healthcheck: { test: ['CMD-SHELL', 'curl x'], interval: '1m30s', timeout: '', startPeriod: '', retries: 2 },
    stopGrace: '1.5s',
    restart: { name: 'on-failure', maximumRetryCount: 3 },
    engine: {
      host: {
        ...{ Memory: 67_108_864, NanoCpus: 500_000_000, ExtraHosts: ['a:1.1.1.1'], Tmpfs: { '/run': 'size=1m' } },
        LogConfig: { Type: 'json-file', Config: { 'max-size': '1m' } },
      },
    },
  });
  expect(resources.find((r) => r.id === 'service:shop/web')?.after).toEqual([
    'volume:shop/data',
    'file:/tree/hosts/edge/shop/conf',
    'file:/tree/hosts/edge/shop/conf/a.conf',
    'network:shop/default',
    'network:shop/front',
    'service:shop/db',
  ]);
});

test('a mounted file comes before the service; the order of keys does not change the hash', () => {
  const one = 'services: {web: {image: x, user: u, labels: {a: 1, b: 2}, volumes: ["./a.conf:/a"]}}';
  const two = 'services: {web: {volumes: ["./a.conf:/a"], labels: [b=2, a=1], user: u, image: x}}';
  expect(service(one, { 'a.conf': 'a' }).hash).toBe(service(two, { 'a.conf': 'a' }).hash);
  expect(service(one, { 'a.conf': 'a' }).after).toContain('file:/tree/hosts/edge/shop/a.conf');
});

test('project_directory changes the directory of the stack on the host', () => {
  const text =
    'x-fairlead: {project_directory: /opt/shop}\nservices: {web: {image: x, volumes: ["./conf:/c", "../up:/u"]}}';
  const { spec, after } = service(text, { 'conf/a': 'a' });
  expect(spec.mounts.map((m) => m.source)).toEqual(['/opt/shop/conf', '/opt/up']);
  expect(after).toContain('file:/opt/shop/conf/a');
});

test('files of a role are relative to the role', () => {
  const { resources, issues } = loadStack({
    ...{ dir: DIR, layer: 'hosts/edge', env: null, vars: {}, treeRoot: '/tree', sha256 },
    payload: new Map([['roles/web/shop/conf', new Uint8Array()]]),
    files: [
      { path: 'roles/web/shop/compose.yaml', text: 'services: {web: {image: x, volumes: ["./conf:/c"]}}' },
      { path: `${DIR}/compose.yaml`, text: 'services: {web: {volumes: ["./own:/o"]}}' },
    ],
  });
  expect(issues).toEqual([]);
  expect(resources.map((r) => r.id)).toContain('file:/tree/roles/web/shop/conf');
  expect(resources.find((r) => r.id.startsWith('service:'))?.origin.layer).toBe('hosts/edge');
});

test('a service has replicas, update strategies and hooks', () => {
  const spec = service(`services:
  web:
    image: x
    deploy:
      replicas: 3
      update_config: {order: start-first, parallelism: 2, delay: 1m, failure_action: rollback, monitor: 1500ms, max_failure_ratio: 0.5}
    post_start: [{command: [a, b], user: u, privileged: true, working_dir: /w, environment: [A=1]}]
    pre_stop: [{command: c d}]
`).spec;
  expect(spec).toMatchObject({
    replicas: 3,
    update: {
      ...{ order: 'start-first', parallelism: 2, delay: '1m0s', onFailure: 'rollback', monitor: '1.5s' },
      maxFailureRatio: 0.5,
    },
    postStart: [{ command: ['a', 'b'], user: 'u', privileged: true, workingDir: '/w', environment: { A: '1' } }],
    preStop: [{ command: ['c', 'd'], user: '', privileged: false, workingDir: '', environment: {} }],
  });
  expect(service('services: {web: {image: x}}').spec).toMatchObject({
    replicas: 1,
    update: { order: 'stop-first', parallelism: 1, delay: '', onFailure: '', monitor: '', maxFailureRatio: 0 },
  });
});

describe('settings that only one container can have are an error with more replicas', () => {
  test.each<[string, string, string]>([
    ['a port', 'scale: 3, ports: ["127.0.0.1:8080:80"]', 'publish a range such as "8080-8082:80"'],
    [
      'a duplicate port',
      'ports: ["8080:80", "0.0.0.0:8080:81"]',
      '`ports` publishes 8080 for 80 and for 81, and only one of them can have it; give one another port',
    ],
    ['too few ports', 'scale: 3, ports: ["8080-8081:80"]', '2 ports, 8080-8081, and `web` runs 3 times'],
    [
      'an address',
      'deploy: {replicas: 2}, networks: {default: {ipv4_address: 10.1.2.3}}',
      '`ipv4_address` can be given',
    ],
    [
      'a MAC address',
      'scale: 2, networks: {default: {mac_address: "02:42:0a:5b:00:99"}}',
      '`mac_address` can be given',
    ],
    ['a name', 'scale: 2, container_name: own', 'can have no `container_name`'],
    [
      'also with an unknown failure_action',
      'deploy: {update_config: {failure_action: retry}}',
      'must be rollback, pause or continue, got `retry`',
    ],
  ])('%s', (_what, keys, message) => {
    const { issues } = load(`services:\n  web: {image: x, ${keys}}\n`);
    expect(issues.map((i) => [i.severity, i.line])).toEqual([['error', 2]]);
    expect(issues[0]?.message).toContain(message);
  });

  test('wide enough ranges, and ports that the engine chooses, are accepted', () => {
    expect(load('services: {web: {image: x, scale: 2, ports: ["8080-8081:80", "81"]}}').issues).toEqual([]);
  });
});

test.each<[string, string, string]>([
  [
    'an unknown key',
    'services: {web: {image: x, x-fairlead: {on_chnge: none}}}',
    'unknown key `on_chnge` of x-fairlead; did you mean `on_change`?',
  ],
  [
    'a key of an older version',
    'services: {web: {image: x, x-fairlead: {notify: true}}}',
    'unknown key `notify` of x-fairlead; write `on_change: restart` or `on_change: none`',
  ],
  [
    'an invalid duration',
    'services: {web: {image: x, x-fairlead: {patience: soon}}}',
    '`patience` must be a duration such as 90s or 10m, got `soon`',
  ],
  [
    'a duration of zero',
    'services: {web: {image: x}}\nx-fairlead: {patience: 0s}',
    '`patience` must be a duration such as 90s or 10m, got `0s`',
  ],
  [
    'an invalid rollback',
    'services: {web: {image: x, x-fairlead: {rollback: never}}}',
    '`rollback` must be off or auto, got `never`',
  ],
  [
    'an invalid on_change',
    'services: {web: {image: x, x-fairlead: {on_change: reload}}}',
    '`on_change` must be restart, none or {signal: HUP}, got `reload`',
  ],
  [
    'an invalid signal',
    'services: {web: {image: x, volumes: ["./conf:/c"], x-fairlead: {on_change: {signal: HUPP}}}}',
    '`on_change.signal` must be the name of a signal such as HUP, got `HUPP`',
  ],
  [
    'a signal at a config, which is mounted by itself',
    'services: {web: {image: x, configs: [a]}}\nconfigs: {a: {content: a, x-fairlead: {on_change: {signal: HUP}}}}',
    '`on_change: {signal: …}` has no effect on a file: it is mounted alone, and its container sees the old content until it is restarted; write restart or none',
  ],
  [
    'a signal for a file that is mounted by itself',
    'services: {web: {image: x, volumes: ["./one:/o"], x-fairlead: {on_change: {signal: HUP}}}}',
    '`on_change: {signal: …}` has no effect: a file that is mounted alone keeps its old content until its container is restarted; write restart, or mount the directory',
  ],
  [
    'a signal without mounts',
    'services: {web: {image: x, volumes: ["data:/d"], x-fairlead: {on_change: {signal: HUP}}}}\nvolumes: {data: {}}',
    '`on_change: {signal: …}` has no effect: the service mounts nothing that fairlead could change; remove it',
  ],
  [
    'no restart without mounts',
    'services: {web: {image: x, x-fairlead: {on_change: none}}}',
    '`on_change: none` has no effect: the service mounts nothing that fairlead could change; remove it',
  ],
  [
    'the deletion of an external volume',
    'services: {web: {image: x, volumes: ["data:/d"]}}\nvolumes: {data: {external: true, x-fairlead: {prune: true}}}',
    '`prune: true` has no effect on an external volume, which fairlead never deletes; remove one of them',
  ],
  [
    'observe mode for an external volume',
    'services: {web: {image: x, volumes: ["data:/d"]}}\nvolumes: {data: {external: true, x-fairlead: {mode: observe}}}',
    '`mode` has no effect on what is `external`, which fairlead never makes, changes or deletes; remove it',
  ],
  [
    'recreating an external network',
    'services: {web: {image: x, networks: [n]}}\nnetworks: {n: {external: true, x-fairlead: {adopt: recreate}}}',
    '`adopt` has no effect on what is `external`, which fairlead never makes, changes or deletes; remove it',
  ],
  [
    'a secret without a file that stays encrypted',
    'services: {web: {image: x, secrets: [s]}}\nsecrets: {s: {environment: X, x-fairlead: {decrypt: false}}}',
    '`decrypt: false` has no effect without `file`: nothing of the repository is delivered here; remove it',
  ],
  [
    'an unknown key beside an unsupported one',
    'services: {web: {image: x, build: ., x-fairlead: {prun: true}}}',
    'unknown key `prun` of x-fairlead',
  ],
  [
    'an invalid value',
    'services: {web: {image: x, x-fairlead: {adopt: all}}}',
    '`adopt` must be match or recreate, got `all`',
  ],
  [
    'a key for volumes only',
    'services: {web: {image: x, x-fairlead: {prune: true}}}',
    'unknown key `prune` of x-fairlead',
  ],
  [
    'a volume that may be recreated but not deleted',
    'services: {web: {image: x, volumes: ["data:/d"]}}\nvolumes: {data: {x-fairlead: {adopt: recreate}}}',
    'recreating a volume deletes what is in it; say `prune: true` as well, or remove `adopt: recreate`',
  ],
  [
    'a relative directory',
    'services: {web: {image: x}}\nx-fairlead: {project_directory: opt}',
    '`project_directory` must be an absolute path, got `opt`',
  ],
])('x-fairlead: %s', (_what, text, message) => {
  expect(load(text, { one: '1', 'conf/a': 'a' }).issues.map((i) => i.message)).toContain(message);
});

test('x-fairlead: empty: allow is valid without mounts, because an image may bring volumes', () => {
  expect(load('services: {db: {image: x, x-fairlead: {empty: allow}}}').issues).toEqual([]);
});

test.each(['""', '-db', 'a b', 'd', '/db'])('container_name: %s is refused', (name) => {
  expect(load(`services: {web: {image: x, container_name: ${name}}}`).issues).toMatchObject([
    {
      severity: 'error',
      key: 'services.web.container_name',
      message: expect.stringMatching(/^`container_name` must have/),
    },
  ]);
});

test('x-fairlead: defaults may be written out', () => {
  const text = `services:
  web: {image: x, volumes: ["./one:/o", "data:/d"], x-fairlead: {mode: enforce, on_change: restart, adopt: match, rollback: auto}}
  db: {image: x, volumes: ["./conf:/c"], x-fairlead: {on_change: none}}
volumes: {data: {x-fairlead: {prune: false}}}
x-fairlead: {rollback: auto, adopt: match}
`;
  expect(load(text, { one: '1', 'conf/a': 'a' }).issues).toEqual([]);
});

test('x-fairlead: a service sets how it is judged, otherwise its stack does', () => {
  const { resources } = load(`services:
  web: {image: x, x-fairlead: {patience: 1m30s, rollback: auto}}
  db: {image: x}
x-fairlead: {rollback: off, patience: 10m}
`);
  const of = (id: string) => resources.find((r) => r.id === id);
  expect(of('service:shop/web')).toMatchObject({ patienceMs: 90_000 });
  expect(of('service:shop/web')?.rollback).toBeUndefined();
  expect(of('service:shop/db')).toMatchObject({ patienceMs: 600_000, rollback: 'off' });
});

test('x-fairlead: on_change sets what a service does when a mounted directory changes', () => {
  const of = (told: string) =>
    load(`services: {web: {image: x, volumes: ["./conf:/c", "./one:/o"]${told}}}`, {
      one: '1',
      'conf/a': 'a',
    }).resources.find((r) => r.id === 'service:shop/web');
  const paths = ['conf', 'one'].map((name) => `/tree/${DIR}/${name}`);
  expect(of('')?.follows).toBeUndefined();
  expect(of(', x-fairlead: {on_change: restart}')?.follows).toEqual(paths.map((path) => ({ path, verb: 'restart' })));
  const told = of(', x-fairlead: {on_change: {signal: HUP}}');
  expect(told?.follows).toEqual(paths.map((path) => ({ path, verb: 'reload' })));
  expect(told?.spec).toMatchObject({ signal: 'HUP' });
});

test('x-fairlead: observe mode extends to the files that only this service mounts', () => {
  const { resources, issues } = load(
    `services:
  web: {image: x, volumes: ["./own:/o", "./both:/b"], x-fairlead: {mode: observe}}
  db: {image: x, volumes: ["./both:/b", "data:/d"], x-fairlead: {mode: enforce}}
networks: {default: {x-fairlead: {mode: observe, adopt: recreate}}}
volumes: {data: {x-fairlead: {mode: observe, prune: true, adopt: recreate}}}
`,
    { 'own/a': 'a', 'both/b': 'b' },
  );
  expect(issues).toEqual([]);
  const tree = `/tree/${DIR}`;
  expect(resources.filter((r) => r.mode === 'observe').map((r) => r.id)).toEqual([
    `file:${tree}/own`,
    `file:${tree}/own/a`,
    'network:shop/default',
    'volume:shop/data',
    'service:shop/web',
  ]);
  const specs = ['network:shop/default', 'volume:shop/data'].map((id) => resources.find((r) => r.id === id)?.spec);
  expect(specs).toMatchObject([{ adopt: 'recreate' }, { prune: true, adopt: 'recreate' }]);
});

test('x-fairlead: on_change: none selects the files whose change restarts nothing', () => {
  const tree = `/tree/${DIR}`;
  const files = { 'a.conf': 'a', 'b.conf': 'b' };
  const of = (service: string, config: string) =>
    load(
      `services: {web: {image: x, volumes: ["./a.conf:/a"], configs: [b], ${service}}}\nconfigs: {b: {file: ./b.conf, ${config}}}`,
      files,
    ).resources.find((r) => r.id === 'service:shop/web')?.quiet;
  expect(of('x-fairlead: {on_change: restart}', '')).toBeUndefined();
  expect(of('x-fairlead: {on_change: none}', '')).toEqual([`${tree}/a.conf`, `${tree}/b.conf`]);
  expect(of('', 'x-fairlead: {on_change: none}')).toEqual([`${tree}/b.conf`]);
});

test('the stack is printed as docker compose prints it, dollars doubled', () => {
  const { config } = load('services: {web: {image: x, labels: {a: "$$HOME", b: "$$$$"}}}');
  expect(config).toMatchObject({ name: 'shop', services: { web: { image: 'x', labels: { a: '$$HOME', b: '$$$$' } } } });
});

test('a stack names the files that it includes', () => {
  const { included } = load('include: [db/compose.yaml]', { 'db/compose.yaml': 'services: {db: {image: x}}' });
  expect(included).toEqual([`${DIR}/db/compose.yaml`]);
});
