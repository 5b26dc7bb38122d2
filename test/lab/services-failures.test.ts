/** Failures of services are reported well: one failed resource, its output, what is in the way, and what to do. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type EngineOn, engineOn, whyOf } from './engine-on.ts';
import { type Lab, type LabHost, startLab, until } from './lab.ts';

let lab: Lab;
let ours: LabHost;
let engine: EngineOn;

beforeAll(async () => {
  lab = await startLab({ name: 'failures', infra: 'shared', hosts: [{ name: 'ours' }] });
  ours = lab.host('ours');
});
/** Each test begins on a host without containers, with an agent whose memory is empty. */
beforeEach(async () => {
  engine?.close();
  await ours.sh('docker ps -aq | xargs -r docker rm -f; docker network prune -f');
  engine = await engineOn(ours);
});
afterAll(async () => {
  engine?.close();
  await lab?.stop();
});

/** A short patience, which these tests are not about. */
const HOST_YAML = 'settle: {timeout: 10s, patience: 5s}\n';
/** For services that keep running: they count as well at once. */
const STEADY = 'deploy: {update_config: {monitor: 500ms}}';
const RUNS = `    ${STEADY}\n`;
const oddStack = (keys: string, image = 'infra:5000/app:1') => ({
  'host.yaml': HOST_YAML,
  'odd/compose.yaml': `services:
  web:
    image: ${image}
${keys}  well:
    image: infra:5000/app:1
    ${STEADY}
`,
});

/** The problems of a stack of one service that is well and this one. */
async function failing(keys: string, image?: string): Promise<Record<string, string>> {
  const { outcome } = await engine.apply(oddStack(keys, image));
  return Object.fromEntries(outcome.problems.map((p) => [p.id, `${p.reason}: ${p.message}`]));
}

/** The only problem, of `service:odd/web`. */
async function problem(keys: string, image?: string): Promise<string> {
  const all = await failing(keys, image);
  expect(Object.keys(all)).toEqual(['service:odd/web']);
  return all['service:odd/web'] ?? '';
}

const foreign = async (...argv: string[]) => (await ours.exec(['docker', 'run', '-d', ...argv])).stdout.trim();
const stateOf = async (id: string) =>
  (await ours.exec(['docker', 'inspect', '-f', '{{.Id}} {{.State.StartedAt}} {{.State.Running}}', id])).stdout;

test('an exit: its code and the last lines', async () => {
  expect(await problem('    command: ["/bin/busybox", "sh", "-c", "echo no such table; exit 3"]\n')).toMatch(
    /^Unhealthy: exited \(3\); its last lines: no such table$/,
  );
});

test('out of memory: its limit, and what to raise', async () => {
  expect(
    await problem(
      '    mem_limit: 16m\n    memswap_limit: 16m\n    command: ["/bin/busybox", "dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"]\n',
    ),
  ).toMatch(
    // The engine itself does not always learn of it.
    /^Unhealthy: exited \(137\), (killed by SIGKILL, probably )?out of memory at its limit of 16 MiB; raise mem_limit/,
  );
});

test('a crash loop', async () => {
  expect(
    await problem('    restart: always\n    command: ["/bin/busybox", "sh", "-c", "echo cannot bind; exit 4"]\n'),
  ).toMatch(/^Unhealthy: keeps restarting, last exit code 4; its last lines: (.*\| )?cannot bind$/);
});

test('an unhealthy start: the output of the healthcheck', async () => {
  expect(
    await problem(
      '    healthcheck: {test: ["CMD-SHELL", "echo pool is empty; exit 2"], interval: 1s, timeout: 3s, retries: 2}\n',
    ),
  ).toMatch(/^Unhealthy: its healthcheck fails \(exit code 2: pool is empty\); it printed nothing$/);
});

test('a missing image: nothing is changed', async () => {
  expect(await failing(RUNS)).toEqual({});
  const before = await stateOf('odd-web-1');
  expect(await problem(RUNS, 'infra:5000/none:1')).toMatch(
    /^ImagePullFailed: cannot pull infra:5000\/none:1: .*(not found|unknown).*; what runs is left alone, and it will be tried again$/,
  );
  expect(await problem(`${RUNS}    pull_policy: never\n`, 'infra:5000/app:99')).toMatch(
    /^ImageMissing: image infra:5000\/app:99 is not on this host, and pull_policy is never; load it/,
  );
  expect(await stateOf('odd-web-1')).toBe(before);
});

describe('a name that an unlabelled container has', () => {
  test('if nothing of the service runs: the container waits to be adopted, and is left alone', async () => {
    const id = await foreign('--name', 'taken', 'infra:5000/app:2');
    const before = await stateOf(id);
    const { outcome } = await engine.apply(oddStack(`${RUNS}    container_name: taken\n    hostname: a\n`));
    expect(outcome.resources.find((r) => r.id === 'service:odd/web')).toMatchObject({ sync: 'held' });
    expect(outcome.message).toMatch(
      /^taken was not started by fairlead and differs from service:odd\/web in .*image.*; set x-fairlead.adopt: recreate, or run `fairlead sync --adopt`$/,
    );
    expect(await stateOf(id)).toBe(before);
  });

  test('if a container of the service runs: the owner is named, and both are left alone', async () => {
    expect(await failing(RUNS)).toEqual({});
    const id = await foreign('--name', 'taken', 'infra:5000/app:2');
    const before = [await stateOf(id), await stateOf('odd-web-1')];
    expect(await problem(`${RUNS}    container_name: taken\n    hostname: a\n`)).toMatch(
      /^NameConflict: container name taken is taken by [0-9a-f]{12} \(infra:5000\/app:2\), which is not fairlead's and is left alone; rename one of them; the running container stays until that is free$/,
    );
    expect([await stateOf(id), await stateOf('odd-web-1')]).toEqual(before);
  });
});

describe('a port that a foreign container has', () => {
  const keys = `${RUNS}    ports: ["127.0.0.1:18099:8080"]\n`;
  const holder = () => foreign('--name', 'holder', '-p', '127.0.0.1:18099:8080', 'infra:5000/app:2');

  test("if nothing of the service runs: the Docker engine's error and the owner are named, and it is left alone", async () => {
    const id = await holder();
    const before = await stateOf(id);
    expect(await problem(keys)).toMatch(
      /^PortInUse: cannot start a container: .*18099.*; container holder \(infra:5000\/app:2\) has it$/,
    );
    expect(await stateOf(id)).toBe(before);
  });

  test('if a container of the service runs: the owner is named, and both are left alone', async () => {
    expect(await failing(RUNS)).toEqual({});
    const id = await holder();
    const before = [await stateOf(id), await stateOf('odd-web-1')];
    expect(await problem(keys)).toBe(
      'PortInUse: port 18099/tcp is taken; container holder (infra:5000/app:2) has it; the running container stays until that is free',
    );
    expect([await stateOf(id), await stateOf('odd-web-1')]).toEqual(before);
  });
});

test('a port that a program of the host has', async () => {
  await ours.exec(['systemd-run', '--unit', 'squatter', 'busybox', 'httpd', '-f', '-p', '18098']);
  await until('the port to be in use', 60_000, async () =>
    (await ours.exec(['ss', '-ltn'])).stdout.includes(':18098 '),
  );
  expect(await problem('    ports: ["18098:8080"]\n')).toMatch(
    /^PortInUse: .*18098.*free the port, or publish another; a program of the host has it \(see `ss -ltnup`\)$/,
  );
  await ours.exec(['systemctl', 'stop', 'squatter']);
  expect(await failing(`${RUNS}    ports: ["18098:8080"]\n`)).toEqual({});
});

describe('networks', () => {
  const network = async (name: string, text: string) => {
    const { outcome } = await engine.apply({
      'host.yaml': HOST_YAML,
      [`${name}/compose.yaml`]: `services: {web: {image: "infra:5000/app:1", ${STEADY}}}\n${text}`,
    });
    return outcome.problems.map((p) => `${p.id} ${p.reason}: ${p.message}`);
  };

  test('a subnet that another network has: the owner is named, and left alone', async () => {
    await ours.exec(['docker', 'network', 'create', '--subnet', '10.81.0.0/16', 'theirs']);
    expect(await network('taken', 'networks: {default: {ipam: {config: [{subnet: 10.81.7.0/24}]}}}\n')).toEqual([
      expect.stringMatching(
        /^network:taken\/default SubnetInUse: subnet \S+ of network:taken\/default overlaps with \S+ of network theirs; choose another subnet/,
      ),
      expect.stringMatching(/^service:taken\/web DependencyFailed: waits for network:taken\/default, which failed$/),
    ]);
    expect((await ours.exec(['docker', 'network', 'rm', 'theirs'])).code).toBe(0);
  });

  test('no addresses are left for another network: the remedy is named', async () => {
    await ours.sh('i=0; while docker network create many$i >/dev/null 2>&1; do i=$((i+1)); [ $i -lt 60 ]; done');
    const [said] = await network('late', '');
    await ours.sh('docker network ls -q --filter name=^many | xargs -r docker network rm');
    expect(said).toMatch(
      /^network:late\/default AddressPoolsExhausted: cannot create network late_default: .*docker network prune.*default-address-pools/,
    );
    expect((await engine.again()).outcome.problems).toEqual([]);
  });
});

test('warnings of the Docker engine about a new container are in history, once', async () => {
  const made = await engine.apply({
    'warned/compose.yaml':
      'services:\n  web:\n    image: infra:5000/app:1\n    oom_kill_disable: true\n    deploy: {update_config: {monitor: 500ms}}\n',
  });
  expect(made.outcome.problems).toEqual([]);
  // On cgroup v1 that no memory limit is set, on v2 that it is discarded.
  expect(whyOf(made, 'service:warned/web')).toContainEqual({
    field: 'warning of the engine',
    to: expect.stringMatching(/OOM killer is disabled|OomKillDisable discarded/),
  });
  expect((await engine.again()).outcome.actions).toEqual([]);
});
