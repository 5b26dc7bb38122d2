/** What the driver of a Docker engine promises those who use it, whether a real engine is behind it or one in memory. */
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { AgentError } from '../../agent/errors.ts';
import type { ContainerInfo, ContainerRequest, Docker } from '../../agent/system/docker.ts';
import type { DockerEvent, DockerEvents } from '../../agent/system/docker-events.ts';

export interface DockerSubject {
  docker: Docker;
  events: DockerEvents;
  /** A busybox that waits for requests, on the host already; its command is its own. */
  image: string;
  /** Of the same registry, and nowhere. */
  missingImage: string;
  until(what: string, condition: () => Promise<boolean>): Promise<unknown>;
}

const silent = () => undefined;
const nobody = new AbortController().signal;
const WAITING = ['/bin/busybox', 'sleep', '1000'];
const shell = (script: string) => ['/bin/busybox', 'sh', '-c', script];

/** @param make called once */
export function dockerContract(name: string, make: () => Promise<DockerSubject>): void {
  let subject: DockerSubject;
  let docker: Docker;

  describe(name, () => {
    beforeAll(async () => {
      subject = await make();
      docker = subject.docker;
    });
    afterEach(async () => {
      for (const { Id, Names } of await docker.containers())
        if (Names.some((n) => n.startsWith('/t-'))) await docker.remove(Id, { volumes: true });
      for (const { Id, Name } of await docker.networks()) if (Name.startsWith('t-')) await docker.removeNetwork(Id);
      for (const { Name } of await docker.volumes()) if (Name.startsWith('t-')) await docker.removeVolume(Name);
    });

    const made = (container: string, more: ContainerRequest = {}) =>
      docker.create(
        {
          Image: subject.image,
          Cmd: WAITING,
          ...more,
          name: container,
          HostConfig: { NetworkMode: 'none', ...more.HostConfig },
        },
        silent,
      );
    const started = async (container: string, more: ContainerRequest = {}) => {
      const id = await made(container, more);
      await docker.start(id);
      return id;
    };
    const look = async (id: string): Promise<ContainerInfo> => {
      const info = await docker.inspect(id);
      if (info === undefined) throw new Error(`${id} is not there`);
      return info;
    };
    const listed = async (id: string) => (await docker.containers()).find((c) => c.Id === id);
    const becomes = (id: string, what: string, holds: (info: ContainerInfo) => boolean) =>
      subject.until(`${id} to be ${what}`, async () => holds(await look(id)));
    /** @returns code and sentence */
    const refused = async (act: Promise<unknown>): Promise<string> => {
      const thrown = await act.then(
        () => new Error('nothing was refused'),
        (error: unknown) => error,
      );
      expect(thrown).toBeInstanceOf(AgentError);
      return `${(thrown as AgentError).code}: ${(thrown as AgentError).message}`;
    };

    test('a container is made, started, stopped, started again and removed', async () => {
      const id = await made('t-life', { Labels: { who: 'me' } });
      expect(await look(id)).toMatchObject({
        ...{ Id: id, Name: '/t-life', Config: { Image: subject.image, Labels: { who: 'me' } } },
        State: { Status: 'created', Running: false, Pid: 0, ExitCode: 0 },
      });
      expect(Date.parse((await look(id)).State.StartedAt)).toBeLessThan(0);
      expect(await listed(id)).toMatchObject({ Names: ['/t-life'], State: 'created', Image: subject.image });
      await docker.start(id);
      expect(await look(id)).toMatchObject({ State: { Status: 'running', Running: true, Restarting: false } });
      const first = (await look(id)).State;
      expect(first.Pid).toBeGreaterThan(0);
      expect(Date.parse(first.StartedAt)).toBeGreaterThan(0);
      await docker.stop(id, 0);
      expect(await look(id)).toMatchObject({ State: { Status: 'exited', Running: false, Pid: 0, ExitCode: 137 } });
      await docker.start(id);
      await docker.restart(id, 0);
      expect((await look(id)).State).toMatchObject({ Status: 'running' });
      await docker.remove(id, { volumes: true });
      expect(await docker.inspect(id)).toBeUndefined();
      expect(await listed(id)).toBeUndefined();
    });

    test('what is as it should be already is no error', async () => {
      const id = await started('t-twice');
      await docker.start(id);
      await docker.rename(id, 't-twice');
      await docker.stop(id, 0);
      await docker.stop(id, 0);
      expect((await look(id)).State.Status).toBe('exited');
    });

    test('what is gone is found by nobody, needs no stop and no removal, and cannot be acted on', async () => {
      const id = await made('t-gone');
      await docker.remove(id, { volumes: true });
      expect(await docker.inspect(id)).toBeUndefined();
      await docker.stop(id, 0);
      await docker.remove(id, { volumes: true });
      await docker.rename(id, 't-other');
      await docker.disconnect('bridge', id);
      const acts = [
        () => docker.start(id),
        () => docker.restart(id, 0),
        () => docker.update(id, { CpuShares: 512 }),
        () => docker.connect('bridge', id, {}),
        () => docker.run(id, { Cmd: ['true'] }, 5_000),
      ];
      for (const act of acts) expect(await refused(act())).toMatch(/^ContainerMissing: /);
      expect(await docker.logTail(id)).toBe('');
    });

    test('a name is given once', async () => {
      const id = await made('t-name');
      expect(await refused(made('t-name'))).toMatch(/^EngineRefused: .*"\/t-name" is already in use by container/);
      const other = await made('t-name-2');
      expect(await refused(docker.rename(other, 't-name'))).toMatch(/^EngineRefused: .*already in use/);
      await docker.rename(id, 't-name-1');
      await docker.rename(other, 't-name');
      expect((await look(other)).Name).toBe('/t-name');
      expect(await listed(id)).toMatchObject({ Names: ['/t-name-1'] });
    });

    test('it runs what it was told to, or what its image says, with the variables and labels of both', async () => {
      const id = await made('t-config', { Env: ['WORD=mine'], Entrypoint: ['/bin/busybox'], Cmd: ['sleep', '9'] });
      expect((await look(id)).Config).toMatchObject({ Cmd: ['sleep', '9'], Entrypoint: ['/bin/busybox'] });
      expect((await look(id)).Config.Env).toContain('WORD=mine');
      expect((await look(id)).Config.Hostname).toBe(id.slice(0, 12));
      const image = await docker.image(subject.image);
      const plain = await docker.create({ Image: subject.image, name: 't-plain' }, silent);
      expect((await look(plain)).Config.Cmd ?? null).toEqual(image?.config.Cmd ?? null);
      expect((await look(plain)).Image).toBe(image?.id);
      const own = await docker.create({ Image: subject.image, name: 't-own', Entrypoint: ['/bin/busybox'] }, silent);
      expect((await look(own)).Config.Cmd).toBeNull();
    });

    test('what ends by itself says how; a restart policy starts it again', async () => {
      const done = await started('t-done', { Cmd: shell('echo word; exit 3') });
      await becomes(done, 'done', (c) => c.State.Status === 'exited');
      expect((await look(done)).State).toMatchObject({ ExitCode: 3, Running: false });
      expect(await docker.logTail(done)).toBe('word');
      const again = await started('t-again', {
        Cmd: shell('exit 4'),
        HostConfig: { RestartPolicy: { Name: 'always', MaximumRetryCount: 0 } },
      });
      await becomes(again, 'restarting', (c) => c.State.Restarting);
      expect((await look(again)).State).toMatchObject({ Status: 'restarting', Running: true, ExitCode: 4 });
      await docker.stop(again, 0);
      expect((await look(again)).State).toMatchObject({ Status: 'exited', Restarting: false });
      const twice = await started('t-retry', {
        Cmd: shell('exit 5'),
        HostConfig: { RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 1 } },
      });
      await becomes(twice, 'given up', (c) => c.State.Status === 'exited');
      const zero = await started('t-zero', {
        Cmd: shell('exit 0'),
        HostConfig: { RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 0 } },
      });
      await becomes(zero, 'done', (c) => c.State.Status === 'exited');
    });

    test('a healthcheck begins with `starting`, and says what it found', async () => {
      const every = { Interval: 1e9, Timeout: 2e9, Retries: 1 };
      const well = await started('t-well', { Healthcheck: { Test: ['CMD', '/bin/busybox', 'true'], ...every } });
      expect((await look(well)).State.Health?.Status).toBe('starting');
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
    test('a port of the host is taken at the start, and by one alone', async () => {
      const first = await started('t-port-1', onPort('18080'));
      expect((await look(first)).NetworkSettings.Ports['80/tcp']).toEqual([{ HostIp: '127.0.0.1', HostPort: '18080' }]);
      expect((await listed(first))?.Ports).toContainEqual({
        ...{ IP: '127.0.0.1', PrivatePort: 80, PublicPort: 18080, Type: 'tcp' },
      });
      const second = await made('t-port-2', onPort('18080'));
      expect(await refused(docker.start(second))).toMatch(/^PortInUse: .*18080/);
      expect((await look(second)).State).toMatchObject({ Status: 'created', Running: false });
      await docker.stop(first, 0);
      await docker.start(second);
      expect((await look(second)).State.Running).toBe(true);
      expect(await refused(docker.start(first))).toMatch(/^PortInUse: /);
    });

    test('an image that is nowhere makes no container', async () => {
      expect(await docker.image(subject.missingImage)).toBeUndefined();
      expect(await refused(made('t-noimage', { Image: subject.missingImage }))).toMatch(
        /^EngineRefused: .*No such image/,
      );
      const pull = docker.pull(subject.missingImage, { signal: nobody, platform: '', auth: null });
      expect(await refused(pull)).toMatch(/not found|manifest unknown/);
      expect(await docker.removeImage(subject.missingImage)).toBe(false);
    });

    test('an image that is here is known by name and id, pulled again without harm, and kept while it is used', async () => {
      await docker.pull(subject.image, { signal: nobody, platform: '', auth: null });
      const image = await docker.image(subject.image);
      expect(image?.tags).toContain(subject.image);
      expect(await docker.image(image?.id ?? '')).toMatchObject({ id: image?.id, content: image?.content });
      expect(await docker.imageIds()).toContain(image?.id);
      const digest = await docker.registryDigest(subject.image, null);
      expect(image?.digests.some((known) => known.endsWith(`@${digest}`))).toBe(true);
      await started('t-user');
      expect(await docker.removeImage(image?.id ?? '')).toBe(false);
      expect(await docker.image(subject.image)).toBeDefined();
    });

    const network = async (Name: string, Subnet?: string) => {
      await docker.createNetwork({
        Name,
        Labels: { who: 'me' },
        ...(Subnet ? { IPAM: { Config: [{ Subnet }] } as never } : {}),
      });
      const found = (await docker.networks()).find((n) => n.Name === Name);
      if (found === undefined) throw new Error(`network ${Name} is not there`);
      return found;
    };
    test('a network is made once; two do not share a subnet', async () => {
      const made = await network('t-net', '10.199.0.0/24');
      expect(made).toMatchObject({ Driver: 'bridge', Internal: false, Attachable: false, Labels: { who: 'me' } });
      expect(made.IPAM?.Config?.[0]?.Subnet).toBe('10.199.0.0/24');
      expect(await refused(docker.createNetwork({ Name: 't-net', CheckDuplicate: true }))).toMatch(
        /^EngineRefused: .*already exists/,
      );
      expect(await refused(network('t-net-2', '10.199.0.0/16'))).toMatch(/^SubnetInUse: /);
      await docker.removeNetwork(made.Id);
      await docker.removeNetwork(made.Id);
      expect((await docker.networks()).map((n) => n.Name)).not.toContain('t-net');
    });

    test('a network is held by what runs on it, and missed by what does not', async () => {
      const net = await network('t-held');
      const id = await started('t-on', { HostConfig: { NetworkMode: 't-held' } });
      expect((await look(id)).NetworkSettings.Networks['t-held']).toMatchObject({ NetworkID: net.Id });
      expect((await look(id)).NetworkSettings.Networks['t-held']?.IPAddress).not.toBe('');
      expect(await refused(docker.removeNetwork(net.Id))).toMatch(/^EngineRefused: .*active endpoints/);
      await docker.stop(id, 0);
      await docker.removeNetwork(net.Id);
      expect(await refused(docker.start(id))).toMatch(/^EngineRefused: .*not found/);
    });

    test('a container comes to a network and leaves it, running or not', async () => {
      const [one, two] = [await network('t-one'), await network('t-two')];
      const id = await made('t-moves', {
        HostConfig: { NetworkMode: 't-one' },
        NetworkingConfig: { EndpointsConfig: { 't-one': { Aliases: ['web'] } } },
      });
      await docker.connect('t-two', id, { Aliases: ['web', 'other'] });
      expect(Object.keys((await look(id)).NetworkSettings.Networks).sort()).toEqual(['t-one', 't-two']);
      await docker.start(id);
      const networks = (await look(id)).NetworkSettings.Networks;
      expect([networks['t-one']?.NetworkID, networks['t-two']?.NetworkID]).toEqual([one.Id, two.Id]);
      expect(networks['t-one']?.Aliases).toContain('web');
      expect(networks['t-two']?.Aliases).toEqual(expect.arrayContaining(['web', 'other']));
      expect(await refused(docker.connect('t-two', id, {}))).toMatch(/^EngineRefused: .*already exists in network/);
      await docker.disconnect(two.Id, id);
      expect(await refused(docker.disconnect('t-nowhere', id))).toMatch(
        /^EngineRefused: .*is not connected to the network/,
      );
      expect(Object.keys((await look(id)).NetworkSettings.Networks)).toEqual(['t-one']);
      await docker.connect('t-two', id, { Aliases: ['again'] });
      expect((await look(id)).NetworkSettings.Networks['t-two']?.Aliases).toContain('again');
    });

    test('a network that is not there keeps a container from its start', async () => {
      const id = await made('t-nonet', { HostConfig: { NetworkMode: 't-later' } });
      expect(await refused(docker.start(id))).toMatch(/^EngineRefused: .*t-later not found/);
      await network('t-later');
      await docker.start(id);
      expect((await look(id)).State.Running).toBe(true);
    });

    test('one that shares a network needs the other one running', async () => {
      const other = await made('t-other');
      const mode = { HostConfig: { NetworkMode: `container:${other}` } };
      const id = await made('t-shares', mode);
      expect(await refused(docker.start(id))).toMatch(/^EngineRefused: .*non running container/);
      await docker.start(other);
      await docker.start(id);
      await docker.remove(id, { volumes: true });
      await docker.remove(other, { volumes: true });
      expect(await refused(made('t-late', mode).then((late) => docker.start(late)))).toMatch(/No such container/);
    });

    test('a volume that is named stays, one that nobody named goes with its container', async () => {
      const mounts = { Mounts: [{ Type: 'volume', Target: '/a' }] as never, Binds: ['t-data:/data'] };
      const id = await made('t-volumes', { HostConfig: mounts });
      const names = (await look(id)).Mounts.map((m) => m.Name ?? '');
      const anonymous = names.find((volume) => /^[0-9a-f]{64}$/.test(volume)) ?? '';
      expect(names.sort()).toEqual([anonymous, 't-data'].sort());
      expect((await listed(id))?.Mounts.map((m) => m.Name).sort()).toEqual([...names].sort());
      expect(await refused(docker.removeVolume('t-data'))).toMatch(/^EngineRefused: .*in use/);
      const all = async () => (await docker.volumes()).map((v) => v.Name);
      const second = await made('t-volumes-2', { HostConfig: { VolumesFrom: [id] } });
      expect((await look(second)).Mounts.map((m) => m.Name).sort()).toEqual([...names].sort());
      await docker.remove(second, { volumes: true });
      expect(await all()).toContain(anonymous);
      await docker.remove(id, { volumes: false });
      expect(await all()).toContain(anonymous);
      const third = await made('t-volumes-3', { HostConfig: { Binds: [`${anonymous}:/a`] } });
      await docker.remove(third, { volumes: true });
      expect(await all()).toEqual(expect.arrayContaining(['t-data', anonymous]));
      await docker.removeVolume(anonymous);
      expect(await all()).not.toContain(anonymous);
    });

    test('who has a volume from another container does not hold it', async () => {
      const id = await made('t-owner', { HostConfig: { Mounts: [{ Type: 'volume', Target: '/a' }] as never } });
      const [volume = ''] = (await look(id)).Mounts.map((m) => m.Name ?? '');
      await made('t-borrower', { HostConfig: { VolumesFrom: [id] } });
      await docker.remove(id, { volumes: true });
      expect((await docker.volumes()).map((v) => v.Name)).not.toContain(volume);
    });

    test('a volume of the same name is the same volume', async () => {
      await docker.createVolume({ Name: 't-same', Labels: { first: 'yes' } });
      await docker.createVolume({ Name: 't-same', Labels: { second: 'yes' } });
      const [found, ...others] = (await docker.volumes()).filter((v) => v.Name === 't-same');
      expect(found).toMatchObject({ Driver: 'local', Labels: { first: 'yes' } });
      expect(others).toEqual([]);
      await docker.removeVolume('t-same');
      await docker.removeVolume('t-same');
    });

    test('a command is run in what runs, and says how it ended', async () => {
      const id = await started('t-exec');
      expect(await docker.run(id, { Cmd: shell('echo out; exit 2') }, 5_000)).toEqual({ exitCode: 2, output: 'out' });
      expect(await docker.run(id, { Cmd: ['/bin/busybox', 'true'] }, 5_000)).toEqual({ exitCode: 0, output: '' });
      await docker.stop(id, 0);
      expect(await refused(docker.run(id, { Cmd: ['/bin/busybox', 'true'] }, 5_000))).toMatch(
        /^EngineRefused: .*not running/,
      );
    });

    test('limits and restart policy are changed while it runs', async () => {
      const id = await started('t-update');
      await docker.update(id, { CpuShares: 512, RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 2 } });
      expect((await look(id)).HostConfig).toMatchObject({
        CpuShares: 512,
        RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 2 },
      });
    });

    test('the list is the very same one while nothing changed', async () => {
      const id = await made('t-list');
      const before = await docker.containers();
      expect(await docker.containers()).toBe(before);
      await docker.rename(id, 't-list-2');
      expect(await docker.containers()).not.toBe(before);
    });

    test('events tell what was done, and to whom', async () => {
      const heard: DockerEvent[] = [];
      const ended = new AbortController();
      const filters = {
        type: ['container', 'network'],
        event: ['create', 'start', 'stop', 'die', 'destroy', 'rename', 'connect', 'disconnect'],
      };
      await subject.events.follow(
        { filters, event: (e) => heard.push(e), gap: silent, listening: silent },
        ended.signal,
      );
      try {
        const id = await started('t-events', { Labels: { who: 'me' }, HostConfig: { NetworkMode: 'bridge' } });
        await docker.rename(id, 't-events-2');
        await docker.stop(id, 0);
        await docker.remove(id, { volumes: true });
        const of = () =>
          heard
            .filter((e) => e.Actor.ID === id || e.Actor.Attributes.container === id)
            .map((e) => `${e.Type} ${e.Action}`);
        await subject.until('the last event', async () => of().includes('container destroy'));
        const actions = of().flatMap((e) => (e.startsWith('container ') ? [e.slice('container '.length)] : []));
        expect(actions.slice(0, 3)).toEqual(['create', 'start', 'rename']);
        // Which of these two comes first is left to the engine.
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
  });
}
