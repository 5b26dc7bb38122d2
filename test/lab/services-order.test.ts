/** Relations between services: conditions, one-shots, profiles; shared resources; adoption and recreation on request. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { done, type EngineOn, engineOn, whyOf } from './engine-on.ts';
import { type Lab, type LabHost, startLab } from './lab.ts';

let lab: Lab;
let host: LabHost;
let engine: EngineOn;

beforeAll(async () => {
  lab = await startLab({ name: 'order', infra: 'shared', hosts: [{ name: 'ours' }] });
  host = lab.host('ours');
  engine = await engineOn(host);
});
afterAll(async () => {
  engine?.close();
  await lab?.stop();
});
afterEach(async () => {
  await host.sh('docker ps -aq | xargs -r docker rm -fv');
});

const run = (script: string) => `command: ["/bin/busybox", "sh", "-c", "${script}"]`;
/** Without a healthcheck a container counts as well after this time. */
const SOON = 'deploy: {update_config: {monitor: 500ms}}';
const STAY = run('exec /bin/busybox sleep 1000');
const stack = (services: Record<string, readonly string[]>, env = '', more = '') => ({
  'shop/compose.yaml': `services:\n${Object.entries(services)
    .map(
      ([name, keys]) =>
        `  ${name}:\n    image: infra:5000/app:1\n    ${SOON}\n${keys.map((key) => `    ${key}\n`).join('')}`,
    )
    .join('')}${more}`,
  'host.yaml': 'settle: {timeout: 20s, patience: 4s}\n',
  ...(env ? { 'shop/.env': env } : {}),
});
const containers = async () =>
  (
    await host.sh(
      "docker ps -aq | xargs -r docker inspect -f '{{.Name}} {{.State.Status}} {{.State.ExitCode}}' | sed 's/^.shop-//' | sort",
    )
  ).stdout
    .split('\n')
    .filter(Boolean);
const field = async (name: string, what: string) =>
  (await host.exec(['docker', 'inspect', '-f', `{{${what}}}`, `shop-${name}-1`])).stdout.trim();
const problems = ({ outcome }: { outcome: { problems: readonly { id: string; reason: string; message: string }[] } }) =>
  outcome.problems.map((p) => `${p.id} ${p.reason}: ${p.message}`);

describe('one-shots', () => {
  const files = (code: number, word = 'a') =>
    stack({
      init: [run(`sleep 1; echo done ${code}; exit ${code}`)],
      web: [STAY, `environment: {WORD: ${word}}`, 'depends_on: {init: {condition: service_completed_successfully}}'],
    });

  test('settle when they have ended, are not run again, and services that wait for them start then', async () => {
    expect(problems(await engine.apply(files(0)))).toEqual([]);
    expect(await containers()).toEqual(['init-1 exited 0', 'web-1 running 0']);
    const [ended, began] = [await field('init', '.State.FinishedAt'), await field('web', '.State.StartedAt')];
    expect(Date.parse(ended)).toBeLessThanOrEqual(Date.parse(began));
    expect((await engine.again()).outcome.actions).toEqual([]);
    expect(done(await engine.apply(files(0, 'b')))).toEqual(['replace service:shop/web done']);
    expect(await field('init', '.State.FinishedAt')).toBe(ended);
  });

  test('that fail block the services that wait for them', async () => {
    expect(problems(await engine.apply(files(3)))).toEqual([
      expect.stringMatching(/^service:shop\/init Unhealthy: exited \(3\); its last lines: done 3$/),
      'service:shop/web DependencyNotReady: init did not become completed successfully: it is exited',
    ]);
    expect(await containers()).toEqual(['init-1 exited 3']);
  });
});

describe('depends_on', () => {
  const SICK = 'healthcheck: {test: [CMD, "false"], interval: 200ms, timeout: 500ms, retries: 1}';
  const on = (more: string) => [STAY, `depends_on: {db: {${more}}}`];

  test('service_healthy waits for each container, and fails with an unhealthy one', async () => {
    const slow = 'healthcheck: {test: [CMD, /bin/busybox, test, -e, /tmp/ready], interval: 200ms, retries: 100}';
    const db = [run('sleep 2; /bin/busybox touch /tmp/ready; exec /bin/busybox sleep 1000'), 'scale: 2', slow];
    expect(problems(await engine.apply(stack({ db, web: on('condition: service_healthy') })))).toEqual([]);
    expect(await containers()).toEqual(['db-1 running 0', 'db-2 running 0', 'web-1 running 0']);
    const sick = await engine.apply(
      stack({ db: [STAY, SICK], web: [...on('condition: service_healthy'), 'hostname: x'] }),
    );
    expect(problems(sick)[1]).toBe(
      'service:shop/web DependencyNotReady: db did not become healthy: it is running, unhealthy',
    );
  });

  test('required: false continues without it: unhealthy, not started, or of an inactive profile', async () => {
    const how = on('condition: service_healthy, required: false');
    await engine.apply(stack({ db: [STAY, SICK], web: how }));
    expect(await containers()).toEqual(['db-1 running 0', 'web-1 running 0']);
    await host.sh('docker ps -aq | xargs docker rm -f');
    const broken = await engine.apply(stack({ db: ['command: ["/no/such/program"]'], web: how }));
    expect(broken.outcome.actions.map((a) => `${a.id} ${a.result}`)).toEqual([
      'service:shop/db failed',
      'service:shop/web done',
    ]);
    await host.sh('docker ps -aq | xargs docker rm -f');
    expect(problems(await engine.apply(stack({ db: [STAY, 'profiles: [off]'], web: how })))).toEqual([]);
    expect(await containers()).toEqual(['web-1 running 0']);
    await host.sh('docker ps -aq | xargs docker rm -f');
    expect(
      problems(await engine.apply(stack({ db: [STAY, SICK, 'scale: 0'], web: on('condition: service_healthy') }))),
    ).toEqual([]);
    expect(await containers()).toEqual(['web-1 running 0']);
  });

  test('restart: true, and shared namespaces, follow a recreated container; others do not', async () => {
    const files = (word: string) =>
      stack({
        db: [STAY, `environment: {WORD: ${word}}`],
        follower: on('condition: service_started, restart: true'),
        beside: [STAY, 'network_mode: service:db'],
        other: on('condition: service_started'),
      });
    expect(problems(await engine.apply(files('a')))).toEqual([]);
    const look = () =>
      Promise.all(
        ['follower', 'beside', 'other'].map(async (n) => [await field(n, '.Id'), await field(n, '.State.StartedAt')]),
      );
    const before = await look();
    expect(problems(await engine.apply(files('b')))).toEqual([]);
    const after = await look();
    const same = (i: number, j: number) => before[i]?.[j] === after[i]?.[j];
    expect({ follower: [same(0, 0), same(0, 1)], beside: same(1, 0), other: [same(2, 0), same(2, 1)] }).toEqual({
      follower: [true, false],
      beside: false,
      other: [true, true],
    });
    expect(await field('beside', '.HostConfig.NetworkMode')).toBe(`container:${await field('db', '.Id')}`);
    expect((await engine.again()).outcome.actions).toEqual([]);
  });
});

test('anonymous volumes are kept by the next container, and removed with the last one; named ones stay', async () => {
  const files = (word: string) =>
    stack(
      { web: [STAY, `environment: {WORD: ${word}}`, 'volumes: ["/kept", "named:/named"]'], other: [STAY] },
      '',
      'volumes: {named: {}}\n',
    );
  await engine.apply(files('a'));
  await host.exec(['docker', 'exec', 'shop-web-1', '/bin/busybox', 'sh', '-c', 'echo precious > /kept/x']);
  expect(done(await engine.apply(files('b')))).toEqual(['replace service:shop/web done']);
  expect((await host.exec(['docker', 'exec', 'shop-web-1', '/bin/busybox', 'cat', '/kept/x'])).stdout).toBe(
    'precious\n',
  );
  const volumes = async () => (await host.exec(['docker', 'volume', 'ls', '-q'])).stdout.trim().split('\n').sort();
  expect(await volumes()).toEqual([expect.stringMatching(/^[0-9a-f]{64}$/), 'shop_named']);
  expect(done(await engine.apply(stack({ other: [STAY] })))).toEqual([
    'remove service:shop/web done',
    'release volume:shop/named done',
  ]);
  expect(await volumes()).toEqual(['shop_named']);
  await host.exec(['docker', 'volume', 'rm', 'shop_named']);
});

describe('a stack on a network of another stack', () => {
  const proxy = (subnet: string, type: string) => ({
    'zz/compose.yaml': `services:
  gate: {image: "infra:5000/app:1", ${SOON}, ${STAY}, networks: {web: {ipv4_address: ${subnet}.9}}, volumes: ["share:/share"]}
networks: {web: {name: web, ipam: {config: [{subnet: ${subnet}.0/24}]}}}
volumes: {share: {name: share, driver_opts: {type: ${type}, device: ${type}}}}
`,
  });
  const app = {
    'app/compose.yaml': `services:
  x: {image: "infra:5000/app:1", ${SOON}, ${STAY}, networks: [web], volumes: ["share:/share"]}
networks: {web: {external: true}}
volumes: {share: {external: true}}
`,
  };
  const anchor = { 'a.yaml': 'files: {/srv/anchor: {content: x}}\n' };
  const inspected = async (what: string, name: string) =>
    (await host.exec(['docker', 'inspect', '-f', `{{${what}}}`, name])).stdout.trim();
  const addressOf = (name: string) => inspected('.NetworkSettings.Networks.web.IPAddress', name);

  test('is created with it, keeps running while the network is recreated, waits for a foreign container, and is removed before it', async () => {
    expect(problems(await engine.apply({ ...app, ...proxy('10.91.0', 'tmpfs') }))).toEqual([]);
    const before = await inspected('.Id', 'app-x-1');
    expect(problems(await engine.apply({ ...app, ...proxy('10.92.0', 'tmpfs') }))).toEqual([]);
    expect(await addressOf('zz-gate-1')).toBe('10.92.0.9');
    expect(await addressOf('app-x-1')).toMatch(/^10\.92\.0\./);
    expect(await inspected('.Id', 'app-x-1')).toBe(before);
    expect((await engine.again()).outcome.actions).toEqual([]);

    await host.exec(['docker', 'run', '-d', '--name', 'guest', '--network', 'web', 'infra:5000/app:1']);
    const refused = await engine.apply({ ...app, ...proxy('10.93.0', 'tmpfs') });
    expect(problems(refused).join()).toMatch(/network:zz\/web NetworkInUse: .*guest, which fairlead did not create/);
    expect(await addressOf('zz-gate-1')).toBe('10.92.0.9');
    await host.exec(['docker', 'rm', '-f', 'guest']);
    expect(problems(await engine.again())).toEqual([]);
    expect(await addressOf('zz-gate-1')).toBe('10.93.0.9');

    // A volume without data on this host is recreated, and both stacks with it.
    expect(problems(await engine.apply({ ...app, ...proxy('10.93.0', 'ramfs') }))).toEqual([]);
    expect((await host.exec(['docker', 'volume', 'inspect', '-f', '{{.Options.type}}', 'share'])).stdout).toMatch(
      /ramfs/,
    );
    expect((await inspected('.State.Running', 'app-x-1')) + (await inspected('.State.Running', 'zz-gate-1'))).toBe(
      'truetrue',
    );
    expect((await engine.again()).outcome.actions).toEqual([]);

    const gone = done(await engine.apply(anchor));
    expect(gone.indexOf('remove network:zz/web done')).toBeGreaterThan(gone.indexOf('remove service:app/x done'));
    expect((await host.exec(['docker', 'network', 'ls', '-q', '-f', 'name=^web$'])).stdout).toBe('');
  });
});

test('profiles: services of a profile that COMPOSE_PROFILES does not name are not started, and removed when it is no longer named', async () => {
  const services = { web: [STAY], debug: [STAY, 'profiles: [tools]'], other: [STAY, 'profiles: [rest]'] };
  await engine.apply(stack(services));
  expect(await containers()).toEqual(['web-1 running 0']);
  await engine.apply(stack(services, 'COMPOSE_PROFILES=tools\n'));
  expect(await containers()).toEqual(['debug-1 running 0', 'web-1 running 0']);
  await engine.apply(stack(services));
  expect(await containers()).toEqual(['web-1 running 0']);
});

test('x-fairlead: {adopt: recreate} adopts differing resources by recreating them, for one service or for all', async () => {
  const TREE = '/var/lib/fairlead/tree/hosts/h/taken';
  const text = (word: string) =>
    ['one', 'two']
      .map((name) => `  ${name}: {image: "infra:5000/app:1", ${SOON}, environment: {WORD: ${word}}}\n`)
      .join('');
  await host.write(`${TREE}/compose.yaml`, `services:\n${text('old')}`);
  await host.sh(`cd ${TREE}; docker compose up -d --quiet-pull 2>&1`);
  const id = async (name: string) =>
    (await host.exec(['docker', 'inspect', '-f', '{{.Id}}', `taken-${name}-1`])).stdout;
  const before = [await id('one'), await id('two')];
  const late = text('new').replace('WORD: new}}', 'WORD: new}, x-fairlead: {adopt: recreate}}');
  const first = await engine.apply({ 'taken/compose.yaml': `services:\n${late}` });
  const results = first.outcome.actions
    .filter((a) => a.id.startsWith('service:taken/'))
    .map((a) => `${a.id} ${a.result}`);
  expect(results.sort()).toEqual(['service:taken/one done', 'service:taken/two held']);
  expect(whyOf(first, 'service:taken/one').map((r) => r.field)).toEqual(['environment']);
  expect([(await id('one')) === before[0], (await id('two')) === before[1]]).toEqual([false, true]);
  const all = await engine.apply({ 'taken/compose.yaml': `x-fairlead: {adopt: recreate}\nservices:\n${text('new')}` });
  expect(done(all)).toEqual(['replace service:taken/two done']);
  expect((await engine.again()).outcome.actions).toEqual([]);
});
