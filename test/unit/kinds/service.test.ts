/** Services on a Docker engine in memory: what is found there, and what is done about it. */
import { describe, expect, test } from 'vitest';
import { HASH, PROJECT, SERVICE } from '../../../agent/kinds/docker/labels.ts';
import { done, whyOf } from '../../reconciler.ts';
import { problems, stack, stackHost, WELL } from './stack-host.ts';

const on = stackHost();

describe('containers that exist before a service', () => {
  test('a foreign container with its name is left alone, and reported', async () => {
    await on.strangers('shop-web-1');
    expect(problems(await on.engine.apply(stack()))).toEqual([
      expect.stringMatching(/^service:shop\/web NameConflict: .*shop-web-1 is taken by .*left alone/),
    ]);
    expect(on.names()).toEqual(['shop-web-1 running']);
    await on.host.engine.docker.remove('shop-web-1', { volumes: true });
    expect(problems(await on.engine.again())).toEqual([]);
    expect(on.only('shop-web-1').config.Labels[HASH]).toBeDefined();
  });

  test('a differing container with the labels of its service is held, and adopted if that is requested', async () => {
    const labels = { [PROJECT]: 'shop', [SERVICE]: 'web', 'com.docker.compose.container-number': '1' };
    await on.strangers('shop-web-1', { Labels: labels, Env: ['WORD=theirs'] });
    const result = await on.engine.apply(stack('environment: {WORD: ours}'));
    expect(done(result)).not.toContain('replace service:shop/web done');
    expect(on.only('shop-web-1').config.Env).toContain('WORD=theirs');
    const adopted = await on.engine.again({ adopt: true });
    expect(problems(adopted)).toEqual([]);
    expect(on.only('shop-web-1').config.Env).toContain('WORD=ours');
    expect(on.names()).toEqual(['shop-web-1 running']);
  });

  test('a container equal to that of docker compose is adopted without a restart', async () => {
    await on.engine.apply(stack());
    const { id } = on.only('shop-web-1');
    on.forget();
    expect(done(await on.engine.apply(stack()))).toEqual([]);
    expect(on.only('shop-web-1').id).toBe(id);
  });

  test('containers of `docker compose run` and of hooks of docker compose do not belong to it', async () => {
    await on.engine.apply(stack());
    const labels = { [PROJECT]: 'shop', [SERVICE]: 'web' };
    await on.strangers('shop-web-run-1', { Labels: { ...labels, 'com.docker.compose.oneoff': 'True' } });
    await on.strangers('shop-web-hook', { Labels: { ...labels, 'com.docker.compose.hook': 'pre_start' } });
    expect(done(await on.engine.again())).toEqual([]);
    expect(on.names()).toHaveLength(3);
  });

  test.each([
    ['set aside, with a successor that is well', 'shop-web-1-fairlead-old', 'exited'],
    ['not finished', 'shop-web-1-fairlead-new', 'created'],
    ['given up', 'shop-web-1-fairlead-failed', 'exited'],
  ])('a leftover that was %s is removed', async (_, name, status) => {
    await on.engine.apply(stack());
    const { config } = on.only('shop-web-1');
    await on.strangers(name, { Labels: { ...config.Labels, [HASH]: 'v1:other' } }, status === 'exited');
    if (status === 'exited') await on.host.engine.docker.stop(name, 0);
    const result = await on.engine.again();
    expect(whyOf(result, 'service:shop/web')).toEqual([
      { field: 'container', from: name, to: 'removed: left behind by a change' },
    ]);
    expect(on.names()).toEqual(['shop-web-1 running']);
  });

  test('a container that was set aside is restored if it is the only one', async () => {
    await on.engine.apply(stack());
    const { id } = on.only('shop-web-1');
    await on.host.engine.docker.stop(id, 0);
    await on.host.engine.docker.rename(id, 'shop-web-1-fairlead-old');
    expect(problems(await on.engine.again())).toEqual([]);
    expect(on.only('shop-web-1')).toMatchObject({ id, status: 'running' });
  });
});

describe('ports', () => {
  test('that another container has are reported with its name; the previous container runs again', async () => {
    const taken = { '80/tcp': [{ HostIp: '', HostPort: '8080' }] };
    await on.strangers('proxy', { HostConfig: { PortBindings: taken } });
    expect(problems(await on.engine.apply(stack('ports: ["8080:80"]')))).toEqual([
      expect.stringMatching(/^service:shop\/web PortInUse: .*container proxy \(app:1\) has it/),
    ]);
    expect(on.names()).toEqual(['proxy running']);
    await on.engine.apply(stack('ports: ["8081:80"]'));
    const { id } = on.only('shop-web-1');
    await on.engine.apply(stack('ports: ["8080:80"]'));
    expect(on.only('shop-web-1')).toMatchObject({ id, status: 'running' });
    await on.host.engine.docker.remove('proxy', { volumes: true });
    expect(problems(await on.engine.again())).toEqual([]);
    expect(on.only('shop-web-1').ports.map((p) => p.port)).toEqual([8080]);
  });

  test('that a program of the host has are reported as such', async () => {
    on.host.engine.hostPorts.add('tcp/8080');
    expect(problems(await on.engine.apply(stack('ports: ["8080:80"]')))).toEqual([
      expect.stringMatching(/PortInUse: .*a program of the host has it/),
    ]);
  });

  test('order: start-first is not used if both containers would publish the same port', async () => {
    const keys = (word: string) =>
      `ports: ["8080:80"], environment: {W: ${word}}, deploy: {update_config: {order: start-first}}`;
    await on.engine.apply(stack(keys('a')));
    const why = whyOf(await on.engine.apply(stack(keys('b'))), 'service:shop/web');
    expect(why).toContainEqual({
      ...{ field: 'order', from: 'start-first', to: 'stop-first: two containers cannot both publish port 8080' },
    });
  });
});

describe('a service that depends on another', () => {
  const two = (condition: string, db: string) => ({
    'shop/compose.yaml': `services:
  db: {image: "app:1", ${db}}
  web: {image: "app:1", ${WELL}, depends_on: {db: {condition: ${condition}}}}
`,
  });

  test('waits until that is healthy, or has completed', async () => {
    expect(problems(await on.engine.apply(two('service_healthy', WELL)))).toEqual([]);
    expect(on.only('shop-web-1').startedAt).toBeGreaterThan(on.only('shop-db-1').startedAt ?? Number.POSITIVE_INFINITY);
    const job = 'command: ["sh", "-c", "sleep 3; exit 0"]';
    expect(problems(await on.engine.apply(two('service_completed_successfully', job)))).toEqual([]);
    expect(on.names()).toEqual(['shop-db-1 exited', 'shop-web-1 running']);
  });

  test('is not started if that fails', async () => {
    const failed = await on.engine.apply(two('service_completed_successfully', 'command: ["sh", "-c", "exit 2"]'));
    expect(problems(failed).join()).toMatch(/service:shop\/web DependencyNotReady: db did not become completed/);
    expect(on.names()).toEqual(['shop-db-1 exited']);
  });
});

describe('hooks', () => {
  test('a failed pre_start hook: the new container is not started, the previous one keeps running', async () => {
    await on.engine.apply(stack());
    const { id } = on.only('shop-web-1');
    const failing = 'pre_start: [{image: "tool:1", command: ["sh", "-c", "echo no; exit 3"]}]';
    const result = await on.engine.apply(stack(`${failing}, environment: {W: b}`));
    expect(problems(result).join()).toMatch(/HookFailed: pre_start\[0\] .* exit code 3: no/);
    expect(on.only('shop-web-1')).toMatchObject({ id, status: 'running' });
    expect(on.names()).toEqual(['shop-web-1 running']);
  });

  test('a failed post_start hook: the new container is removed', async () => {
    await on.engine.apply(stack());
    const { id } = on.only('shop-web-1');
    const result = await on.engine.apply(stack('post_start: [{command: ["false"]}], environment: {W: b}'));
    expect(problems(result).join()).toMatch(/HookFailed: post_start\[0\] \(false\) ended with exit code 1/);
    expect(on.only('shop-web-1')).toMatchObject({ id, status: 'running' });
  });

  test('a failed pre_stop hook is reported, and the stop continues', async () => {
    await on.engine.apply(stack('pre_stop: [{command: ["false"]}]'));
    const result = await on.engine.apply(stack('environment: {W: b}'));
    expect(problems(result)).toEqual([]);
    expect(whyOf(result, 'service:shop/web')).toContainEqual(expect.objectContaining({ field: 'pre_stop[0]' }));
    expect(on.only('shop-web-1').config.Env).toContain('W=b');
  });

  test('a hook that never ends is aborted after five minutes', async () => {
    const began = on.host.clock.monotonic();
    const result = await on.engine.apply(stack('post_start: [{command: ["wait-for-ever"]}]'));
    expect(problems(result).join()).toMatch(/HookFailed: .*did not end within 300 s/);
    expect(on.host.clock.monotonic() - began).toBeGreaterThanOrEqual(300_000);
  });
});

describe('a killed, changed or renamed container', () => {
  test('is started, changed back or renamed, without another container', async () => {
    await on.engine.apply(stack('mem_limit: 64m, restart: always'));
    const { id } = on.only('shop-web-1');
    const { docker } = on.host.engine;
    const acts: [what: string, act: () => Promise<unknown>, field: string][] = [
      ['killed', () => docker.stop(id, 0), 'state'],
      ['renamed', () => docker.rename(id, 'another'), 'container_name'],
      ['updated', () => docker.update(id, { Memory: 2 ** 27 }), 'mem_limit'],
      ['its policy', () => docker.update(id, { RestartPolicy: { Name: 'no', MaximumRetryCount: 0 } }), 'restart'],
      ['off its network', () => docker.disconnect('shop_default', id), 'networks'],
    ];
    for (const [what, act, field] of acts) {
      await act();
      expect(
        whyOf(await on.engine.again(), 'service:shop/web').map((r) => r.field),
        what,
      ).toContain(field);
      expect(on.only('shop-web-1'), what).toMatchObject({ id, status: 'running' });
      expect(done(await on.engine.again()), what).toEqual([]);
    }
  });

  test('while the Docker engine is away nothing is reported as missing', async () => {
    await on.engine.apply(stack());
    on.host.engine.goAway();
    expect(problems(await on.engine.again()).join()).toMatch(/EngineUnreachable/);
    on.host.engine.comeBack();
    expect(problems(await on.engine.again())).toEqual([]);
    expect(on.names()).toEqual(['shop-web-1 running']);
  });
});
