/** `pre_start`: commands before a service starts, their order and number, and the effects of a failure or a crash. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Docker } from '../../agent/system/docker/docker.ts';
import { done, type EngineOn, engineOn, whyOf } from './engine-on.ts';
import { type Lab, type LabHost, startLab, until } from './lab.ts';

let lab: Lab;
let host: LabHost;
let engine: EngineOn;
/** The next start is the last call that reaches the Docker engine. */
let dies = false;
/** The state that the Docker engine reports for such a container while it is being removed. */
let shown: 'removing' | 'dead' | null = null;

beforeAll(async () => {
  lab = await startLab({ name: 'pre-start', infra: 'shared', hosts: [{ name: 'ours' }] });
  host = lab.host('ours');
  engine = await engineOn(host, { docker: mortal });
});
let crash = new AbortController();
beforeEach(() => {
  crash = new AbortController();
});
afterAll(async () => {
  engine?.close();
  await lab?.stop();
});

/** A dead process sends no further calls. */
function mortal(real: Docker): Docker {
  const calls = Object.entries(real).map(([name, call]) => [
    name,
    async (...given: unknown[]) => {
      if (crash.signal.aborted) throw new Error('dead');
      const answer = await (call as (...given: unknown[]) => unknown)(...given);
      if (name === 'start' && dies) {
        dies = false;
        crash.abort();
      }
      if (name === 'inspect' && shown !== null) return beingRemoved(answer, shown);
      return answer;
    },
  ]);
  return Object.fromEntries(calls) as Docker;
}

function beingRemoved(answer: unknown, Status: string): unknown {
  const found = answer as Awaited<ReturnType<Docker['inspect']>>;
  if (!found?.Name.includes('pre-start')) return answer;
  return { ...found, State: { ...found.State, Status, ExitCode: 137 } };
}

const note = (text: string, then = 'true') => `["/bin/busybox", sh, -c, 'echo ${text} >> /log/all; ${then}']`;
const stack = (hooks: string, more = '') => ({
  'shop/compose.yaml': `services:
  web:
    image: infra:5000/app:1
    command: [/bin/busybox, sh, -c, 'echo web >> /log/all; exec /bin/busybox sleep 1000']
    volumes: ["log:/log"]
    environment: {A: own}
    stop_grace_period: 1s
    deploy: {update_config: {monitor: 500ms}}
    pre_start: ${hooks}
${more}volumes: {log: {}}
`,
});
/** The notes since the last call, as soon as this many containers wrote one: a running one writes it a moment later. */
const log = async (webs = 1) => {
  const file = '/var/lib/docker/volumes/shop_log/_data/all';
  const lines = async () => (await host.sh(`cat ${file} 2>/dev/null || true`)).stdout.trim().split('\n');
  await until(
    `${webs} notes of web`,
    60_000,
    async () => (await lines()).filter((word) => word === 'web').length >= webs,
  );
  const found = await lines();
  await host.exec(['rm', file]);
  return found;
};
const ids = async () => (await host.exec(['docker', 'ps', '-q', '--no-trunc'])).stdout.trim().split('\n').sort();
const names = async () =>
  (await host.exec(['docker', 'ps', '-a', '--format', '{{.Names}}'])).stdout.trim().split('\n').sort();

const FIRST = `[{command: ${note('one $$A')}, environment: {A: hook}}, {command: ${note('two')}, image: "infra:5000/app:2"}]`;

test('pre_start hooks run one after another before the service does, and are removed then', async () => {
  const { outcome } = await engine.apply(stack(FIRST));
  expect(outcome.problems).toEqual([]);
  expect(await log()).toEqual(['one hook', 'two', 'web']);
  expect(await names()).toEqual(['shop-web-1']);
  const before = await ids();
  expect((await engine.again()).outcome.actions).toEqual([]);
  // Starting the same container again is not a start of the service.
  await host.exec(['docker', 'stop', 'shop-web-1']);
  expect(done(await engine.again())).toEqual(['update service:shop/web done']);
  expect([await ids(), await log()]).toEqual([before, ['web']]);
});

test('a pre_start hook that fails prevents the start of the service, and the previous container is restored', async () => {
  const before = await ids();
  const failing = `[{command: ${note('good')}}, {command: ${note('bad', 'echo no such table; exit 3')}}, {command: ${note('never')}}]`;
  const { outcome } = await engine.apply(stack(failing));
  expect(outcome.problems.map((p) => `${p.reason} ${p.message}`)).toEqual([
    expect.stringMatching(/^HookFailed pre_start\[1\] \(.*\) ended with exit code 3: no such table/),
  ]);
  expect(await log()).toEqual(['good', 'bad', 'web']);
  expect([await ids(), await names()]).toEqual([before, ['shop-web-1']]);
});

test('with start-first, a pre_start hook that cannot be started leaves the running container alone', async () => {
  const started = async () =>
    (await host.exec(['docker', 'inspect', '-f', '{{.Id}} {{.State.StartedAt}}', 'shop-web-1'])).stdout;
  const before = await started();
  const text = stack('[{command: [/nowhere]}]')['shop/compose.yaml'];
  const { outcome } = await engine.apply({
    'shop/compose.yaml': text.replace('{monitor: 500ms}', '{monitor: 500ms, order: start-first}'),
  });
  expect(outcome.problems.map((p) => `${p.reason} ${p.message}`)).toEqual([
    expect.stringMatching(/^HookFailed pre_start\[0\] \(\/nowhere\) could not be started: .*no such file/),
  ]);
  expect([await started(), await names()]).toEqual([before, ['shop-web-1']]);
});

test('pre_start hooks run once for the service, or once for each of its containers', async () => {
  const hooks = `[{command: ${note('each')}, per_replica: true}, {command: ${note('once')}}]`;
  const two = '    scale: 2\n';
  expect((await engine.apply(stack(hooks, two))).outcome.problems).toEqual([]);
  const ran = await log(2);
  expect(ran.filter((word) => word !== 'web')).toEqual(['each', 'once', 'each']);
  expect(ran.indexOf('once')).toBeLessThan(ran.indexOf('web'));
  // Adding a replica does not change the service.
  expect((await engine.apply(stack(hooks, two.replace('2', '3')))).outcome.problems).toEqual([]);
  expect(await log()).toEqual(['each', 'web']);
  expect(await names()).toEqual(['shop-web-1', 'shop-web-2', 'shop-web-3']);
  expect((await engine.again()).outcome.actions).toEqual([]);
});

test('leftovers of pre_start hooks after a crash do not count as containers of the service, and are removed by the next run', async () => {
  expect((await engine.apply(stack('[]'))).outcome.problems).toEqual([]);
  await log();
  dies = true;
  const slow = `[{command: ${note('begun', 'exec /bin/busybox sleep 1000')}}]`;
  await engine.apply(stack(slow), crash.signal).catch(() => undefined);
  expect(await names()).toEqual([
    'shop-web-1-fairlead-new',
    'shop-web-1-fairlead-old',
    'shop-web-1-fairlead-pre-start-0',
  ]);
  crash = new AbortController();
  const left = await engine.apply(stack(`[{command: ${note('done')}}]`));
  expect(left.outcome.problems).toEqual([]);
  expect(JSON.stringify(whyOf(left, 'service:shop/web'))).toContain('shop-web-1-fairlead-pre-start-0');
  expect(await names()).toEqual(['shop-web-1']);
  expect((await log()).slice(-2)).toEqual(['done', 'web']);
  expect((await engine.again()).outcome.actions).toEqual([]);
});

test.each(['removing', 'dead'] as const)(
  'a pre_start hook that somebody removes (%s) is reported, and no commit is blamed',
  async (status) => {
    const before = await ids();
    const slow = stack('[{command: ["/bin/busybox", sleep, "1000"]}]');
    shown = status;
    const { outcome } = await engine.apply(slow);
    shown = null;
    expect([outcome.verdict, ...outcome.problems.map((p) => `${p.reason} ${p.message}`)]).toEqual([
      'open',
      expect.stringMatching(/^ContainerMissing pre_start\[0\] \(.*\) did not finish: somebody removed/),
    ]);
    expect([await ids(), await names()]).toEqual([before, ['shop-web-1']]);
  },
);
