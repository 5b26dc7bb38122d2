/** `order: start-first`: the new container is up and well before the old one is stopped, and clients notice nothing. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type EngineOn, engineOn, whyOf } from './engine-on.ts';
import { type Lab, type LabHost, startLab, until } from './lab.ts';

let lab: Lab;
let host: LabHost;
let engine: EngineOn;

beforeAll(async () => {
  lab = await startLab({ name: 'first', infra: 'shared', hosts: [{ name: 'ours' }] });
  host = lab.host('ours');
  engine = await engineOn(host, { rollback: true });
});
afterAll(async () => {
  engine?.close();
  await lab?.stop();
});
afterEach(async () => {
  await host.sh('docker ps -aq | xargs -r docker rm -f');
});

/**
 * Responds `warming` for two seconds after its start, then its version. Continues for a moment after a stop signal, as a server
 * should.
 */
const SERVER = (before = '') =>
  `["/bin/busybox", "sh", "-c", "${before}mkdir /w; echo warming > /w/index.html; (sleep 2; cp /www/index.html /w/) & /bin/busybox httpd -f -p 8080 -h /w & trap 'sleep 0.5; kill $$!; sleep 0.5; exit 0' TERM; while :; do sleep 0.1; done"]`;
const READY = 'test: [CMD-SHELL, "/bin/busybox wget -q -O - http://127.0.0.1:8080/ | /bin/busybox grep -q version"]';
/**
 * Sends requests to the service's name all the time; tries each address of the name, and repeats a request whose connection
 * breaks, as proxies do.
 */
const CLIENT = `["/bin/busybox", "sh", "-c", "while :; do /usr/bin/curl -sS --max-time 20 --retry 1 --retry-all-errors http://web:8080/ || echo FAILED; sleep 0.02; done"]`;

/** Without a healthcheck a container counts as well after this time. */
const SOON = 'deploy: {update_config: {monitor: 500ms}}';

const shop = (version: number, { before = '', more = [] as string[], order = 'start-first' } = {}) => ({
  'shop/compose.yaml': `services:
  web:
    image: infra:5000/app:${version}
    command: ${SERVER(before)}
    stop_signal: SIGTERM
    healthcheck: {${READY}, interval: 5s, start_period: 30s, start_interval: 300ms, retries: 20}
    deploy: {update_config: {order: ${order}}}
${more.map((line) => `    ${line}\n`).join('')}  client:
    image: infra:5000/app:1
    ${SOON}
    command: ${CLIENT}
    volumes: ["/usr:/usr:ro", "/lib:/lib:ro", "/lib64:/lib64:ro"]
    depends_on: {web: {condition: service_healthy}}
  other: {image: infra:5000/app:3, ${SOON}}
`,
});

const names = async () =>
  (await host.sh("docker ps -a --format '{{.Names}} {{.State}}'")).stdout.split('\n').filter(Boolean).sort();
const answers = async () => (await host.exec(['docker', 'logs', 'shop-client-1'])).stdout.trim().split('\n');
const asked = async (version: number) =>
  until(`an answer of version ${version}`, 120_000, async () => (await answers()).at(-1) === `version ${version}`);
const starts = async (since: string) =>
  (
    await host.sh(
      `docker events --since ${since} --until $(date +%s.%N) --filter type=container --filter event=start --filter event=die --format '{{.Actor.Attributes.name}} {{.Action}}'`,
    )
  ).stdout
    .trim()
    .split('\n');
const now = async () => (await host.sh('date +%s.%N')).stdout.trim();
const aliases = async () =>
  (
    JSON.parse(
      (
        await host.exec([
          'docker',
          'inspect',
          '-f',
          '{{json .NetworkSettings.Networks.shop_default.Aliases}}',
          'shop-web-1',
        ])
      ).stdout,
    ) as string[]
  ).filter((name) => !/^[0-9a-f]{12}$/.test(name));

test('a client that sends requests to the service’s name all the time sees one version, then the other, and nothing else', async () => {
  expect((await engine.apply(shop(1))).outcome.problems).toEqual([]);
  await asked(1);
  await until('the client to send requests all the time', 120_000, async () => (await answers()).length > 20);
  const since = await now();
  const changed = await engine.apply(shop(2));
  expect(changed.outcome.problems).toEqual([]);
  await asked(2);
  const seen = await answers();
  expect([...new Set(seen)].sort()).toEqual(['version 1', 'version 2']);
  expect(await starts(since)).toEqual(['shop-web-1-fairlead-new start', 'shop-web-1 die']);
  expect(await names()).toEqual(['shop-client-1 running', 'shop-other-1 running', 'shop-web-1 running']);
  expect(await aliases()).toEqual(['shop-web-1', 'web']);
  expect((await engine.again()).outcome.actions).toEqual([]);
});

test('a service with connections of its own is restarted once under its names, so that none of them hangs', async () => {
  const held = 'sleep 1000 | /bin/busybox nc other 8080 & ';
  expect((await engine.apply(shop(1, { before: held }))).outcome.problems).toEqual([]);
  await asked(1);
  const since = await now();
  expect((await engine.apply(shop(2, { before: held }))).outcome.problems).toEqual([]);
  await asked(2);
  expect((await answers()).filter((line) => line.includes('FAILED') || line.includes('curl'))).toEqual([]);
  expect(await starts(since)).toEqual([
    'shop-web-1-fairlead-new start',
    'shop-web-1-fairlead-new die',
    'shop-web-1-fairlead-new start',
    'shop-web-1 die',
  ]);
  expect(await aliases()).toEqual(['shop-web-1', 'web']);
});

test('if the new one does not become well, the old one is not touched', async () => {
  await engine.apply(shop(1));
  await asked(1);
  const since = await now();
  const bad = await engine.apply(shop(2, { before: 'echo cannot read the schema; exit 4; ' }));
  expect(bad.run.sync).toBe('rolled-back');
  expect(bad.run.message).toMatch(/shop-web-1-fairlead-new exited \(4\); its last lines: cannot read the schema/);
  expect(new Set(await answers())).toEqual(new Set(['version 1']));
  expect(await starts(since)).toEqual(['shop-web-1-fairlead-new start', 'shop-web-1-fairlead-new die']);
  expect(await names()).toEqual(['shop-client-1 running', 'shop-other-1 running', 'shop-web-1 running']);
});

test('several containers: each new one is well before an old one is removed', async () => {
  await engine.apply(shop(1, { more: ['scale: 2'] }));
  await asked(1);
  const since = await now();
  expect((await engine.apply(shop(2, { more: ['scale: 2'] }))).outcome.problems).toEqual([]);
  await asked(2);
  // A client that looked the name up just before a container was removed may find that its address is the next new one's by now.
  const seen = new Set(await answers());
  seen.delete('warming');
  expect([...seen].sort()).toEqual(['version 1', 'version 2']);
  expect(await starts(since)).toEqual([
    'shop-web-1-fairlead-new start',
    'shop-web-1 die',
    'shop-web-2-fairlead-new start',
    'shop-web-2 die',
  ]);
});

describe('if start-first is impossible the reason is reported, and the old one is stopped first', () => {
  const REASONS: [what: string, key: string, why: string][] = [
    ['a host port', 'ports: ["18300:8080"]', 'two containers cannot both publish port 18300'],
    ['too few host ports', 'ports: ["18301-18301:8080"]', 'two containers cannot both publish port 18301'],
    ['a static address', 'networks: {default: {ipv4_address: 10.92.2.10}}', 'the address 10.92.2.10 on s2_default'],
    ['a MAC address', 'networks: {default: {mac_address: "02:42:0a:5b:00:98"}}', 'the mac_address 02:42:0a:5b:00:98'],
    ['container_name', 'container_name: own', 'container_name own can be given once'],
    ['the host’s network', 'network_mode: host', 'with network_mode host both would listen on the same ports'],
    ['another’s network', 'network_mode: service:other', 'with network_mode service:other both would listen'],
    ['an anonymous volume', 'volumes: ["/kept"]', 'the anonymous volume at /kept moves along'],
  ];
  // The Docker engine remembers 256 events, and each healthcheck makes three: they run often only until they succeed.
  const files = (word: string) =>
    Object.fromEntries(
      REASONS.map(([, key], i) => [
        `s${i}/compose.yaml`,
        `services:
  web:
    image: infra:5000/app:1
    command: ["/bin/busybox", "sleep", "1000"]
    environment: {WORD: ${word}}
    healthcheck: {test: [CMD, "true"], interval: 30s, start_period: 30s, start_interval: 300ms}
    deploy: {update_config: {order: start-first}}
    ${key}
  other: {image: infra:5000/app:3, ${SOON}}
networks: {default: {ipam: {config: [{subnet: 10.92.${i}.0/24}]}}}
`,
      ]),
    );

  test('each reason has its own message', async () => {
    await engine.apply(files('one'));
    const since = await now();
    const changed = await engine.apply(files('two'));
    expect(changed.outcome.problems).toEqual([]);
    const events = await starts(since);
    for (const [i, [what, , why]] of REASONS.entries()) {
      expect(whyOf(changed, `service:s${i}/web`), what).toEqual([
        { field: 'environment', to: 'WORD changed' },
        { field: 'order', from: 'start-first', to: expect.stringContaining('stop-first: ') },
      ]);
      expect(whyOf(changed, `service:s${i}/web`)[1]?.to, what).toContain(why);
      const own = events.filter((line) => line.startsWith(what === 'container_name' ? 'own' : `s${i}-web-1`));
      expect(
        own.map((line) => line.split(' ')[1]),
        what,
      ).toEqual(['die', 'start']);
    }
  });
});
