/** How a service changes: the old container is kept until the new one is well, and is restored otherwise; hooks; one-shots. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { done, type EngineOn, engineOn, whyOf } from './engine-on.ts';
import { type Lab, type LabHost, startLab, until } from './lab.ts';

let lab: Lab;
let host: LabHost;
/** Rolls back a commit that does not settle. */
let engine: EngineOn;
/** Stays on it. */
let staying: EngineOn;

const HEALTHY =
  'healthcheck: {test: [CMD, /bin/busybox, wget, -q, -O, /dev/null, "http://127.0.0.1:8080/"], interval: 5s, retries: 2, start_period: 20s, start_interval: 300ms}';
const CRASH = 'command: ["/bin/busybox", "sh", "-c", "echo no such table; exit 3"]';
const web = (...keys: string[]) => ({
  'host.yaml': 'settle: {timeout: 60s, patience: 5s}\n',
  'shop/compose.yaml': `services:\n  web:\n${keys.map((key) => `    ${key}\n`).join('')}`,
});
const image = (version: number) => `image: infra:5000/app:${version}`;

const names = async () =>
  (await host.sh("docker ps -a --format '{{.Names}} {{.State}}'")).stdout.split('\n').filter(Boolean).sort();
const idOf = async (name: string) => (await host.exec(['docker', 'inspect', '-f', '{{.Id}}', name])).stdout.trim();
const problems = ({ outcome }: { outcome: { problems: readonly { id: string; reason: string; message: string }[] } }) =>
  outcome.problems.map((p) => `${p.id} ${p.reason}: ${p.message}`);

beforeAll(async () => {
  lab = await startLab({ name: 'gentle', infra: 'shared', hosts: [{ name: 'ours' }] });
  host = lab.host('ours');
  await host.sh('mkdir -p /srv/out');
  engine = await engineOn(host, { rollback: true });
  staying = await engineOn(host);
});
afterAll(async () => {
  engine?.close();
  staying?.close();
  await lab?.stop();
});
afterEach(async () => {
  await host.sh('rm -f /srv/out/*; docker ps -aq | xargs -r docker rm -f');
});

describe('the old container', () => {
  test('is kept, stopped, until the new one has settled, and then removed', async () => {
    await engine.apply(web(image(1), HEALTHY));
    const slow = HEALTHY.replace('http://127.0.0.1:8080/', 'http://127.0.0.1:8080/ready');
    const change = engine.apply(web(image(2), slow, 'environment: {A: b}'));
    await until('the old one to be set aside', 120_000, async () =>
      (await names()).join().includes('shop-web-1 running,shop-web-1-fairlead-old exited'),
    );
    await host.exec(['docker', 'exec', 'shop-web-1', '/bin/busybox', 'touch', '/www/ready']);
    expect(problems(await change)).toEqual([]);
    expect(await names()).toEqual(['shop-web-1 running']);
    expect((await engine.again()).outcome.actions).toEqual([]);
  });

  test.each([
    ['crashes', [image(2), CRASH, 'restart: always'], /last exit code 3; its last lines: no such table|exited \(3\)/],
    [
      'is unhealthy',
      [image(2), 'healthcheck: {test: [CMD, "false"], interval: 200ms, timeout: 1s, retries: 1}'],
      /healthcheck fails/,
    ],
    ['exits', [image(2), CRASH], /exited \(3\); its last lines: no such table/],
  ])(
    'is restored, the same container, if the new one %s and the commit is rolled back',
    async (_what, bad, message) => {
      await engine.apply(web(image(1), HEALTHY));
      const before = await idOf('shop-web-1');
      const result = await engine.apply(web(...bad));
      expect(result.run.sync).toBe('rolled-back');
      expect(result.run.message).toMatch(message);
      expect(await idOf('shop-web-1')).toBe(before);
      expect(await names()).toEqual(['shop-web-1 running']);
      expect(result.outcome.actions.at(-1)?.why.at(-1)?.to).toMatch(/^the one that ran before, [0-9a-f]{12}, is back$/);
      expect((await engine.again()).outcome.actions).toEqual([]);
    },
  );

  test('is restored at once if the new one cannot even start', async () => {
    await staying.apply(web(image(1), HEALTHY));
    const before = await idOf('shop-web-1');
    const failed = await staying.apply(web(image(2), 'command: ["/no/such/program"]'));
    expect(problems(failed)[0]).toMatch(/^service:shop\/web EngineRefused: cannot start a container: .*no such file/);
    expect([await idOf('shop-web-1'), await names()]).toEqual([before, ['shop-web-1 running']]);
  });
});

describe('failure_action', () => {
  const action = (what: string, more = '') => `deploy: {update_config: {failure_action: ${what}${more}}}`;

  test('rollback: the old container is restored, and the change is not tried again until another one is declared', async () => {
    await staying.apply(web(image(1), HEALTHY, action('rollback')));
    const before = await idOf('shop-web-1');
    const failed = await staying.apply(web(image(2), CRASH, action('rollback')));
    expect(problems(failed)).toEqual([
      'service:shop/web Unhealthy: exited (3); its last lines: no such table; what ran before is back',
    ]);
    expect(await idOf('shop-web-1')).toBe(before);
    expect(await names()).toEqual(['shop-web-1 running', 'shop-web-1-fairlead-failed exited']);

    const again = await staying.again();
    expect(again.outcome.actions).toEqual([]);
    expect(problems(again)).toEqual([
      'service:shop/web Unhealthy: the last update was rolled back: exited (3); its last lines: no such table; it is tried again when its declaration changes, or when shop-web-1-fairlead-failed is removed',
    ]);
    // The old container is kept running.
    await host.exec(['docker', 'kill', 'shop-web-1']);
    expect((await staying.again()).outcome.actions.map((a) => [a.op, a.why])).toEqual([
      ['update', [{ field: 'state', from: 'exited (137)', to: 'running' }]],
    ]);
    expect([await idOf('shop-web-1'), (await names())[0]]).toEqual([before, 'shop-web-1 running']);

    const mended = await staying.apply(web(image(3), HEALTHY, action('rollback')));
    expect(problems(mended)).toEqual([]);
    expect(await names()).toEqual(['shop-web-1 running']);
    expect((await staying.again()).outcome.actions).toEqual([]);
  });

  const imagesOf = async () =>
    (await host.sh("docker ps -a --format '{{.Names}} {{.Image}}' | sort")).stdout
      .trim()
      .split('\n')
      .map((line) => line.replace('infra:5000/app:', '').replace('shop-web-', ''));
  test.each([
    ['', ['1 1', '2 1', '3 1']],
    ['pause', ['1 2', '1-fairlead-old 1', '2 1', '3 1']],
    ['rollback', ['1 1', '1-fairlead-failed 2', '2 1', '3 1']],
    ['continue', ['1 2', '1-fairlead-old 1', '2 2', '2-fairlead-old 1', '3 2', '3-fairlead-old 1']],
  ])('`%s` decides about the rest of three containers', async (what, left) => {
    await staying.apply(web(image(1), 'scale: 3', HEALTHY));
    const failed = await staying.apply(web(image(2), 'scale: 3', CRASH, ...(what ? [action(what)] : [])));
    expect(problems(failed)[0]).toMatch(
      /^service:shop\/web Unhealthy: .*shop-web-1 exited \(3\); its last lines: no such table/,
    );
    expect(await imagesOf()).toEqual(left);
  });

  test.each<[string, number, number]>([
    ['rollback', 2, 3],
    ['rollback', 1, 1],
    ['', 1, 3],
  ])(
    '`%s` does not apply if somebody removes new container %i of %i: the next run continues the change',
    async (what, removed, scale) => {
      const slow = HEALTHY.replace('8080/', '8080/ready');
      const keys = [`scale: ${scale}`, ...(what ? [action(what)] : [])];
      await engine.apply(web(image(1), HEALTHY, ...keys));
      const change = engine.apply(web(image(2), slow, ...keys));
      for (let n = 1; n <= removed; n++) {
        await until(`new one ${n}`, 120_000, async () => (await imagesOf()).includes(`${n} 2`));
        if (n < removed) await host.exec(['docker', 'exec', `shop-web-${n}`, '/bin/busybox', 'touch', '/www/ready']);
      }
      await host.exec(['docker', 'rm', '-f', `shop-web-${removed}`]);
      const cut = await change;
      expect(problems(cut)[0]).toMatch(/^service:shop\/web ContainerMissing: /);
      expect(cut.run.sync).toBe('failed');
      expect((await imagesOf()).join()).not.toContain('failed');
      const ready = host.sh(
        'until [ -e /srv/out/well ]; do for n in 1 2 3; do docker exec shop-web-$n /bin/busybox touch /www/ready 2>/dev/null || true; done; sleep 0.1; done',
      );
      const next = await engine.again().finally(() => host.exec(['touch', '/srv/out/well']));
      await ready;
      const all = [1, 2, 3].slice(0, scale).map((n) => `${n} 2`);
      expect([problems(next), next.run.sync, await imagesOf()]).toEqual([[], 'synced', all]);
    },
  );

  test('max_failure_ratio: this share of containers may be unwell', async () => {
    const first =
      'command: ["/bin/busybox", "sh", "-c", "mkdir /out/only || exit 4; exec /bin/busybox httpd -f -p 8080"]';
    const keys = (ratio: number) => [
      ...[image(1), 'scale: 2', 'volumes: ["/srv/out:/out"]', first],
      `deploy: {update_config: {monitor: 500ms, max_failure_ratio: ${ratio}}}`,
    ];
    expect(problems(await staying.apply(web(...keys(0))))[0]).toMatch(/shop-web-\d exited \(4\)/);
    expect(problems(await staying.apply(web(...keys(0.5))))).toEqual([]);
    await host.sh('rmdir /srv/out/only');
  });

  test('parallelism and delay: in groups, with time between them', async () => {
    const update = 'deploy: {update_config: {parallelism: 2, delay: 2s}}';
    await staying.apply(web(image(1), 'scale: 3', HEALTHY, update));
    const since = (await host.sh('date +%s.%N')).stdout.trim();
    expect(problems(await staying.apply(web(image(2), 'scale: 3', HEALTHY, update)))).toEqual([]);
    const { stdout } = await host.sh(
      `docker events --since ${since} --until $(date +%s.%N) --filter type=container --filter event=die --filter event=health_status --format '{{.Actor.Attributes.name}} {{.Action}} {{.TimeNano}}'`,
    );
    const at = (name: string, what: string) =>
      Number(new RegExp(`^shop-web-${name} ${what} (\\d+)$`, 'm').exec(stdout)?.[1] ?? Number.NaN);
    const well = Math.max(at('1', 'health_status: healthy'), at('2', 'health_status: healthy'));
    expect(at('1', 'die')).toBeLessThan(well);
    expect(at('2', 'die')).toBeLessThan(well);
    expect(at('3', 'die') - well).toBeGreaterThanOrEqual(2e9);
  });
});

describe('hooks', () => {
  const hook = (text: string, more = '') => `[{command: ["/bin/busybox", "sh", "-c", "${text}"]${more}}]`;
  const out = async () =>
    (await host.sh('cat /srv/out/log 2>/dev/null || true')).stdout.trim().split('\n').filter(Boolean);
  const hooked = (version: number, ...more: string[]) =>
    web(
      ...[image(version), HEALTHY, 'volumes: ["/srv/out:/out"]'],
      `post_start: ${hook('echo started $$WHO $(/bin/busybox cat /version) $(/bin/busybox pwd) >> /out/log', ', working_dir: /www, environment: {WHO: me}')}`,
      `pre_stop: ${hook('echo stopping $(/bin/busybox cat /version) >> /out/log')}`,
      ...more,
    );

  test('run after a start, and before every stop by fairlead', async () => {
    expect(problems(await staying.apply(hooked(1)))).toEqual([]);
    expect(await out()).toEqual(['started me 1 /www']);
    await staying.apply(hooked(2));
    expect((await out()).slice(1)).toEqual(['stopping 1', 'started me 2 /www']);
    await staying.apply(hooked(2, 'scale: 2'));
    expect((await out()).slice(3)).toEqual(['started me 2 /www']);
    await staying.apply(hooked(2));
    expect((await out()).slice(4)).toEqual(['stopping 2']);
    await host.exec(['docker', 'kill', 'shop-web-1']);
    await staying.again();
    expect((await out()).slice(5)).toEqual(['started me 2 /www']);
    await staying.apply({ 'other/compose.yaml': `services: {x: {${image(3)}}}\n` });
    expect((await out()).slice(6)).toEqual(['stopping 2']);
    expect((await names()).filter((name) => name.startsWith('shop'))).toEqual([]);
  });

  test('a restart runs both', async () => {
    const { 'shop/compose.yaml': text } = hooked(1, 'configs: [c]');
    const withConfig = (content: string) => ({
      'shop/compose.yaml': `${text}configs: {c: {file: ./c.conf}}\n`,
      'shop/c.conf': content,
    });
    await staying.apply(withConfig('one'));
    const result = await staying.apply(withConfig('two'));
    expect(done(result).at(-1)).toBe('refresh service:shop/web done');
    expect(await out()).toEqual(['started me 1 /www', 'stopping 1', 'started me 1 /www']);
  });

  test('a changed healthcheck is reported in durations as Compose writes them', async () => {
    const slow = (timeout: string) => HEALTHY.replace('retries: 2', `retries: 2, timeout: ${timeout}`);
    await staying.apply(web(image(1), slow('5s')));
    const changed = await staying.apply(web(image(1), slow('90s').replace('20s', '1m')));
    expect(whyOf(changed, 'service:shop/web')).toEqual([
      { field: 'healthcheck.timeout', from: '5s', to: '1m30s' },
      { field: 'healthcheck.start_period', from: '20s', to: '1m0s' },
    ]);
    const gone = await staying.apply(web(image(1), 'deploy: {update_config: {monitor: 1s}}'));
    expect(whyOf(gone, 'service:shop/web')[0]).toMatchObject({
      field: 'healthcheck',
      from: expect.stringMatching(/"Timeout":"1m30s"/),
    });
  });

  test('a changed hook recreates the container, and is named as the reason', async () => {
    await staying.apply(hooked(1));
    const result = await staying.apply({
      'shop/compose.yaml': hooked(1)['shop/compose.yaml'].replace('echo stopping', 'echo going'),
    });
    expect(whyOf(result, 'service:shop/web').map((r) => r.field)).toEqual(['pre_stop']);
    expect((await out())[1]).toBe('stopping 1');
  });

  test('post_start that fails is a failed resource with its output, and the old container is restored', async () => {
    await staying.apply(web(image(1), HEALTHY));
    const before = await idOf('shop-web-1');
    const failed = await staying.apply(web(image(2), HEALTHY, `post_start: ${hook('echo no way; exit 7')}`));
    expect(problems(failed)[0]).toMatch(
      /^service:shop\/web HookFailed: post_start\[0\] \(.*\) ended with exit code 7: no way$/,
    );
    expect([await idOf('shop-web-1'), await names()]).toEqual([before, ['shop-web-1 running']]);
  });

  test('pre_stop that fails is reported, and prevents no stop', async () => {
    await staying.apply(web(image(1), HEALTHY, `pre_stop: ${hook('echo busy; exit 5')}`));
    const result = await staying.apply(web(image(2), HEALTHY));
    expect(problems(result)).toEqual([]);
    expect(whyOf(result, 'service:shop/web').at(-1)).toMatchObject({
      field: 'pre_stop[0]',
      to: expect.stringMatching(/ended with exit code 5: busy in shop-web-1$/),
    });
  });

  test('run as root in a container with another user, if the hook says so', async () => {
    const files = web(
      ...[image(1), HEALTHY, 'user: "65534"', 'volumes: ["/srv/out:/out"]'],
      `post_start: ${hook('/bin/busybox id -u > /out/log', ', user: "0", privileged: true')}`,
    );
    expect(problems(await staying.apply(files))).toEqual([]);
    expect(await out()).toEqual(['0']);
  });
});
