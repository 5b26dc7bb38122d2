/**
 * Images and power cuts: a pulled image is on the disk before anything uses it, and an image whose pull a power cut interrupted
 * is pulled again completely, even if the Docker engine considers it complete.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Docker } from '../../../agent/system/docker/docker.ts';
import type { Exec } from '../../../agent/system/exec.ts';
import { createFakeHost, type FakeHost, reconcilerOn } from '../../fakes/host.ts';
import { type Mortal, mortal } from '../../fakes/mortal.ts';
import type { Reconciler } from '../../reconciler.ts';
import { problems, WELL } from './stack-host.ts';

/** The engine's driver, and the only program that pulls need besides it. */
interface Driver extends Docker {
  sync(): Promise<void>;
}
const CHANGES: readonly (keyof Driver)[] = ['pull', 'sync', 'removeImage', 'create', 'start'];

let host: FakeHost;
let engine: Reconciler;
let agent: Mortal<Driver>;
/** The calls of the Docker engine, in order. */
let did: string[];
/** An error with which sync(1) fails instead of syncing. */
let brokenDisk: string | null;

function begin(): void {
  did = [];
  brokenDisk = null;
  host = createFakeHost();
  for (const [name, layers] of Object.entries({
    'app:1': ['base', 'one'],
    'app:2': ['base', 'two', 'top'],
    'db:1': ['base', 'db'],
  }))
    host.engine.registry.push(name, { config: { Cmd: ['httpd'] }, layers });
  const real = { ...host.engine.docker, sync: async () => host.engine.sync() };
  agent = mortal(recording(real), CHANGES);
  const exec: Exec = async (argv, options) => {
    if (argv[0] !== 'sync' || !argv.includes('/var/lib/docker')) return host.options.exec(argv, options);
    if (brokenDisk !== null) return { code: 1, stdout: '', stderr: brokenDisk };
    await agent.driver.sync();
    return { code: 0, stdout: '', stderr: '' };
  };
  engine = reconcilerOn({ ...host, options: { ...host.options, docker: agent.driver, exec } });
}
function end(): void {
  engine.close();
  host.end();
}
beforeEach(begin);
afterEach(end);

function recording(driver: Driver): Driver {
  return new Proxy(driver, {
    get(target, name: keyof Driver) {
      const act = target[name] as (...args: unknown[]) => Promise<unknown>;
      if (!CHANGES.includes(name)) return act;
      return (...args: unknown[]) => {
        did.push(typeof args[0] === 'string' && name !== 'start' ? `${name} ${args[0]}` : name);
        return act(...args);
      };
    },
  });
}

const service = (name: string, image: string, keys = '') =>
  `  ${name}: {image: "${image}", restart: always, ${WELL}${keys}}\n`;
const stack = (...services: string[]) => ({ 'shop/compose.yaml': `services:\n${services.join('')}` });
const web = (image: string, keys = '') => stack(service('web', image, keys));
const apply = (files: ReturnType<typeof stack>) => engine.apply(files);
/** The power fails, wherever the agent is, and everything starts again. */
const cutPower = () => {
  host.powerCut();
  engine.restart();
};
/** Name, state and image of each container, and whether the image has empty files. */
const running = () =>
  host.engine
    .containers()
    .map((c) => `${c.name} ${c.status} ${c.config.Image}${host.engine.broken().includes(c.name) ? ', broken' : ''}`)
    .sort();
const WEB = (image: string) => [`shop-web-1 running ${image}`];
const open = () => engine.store.records.get('pulls');
const fetched = () => host.engine.registry.fetched;

describe('a pulled image', () => {
  test('is synced once, after all pulls and before the first container', async () => {
    expect(problems(await apply(stack(service('web', 'app:1'), service('db', 'db:1'))))).toEqual([]);
    expect(did.slice(0, 2).sort()).toEqual(['pull app:1', 'pull db:1']);
    expect(did.indexOf('sync')).toBe(2);
    expect(did.lastIndexOf('sync')).toBe(2);
    expect(open()).toBeUndefined();
  });

  test('is recorded before its pull', async () => {
    await agent.live(1, 'before', () => apply(web('app:1')));
    engine.restart();
    expect(open()).toMatchObject([{ pulls: [{ image: 'app:1', platform: '' }] }]);
  });

  test('is not synced if nothing was pulled', async () => {
    await apply(web('app:1', ', pull_policy: always'));
    did = [];
    host.engine.registry.push('app:1', { config: { Cmd: ['httpd'] }, layers: ['base', 'one'] });
    await apply(web('app:1', ', pull_policy: always, environment: {A: b}'));
    expect(did.filter((line) => /^(pull|sync)/.test(line))).not.toContain('sync');
    expect(open()).toBeUndefined();
  });

  test('survives a power cut right after it was reported', async () => {
    await apply(web('app:1'));
    cutPower();
    expect(problems(await engine.again())).toEqual([]);
    expect(running()).toEqual(WEB('app:1'));
    expect(fetched()).toEqual(['base', 'one']);
  });

  test('that cannot be synced is not used, and not pulled a second time', async () => {
    brokenDisk = 'sync: error syncing: Input/output error';
    expect(problems(await apply(web('app:1')))).toEqual([
      expect.stringMatching(
        /^service:shop\/web ImagePullFailed: cannot write the pulled image to disk: .*Input\/output error; .*tried again/,
      ),
    ]);
    expect(host.engine.containers()).toEqual([]);
    brokenDisk = null;
    expect(problems(await engine.again({ trigger: 'manual' }))).toEqual([]);
    expect(running()).toEqual(WEB('app:1'));
    expect(fetched()).toEqual(['base', 'one']);
  });

  test('needs a writable state', async () => {
    const { records } = engine.store;
    const set = records.set;
    records.set = (key, value) => {
      if (key === 'pulls') throw new Error('ENOSPC: no space left on device');
      set(key, value);
    };
    expect(problems(await apply(web('app:1')))).toEqual([
      expect.stringMatching(/^service:shop\/web StateUnwritable: cannot record which images are being pulled: ENOSPC/),
    ]);
    expect(did).toEqual([]);
  });
});

/** The agent dies at each of its calls that change something. @returns the number of these calls */
async function sweep(
  options: { prepare?: () => Promise<unknown>; change: () => Promise<unknown>; death: () => void },
  after: (told: string) => void,
): Promise<number> {
  for (let call = 1; call < 40; call++) {
    for (const when of ['before', 'after'] as const) {
      end();
      begin();
      await options.prepare?.();
      const died = await agent.live(call, when, options.change);
      if (died) options.death();
      const told = died ? `died ${when} change ${call}` : 'it lived';
      for (const again of ['at once', 'after another power cut']) {
        if (again !== 'at once') cutPower();
        expect(problems(await engine.again()), `${told}, ${again}`).toEqual([]);
        expect(open(), `${told}, ${again}`).toBeUndefined();
        after(`${told}, ${again}`);
      }
      if (!died) return call - 1;
    }
  }
  throw new Error('it never came to its end');
}

describe('a power cut at each moment of a pull', () => {
  test('ends with a host that runs the image', async () => {
    const deaths = await sweep({ change: () => apply(web('app:1')), death: cutPower }, (told) =>
      expect(running(), told).toEqual(WEB('app:1')),
    );
    expect(deaths).toBeGreaterThanOrEqual(4);
  });

  test('leaves the running container alone, and ends with the next image', async () => {
    const options = { prepare: () => apply(web('app:1')), change: () => apply(web('app:2')), death: cutPower };
    const deaths = await sweep(options, (told) => {
      expect(running(), told).toEqual(WEB('app:2'));
      // Layers that were here before the pull are complete.
      expect(
        fetched().filter((layer) => layer === 'base'),
        told,
      ).toHaveLength(1);
    });
    expect(deaths).toBeGreaterThanOrEqual(4);
  });

  test('leaves several images complete', async () => {
    const change = () => apply(stack(service('web', 'app:2'), service('db', 'db:1')));
    await sweep({ change, death: cutPower }, (told) =>
      expect(running(), told).toEqual(['shop-db-1 running db:1', 'shop-web-1 running app:2']),
    );
  });

  test('leaves an image that is named by its digest complete', async () => {
    let name = '';
    const change = () => {
      name = `app@${host.engine.registry.push('app:1', { config: { Cmd: ['httpd'] }, layers: ['base', 'one'] })}`;
      return apply(web(name));
    };
    await sweep({ change, death: cutPower }, (told) => expect(running(), told).toEqual(WEB(name)));
  });

  test('leaves a tag that moved complete', async () => {
    const keys = ', pull_policy: always';
    const prepare = () => apply(web('app:1', keys));
    const change = () => {
      host.engine.registry.push('app:1', { config: { Cmd: ['httpd'] }, content: 'newer', layers: ['base', 'newer'] });
      return engine.again({ trigger: 'manual' });
    };
    await sweep({ prepare, change, death: cutPower }, (told) => {
      expect(running(), told).toEqual(WEB('app:1'));
      expect(host.engine.containers()[0]?.imageId, told).toBe(
        host.engine.registry.push('app:1', {
          ...{ config: { Cmd: ['httpd'] }, content: 'newer', layers: ['base', 'newer'] },
        }),
      );
    });
  });
});

test('an agent that is killed without a power cut pulls nothing twice', async () => {
  const change = () => apply(stack(service('web', 'app:2'), service('db', 'db:1')));
  await sweep({ change, death: () => engine.restart() }, (told) =>
    expect([...fetched()].sort(), told).toEqual(['base', 'db', 'top', 'two']),
  );
});

describe('layers without an image, left by a pull that a power cut interrupted,', () => {
  /** Power fails when the first layers of each image were unpacked. */
  const cutShort = async (files: ReturnType<typeof stack>, stalls: Record<string, number>) => {
    for (const [name, layers] of Object.entries(stalls)) host.engine.registry.stall(name, layers);
    void apply(files);
    await expect.poll(() => host.engine.registry.pulled).toHaveLength(Object.keys(stalls).length);
    cutPower();
  };

  test('are not used as complete', async () => {
    await cutShort(web('app:2'), { 'app:2': 2 });
    expect(problems(await engine.again())).toEqual([]);
    expect(running()).toEqual(WEB('app:2'));
    expect(fetched()).toEqual(['base', 'two', 'top', 'base', 'two', 'top']);
  });

  test('are not used as complete by another image that shares them', async () => {
    await cutShort(stack(service('web', 'app:2'), service('db', 'db:1')), { 'app:2': 2, 'db:1': 1 });
    expect(problems(await engine.again())).toEqual([]);
    expect(running()).toEqual(['shop-db-1 running db:1', 'shop-web-1 running app:2']);
  });

  test('are not used as complete by an image that only the next commit names', async () => {
    await cutShort(web('app:2'), { 'app:2': 2 });
    expect(problems(await apply(web('db:1')))).toEqual([]);
    expect(running()).toEqual(WEB('db:1'));
    expect(open()).toBeUndefined();
    expect(await host.engine.docker.image('app:2')).toBeUndefined();
  });
});

describe('an image whose pull a power cut interrupted', () => {
  /** Power fails when the image is here, and before it is synced. */
  const doubtful = async (image: string) => {
    expect(await agent.live(2, 'before', () => apply(web(image)))).toBe(true);
    expect(did).toEqual([`pull ${image}`]);
    cutPower();
  };

  test('is not used while its registry is away, and running containers are left alone', async () => {
    await apply(web('app:1'));
    did = [];
    await doubtful('app:2');
    host.engine.registry.fail('app:2', 'dial tcp: connect: connection refused');
    expect(problems(await engine.again())).toEqual([
      expect.stringMatching(/^service:shop\/web ImagePullFailed: cannot pull app:2: .*what runs is left alone/),
    ]);
    expect(running()).toEqual(WEB('app:1'));
    host.engine.registry.fail('app:2', null);
    expect(problems(await engine.again({ trigger: 'manual' }))).toEqual([]);
    expect(running()).toEqual(WEB('app:2'));
  });

  test('is not removed while a foreign container uses it, which is reported', async () => {
    await doubtful('app:1');
    const stranger = await host.engine.docker.create({ Image: 'app:1', name: 'theirs' }, () => undefined);
    expect(problems(await engine.again())).toEqual([
      expect.stringMatching(
        /^service:shop\/web ImageInUse: a power cut interrupted the pull of app:1, .*used by container theirs: `docker rm -f theirs`/,
      ),
    ]);
    expect(await host.engine.docker.inspect(stranger)).toBeDefined();
    await host.engine.docker.remove(stranger, { volumes: false });
    expect(problems(await engine.again({ trigger: 'manual' }))).toEqual([]);
    expect(running()).toEqual(WEB('app:1'));
  });

  test('that the host already had under another name stays', async () => {
    const { docker, registry } = host.engine;
    const same = { config: { Cmd: ['httpd'] }, content: 'same', layers: ['base', 'one'] };
    registry.push('theirs:1', same);
    const id = registry.push('app:1', same);
    await docker.pull('theirs:1', { signal: new AbortController().signal, platform: '', auth: null });
    host.engine.sync();
    await agent.live(1, 'after', () => apply(web('app:1')));
    cutPower();
    expect(problems(await engine.again())).toEqual([]);
    expect(did).not.toContain(`removeImage ${id}`);
    expect((await docker.image(id))?.tags).toEqual(['theirs:1', 'app:1']);
    expect(open()).toBeUndefined();
  });

  test('is removed, and not pulled again, if no commit names it any more', async () => {
    await apply(web('app:1'));
    did = [];
    await doubtful('app:2');
    expect(problems(await apply(web('app:1', ', environment: {A: b}')))).toEqual([]);
    expect(running()).toEqual(WEB('app:1'));
    expect(await host.engine.docker.image('app:2')).toBeUndefined();
    expect(open()).toBeUndefined();
    expect(host.engine.registry.pulled).toEqual(['app:1', 'app:2']);
  });
});
