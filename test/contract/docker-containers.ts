/** The contract for containers: their life cycle, names, ports, health, commands, events. */
import { expect, test } from 'vitest';
import type { DockerEvent } from '../../agent/system/docker/events.ts';
import { type DockerTools, shell, silent } from './docker-tools.ts';

/** Longer than a command takes on a busy machine. */
const LONG_MS = 60_000;

export function containerPromises(on: DockerTools): void {
  const { made, started, look, listed, becomes, refused } = on;

  test('a container is created, started, stopped, started again and removed', async () => {
    const id = await made('t-life', { Labels: { who: 'me' } });
    expect(await look(id)).toMatchObject({
      ...{ Id: id, Name: '/t-life', Config: { Image: on.subject.image, Labels: { who: 'me' } } },
      State: { Status: 'created', Running: false, Pid: 0, ExitCode: 0 },
    });
    expect(Date.parse((await look(id)).State.StartedAt)).toBeLessThan(0);
    expect(await listed(id)).toMatchObject({ Names: ['/t-life'], State: 'created', Image: on.subject.image });
    await on.docker.start(id);
    expect(await look(id)).toMatchObject({ State: { Status: 'running', Running: true, Restarting: false } });
    const first = (await look(id)).State;
    expect(first.Pid).toBeGreaterThan(0);
    expect(Date.parse(first.StartedAt)).toBeGreaterThan(0);
    await on.docker.stop(id, 0);
    expect(await look(id)).toMatchObject({ State: { Status: 'exited', Running: false, Pid: 0, ExitCode: 137 } });
    await on.docker.start(id);
    await on.docker.restart(id, 0);
    expect((await look(id)).State).toMatchObject({ Status: 'running' });
    await on.docker.remove(id, { volumes: true });
    expect(await on.docker.inspect(id)).toBeUndefined();
    expect(await listed(id)).toBeUndefined();
  });

  test('a call whose result already exists is no error', async () => {
    const id = await started('t-twice');
    await on.docker.start(id);
    await on.docker.rename(id, 't-twice');
    await on.docker.stop(id, 0);
    await on.docker.stop(id, 0);
    expect((await look(id)).State.Status).toBe('exited');
  });

  test('a removed container is not found, needs no stop and no removal, and cannot be used', async () => {
    const id = await made('t-gone');
    await on.docker.remove(id, { volumes: true });
    expect(await on.docker.inspect(id)).toBeUndefined();
    await on.docker.stop(id, 0);
    await on.docker.remove(id, { volumes: true });
    await on.docker.rename(id, 't-other');
    await on.docker.disconnect('bridge', id);
    const acts = [
      () => on.docker.start(id),
      () => on.docker.restart(id, 0),
      () => on.docker.update(id, { CpuShares: 512 }),
      () => on.docker.connect('bridge', id, {}),
      () => on.docker.run(id, { Cmd: ['true'] }, 5_000),
    ];
    for (const act of acts) expect(await refused(act())).toMatch(/^ContainerMissing: /);
    expect(await on.docker.logTail(id)).toBe('');
  });

  test('a name is unique', async () => {
    const id = await made('t-name');
    expect(await refused(made('t-name'))).toMatch(/^EngineRefused: .*"\/t-name" is already in use by container/);
    const other = await made('t-name-2');
    expect(await refused(on.docker.rename(other, 't-name'))).toMatch(/^EngineRefused: .*already in use/);
    await on.docker.rename(id, 't-name-1');
    await on.docker.rename(other, 't-name');
    expect((await look(other)).Name).toBe('/t-name');
    expect(await listed(id)).toMatchObject({ Names: ['/t-name-1'] });
  });

  test('a container runs the requested command, or that of its image, with the variables and labels of both', async () => {
    const id = await made('t-config', { Env: ['WORD=mine'], Entrypoint: ['/bin/busybox'], Cmd: ['sleep', '9'] });
    expect((await look(id)).Config).toMatchObject({ Cmd: ['sleep', '9'], Entrypoint: ['/bin/busybox'] });
    expect((await look(id)).Config.Env).toContain('WORD=mine');
    expect((await look(id)).Config.Hostname).toBe(id.slice(0, 12));
    const image = await on.docker.image(on.subject.image);
    const plain = await on.docker.create({ Image: on.subject.image, name: 't-plain' }, silent);
    expect((await look(plain)).Config.Cmd ?? null).toEqual(image?.config.Cmd ?? null);
    expect((await look(plain)).Image).toBe(image?.id);
    const own = await on.docker.create(
      { Image: on.subject.image, name: 't-own', Entrypoint: ['/bin/busybox'] },
      silent,
    );
    expect((await look(own)).Config.Cmd).toBeNull();
  });

  test('a container that ends by itself reports its exit; a restart policy restarts it', async () => {
    const done = await started('t-done', { Cmd: shell('echo word; exit 3') });
    await becomes(done, 'done', (c) => c.State.Status === 'exited');
    expect((await look(done)).State).toMatchObject({ ExitCode: 3, Running: false });
    expect(await on.docker.logTail(done)).toBe('word');
    const again = await started('t-again', {
      Cmd: shell('exit 4'),
      HostConfig: { RestartPolicy: { Name: 'always', MaximumRetryCount: 0 } },
    });
    // In one observation: a moment later it runs again.
    await becomes(again, 'restarting', ({ State: { Restarting, Status, Running, ExitCode } }) => {
      return Restarting && Status === 'restarting' && Running && ExitCode === 4;
    });
    await on.docker.stop(again, 0);
    expect((await look(again)).State).toMatchObject({ Status: 'exited', Restarting: false });
    const twice = await started('t-retry', {
      Cmd: shell('exit 5'),
      HostConfig: { RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 1 } },
    });
    await becomes(twice, 'given up', (c) => c.State.Status === 'exited');
    expect((await look(twice)).RestartCount).toBe(1);
    const zero = await started('t-zero', {
      Cmd: shell('exit 0'),
      HostConfig: { RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 0 } },
    });
    await becomes(zero, 'done', (c) => c.State.Status === 'exited');
  });

  test('a signal reaches the first process; a container that does not run gets none', async () => {
    const id = await started('t-signal');
    expect(await refused(on.docker.signal(id, 'NONE'))).toMatch(/^EngineRefused: .*invalid signal/i);
    await on.docker.signal(id, 'HUP');
    expect((await look(id)).State.Running).toBe(true);
    await on.docker.signal(id, 'SIGKILL');
    await becomes(id, 'killed', (c) => c.State.Status === 'exited');
    expect((await look(id)).State.ExitCode).toBe(137);
    await on.docker.signal(id, 'HUP');
  });

  test('a healthcheck begins with `starting`, and reports its output', async () => {
    const every = { Interval: 1e9, Timeout: 30e9, Retries: 1 };
    // Its first probe is an hour away: an observation a second after the start would find it healthy.
    const young = await started('t-young', {
      Healthcheck: { Test: ['CMD', '/bin/busybox', 'true'], ...every, Interval: 3600e9 },
    });
    expect((await look(young)).State.Health?.Status).toBe('starting');
    const well = await started('t-well', { Healthcheck: { Test: ['CMD', '/bin/busybox', 'true'], ...every } });
    await becomes(well, 'healthy', (c) => c.State.Health?.Status === 'healthy');
    expect((await listed(well))?.Status).toContain('(healthy)');
    const unwell = await started('t-unwell', { Healthcheck: { Test: ['CMD', '/bin/busybox', 'false'], ...every } });
    await becomes(unwell, 'unhealthy', (c) => c.State.Health?.Status === 'unhealthy');
    const none = await started('t-none', { Healthcheck: { Test: ['NONE'] } });
    expect((await look(none)).State.Health?.Status ?? 'none').toBe('none');
  });

  const onPort = (port: string) => ({
    ExposedPorts: { '80/tcp': {} },
    HostConfig: { NetworkMode: 'bridge', PortBindings: { '80/tcp': [{ HostIp: '127.0.0.1', HostPort: port }] } },
  });
  test('a port of the host is bound at the start, and by one container only', async () => {
    const first = await started('t-port-1', onPort('18080'));
    expect((await look(first)).NetworkSettings.Ports['80/tcp']).toEqual([{ HostIp: '127.0.0.1', HostPort: '18080' }]);
    expect((await listed(first))?.Ports).toContainEqual({
      ...{ IP: '127.0.0.1', PrivatePort: 80, PublicPort: 18080, Type: 'tcp' },
    });
    const second = await made('t-port-2', onPort('18080'));
    expect(await refused(on.docker.start(second))).toMatch(/^PortInUse: .*18080/);
    expect((await look(second)).State).toMatchObject({ Status: 'created', Running: false });
    await on.docker.stop(first, 0);
    await on.docker.start(second);
    expect((await look(second)).State.Running).toBe(true);
    expect(await refused(on.docker.start(first))).toMatch(/^PortInUse: /);
  });

  test('a command is executed in a running container, and its exit code is returned', async () => {
    const id = await started('t-exec');
    expect(await on.docker.run(id, { Cmd: shell('echo out; exit 2') }, LONG_MS)).toEqual({
      exitCode: 2,
      output: 'out',
    });
    expect(await on.docker.run(id, { Cmd: ['/bin/busybox', 'true'] }, LONG_MS)).toEqual({ exitCode: 0, output: '' });
    await on.docker.stop(id, 0);
    expect(await refused(on.docker.run(id, { Cmd: ['/bin/busybox', 'true'] }, 5_000))).toMatch(
      /^EngineRefused: .*not running/,
    );
  });

  test('limits and restart policy can be changed while it runs', async () => {
    const id = await started('t-update');
    await on.docker.update(id, { CpuShares: 512, RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 2 } });
    expect((await look(id)).HostConfig).toMatchObject({
      CpuShares: 512,
      RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 2 },
    });
  });

  test('the list is the same object while nothing changed', async () => {
    const id = await made('t-list');
    const before = await on.docker.containers();
    expect(await on.docker.containers()).toBe(before);
    await on.docker.rename(id, 't-list-2');
    expect(await on.docker.containers()).not.toBe(before);
  });

  test('events name the action and the object', async () => {
    const heard: DockerEvent[] = [];
    const ended = new AbortController();
    const filters = {
      type: ['container', 'network'],
      event: ['create', 'start', 'stop', 'die', 'destroy', 'rename', 'connect', 'disconnect'],
    };
    await on.subject.events.follow(
      { filters, event: (e) => heard.push(e), gap: silent, listening: silent },
      ended.signal,
    );
    try {
      const id = await started('t-events', { Labels: { who: 'me' }, HostConfig: { NetworkMode: 'bridge' } });
      await on.docker.rename(id, 't-events-2');
      await on.docker.stop(id, 0);
      await on.docker.remove(id, { volumes: true });
      const of = () =>
        heard
          .filter((e) => e.Actor.ID === id || e.Actor.Attributes.container === id)
          .map((e) => `${e.Type} ${e.Action}`);
      await on.subject.until('the last event', async () => of().includes('container destroy'));
      const actions = of().flatMap((e) => (e.startsWith('container ') ? [e.slice('container '.length)] : []));
      expect(actions.slice(0, 3)).toEqual(['create', 'start', 'rename']);
      // The order of these two events is up to the Docker engine.
      expect(actions.slice(3, 5).sort()).toEqual(['die', 'stop']);
      expect(actions.slice(5)).toEqual(['destroy']);
      expect(of().filter((e) => e.startsWith('network'))).toEqual(['network connect', 'network disconnect']);
      const rename = heard.find((e) => e.Actor.ID === id && e.Action === 'rename')?.Actor.Attributes;
      expect(rename).toMatchObject({ name: 't-events-2', oldName: '/t-events', who: 'me' });
      const connect = heard.find((e) => e.Action === 'connect' && e.Actor.Attributes.container === id);
      expect(connect?.Actor.Attributes).toMatchObject({ name: 'bridge' });
    } finally {
      ended.abort();
    }
  });
}
