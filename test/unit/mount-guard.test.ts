/** Mounts are checked before the Docker engine follows their links. */
import { expect, test } from 'vitest';
import type { ServiceSpec } from '../../agent/compose/stack/model.ts';
import type { Desired } from '../../agent/core/types.ts';
import { guarded } from '../../agent/kinds/docker/guarded.ts';
import { createServiceProvider, type ServiceProviderOptions } from '../../agent/kinds/service/provider.ts';
import type { Docker } from '../../agent/system/docker/types.ts';

interface Calls {
  checked: string[];
  exposed: string[];
  engine: string[];
}

function given(parts: Partial<Docker> = {}, refused: readonly string[] = []): { docker: Docker; calls: Calls } {
  const calls: Calls = { checked: [], exposed: [], engine: [] };
  const note =
    <T>(what: string, answer: T) =>
    async () => {
      calls.engine.push(what);
      return answer;
    };
  const engine = {
    create: note('create', 'id'),
    start: note('start', undefined),
    restart: note('restart', undefined),
    createVolume: note('createVolume', undefined),
    ...parts,
  } as unknown as Docker;
  const files = {
    checkSource(source: string) {
      calls.checked.push(source);
      if (refused.includes(source)) throw new Error(`refused ${source}`);
    },
  };
  const exposures = { add: (paths: Iterable<string>) => void calls.exposed.push(...paths) };
  return { docker: guarded(engine, { files, exposures }), calls };
}

const HOST_CONFIG = {
  Binds: ['/srv/a:/a', '/srv/b:/b:ro', 'named:/c', '/srv/d:/d:rw,z'],
  Mounts: [
    { Type: 'bind' as const, Source: '/srv/e', Target: '/e' },
    { Type: 'bind' as const, Source: '/srv/f', Target: '/f', ReadOnly: true },
    { Type: 'volume' as const, Source: 'named', Target: '/g' },
  ],
};

test('every bind source is walked before a container is created; the writable ones are remembered as exposed', async () => {
  const { docker, calls } = given();
  await docker.create({ HostConfig: HOST_CONFIG }, () => undefined);
  expect(calls).toEqual({
    checked: ['/srv/a', '/srv/b', '/srv/d', '/srv/e', '/srv/f'],
    exposed: ['/srv/a', '/srv/d', '/srv/e'],
    engine: ['create'],
  });
});

test('a bind source that leads elsewhere is never passed to the Docker engine', async () => {
  const { docker, calls } = given({}, ['/srv/b']);
  await expect(docker.create({ HostConfig: HOST_CONFIG }, () => undefined)).rejects.toThrow('refused /srv/b');
  expect(calls.engine).toEqual([]);
});

test.each(['start', 'restart'] as const)('a container is checked again before %s', async (verb) => {
  const inspect = async () => ({ HostConfig: { Binds: ['/srv/a:/a'] } });
  const { docker, calls } = given({ inspect: inspect as never }, ['/srv/a']);
  await expect(docker[verb]('id', null)).rejects.toThrow('refused /srv/a');
  expect(calls.engine).toEqual([]);
});

test('writable mounts of foreign containers are exposed as well, and so is the directory of volumes', async () => {
  const mounts = [
    { Type: 'bind', Source: '/srv/a', Destination: '/a', RW: true },
    { Type: 'bind', Source: '/srv/b', Destination: '/b', RW: false },
    { Type: 'volume', Name: 'v', Source: '/data/docker/volumes/v/_data', Destination: '/v', RW: true },
    { Type: 'tmpfs', Source: '', Destination: '/t', RW: true },
  ];
  const list = [{ Id: 'x', Mounts: mounts }];
  const { docker, calls } = given({ containers: (async () => list) as never });
  await docker.containers();
  await docker.containers();
  expect(calls.exposed).toEqual(['/srv/a', '/data/docker/volumes']);
});

test('a volume that is a bind mount is walked and remembered', async () => {
  const { docker, calls } = given();
  await docker.createVolume({ Name: 'v', DriverOpts: { type: 'none', o: 'rw,bind', device: '/srv/a' } });
  await docker.createVolume({ Name: 'w', DriverOpts: { type: 'nfs', o: 'addr=x', device: ':/srv/b' } });
  expect(calls).toEqual({ checked: ['/srv/a'], exposed: ['/srv/a'], engine: ['createVolume', 'createVolume'] });
});

test('an overlay volume is walked and remembered as well, and its lower layers are read-only', async () => {
  const { docker, calls } = given();
  const o = 'lowerdir=/srv/a:/srv/b,upperdir=/srv/c,workdir=/srv/d,index=off';
  await docker.createVolume({ Name: 'v', DriverOpts: { type: 'overlay', o, device: 'overlay' } });
  expect(calls).toMatchObject({
    checked: ['/srv/a', '/srv/b', '/srv/c', '/srv/d'],
    exposed: ['/srv/c', '/srv/d'],
  });
});

test('mounts that a service declares as writable are exposed before the Docker engine is asked, and while it is away', async () => {
  const exposed: string[] = [];
  const away = async () => {
    throw new Error('the Docker engine is away');
  };
  const provider = createServiceProvider({
    docker: { containers: away } as unknown as Docker,
    directories: {},
    exposures: { add: (paths: Iterable<string>) => void exposed.push(...paths) },
  } as unknown as ServiceProviderOptions);
  const mounts = [
    { type: 'bind', source: '/srv/a', readOnly: false },
    { type: 'bind', source: '/srv/b', readOnly: true },
    { type: 'volume', source: 'v', readOnly: false },
  ];
  const want = { id: 'service:p/s', spec: { mounts } } as unknown as Desired<ServiceSpec>;
  const looking = provider.observe([want.id], new AbortController().signal, new Map([[want.id, want]]));
  await expect(looking).rejects.toThrow('away');
  expect(exposed).toEqual(['/srv/a']);
});
