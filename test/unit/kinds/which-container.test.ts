/** Which container belongs to a service if several have its labels, or none has. */
import { describe, expect, test } from 'vitest';
import { HASH, PROJECT, SERVICE } from '../../../agent/kinds/docker/labels.ts';
import { done } from '../../reconciler.ts';
import { problems, stack, stackHost, WELL } from './stack-host.ts';

const on = stackHost();
const LABELS = { [PROJECT]: 'shop', [SERVICE]: 'web', 'com.docker.compose.container-number': '1' };
/** How `docker compose` names a container that will replace shop-web-1. */
const REPLACEMENT = 'deadbeef_shop-web-1';

const own = () => {
  const { id, startedAt } = on.only('shop-web-1');
  return { id, startedAt };
};
const volumeOf = (name: string) => on.only(name).mounts.find((m) => m.Destination === '/scratch')?.Name;

test.each([
  ['that was never started', REPLACEMENT, false, LABELS],
  ['of a running foreign program', 'foo', true, LABELS],
  ["of a running foreign program with fairlead's own label", 'foo', true, { ...LABELS, [HASH]: 'v1:x' }],
  ['of a foreign program with another number', 'foo', true, { ...LABELS, 'com.docker.compose.container-number': '2' }],
])('a container %s does not affect the running one, and is reported', async (_, name, starts, labels) => {
  await on.engine.apply(stack());
  const before = own();
  await on.strangers(name, { Labels: labels }, starts);
  await on.host.clock.sleep(60_000, new AbortController().signal);
  const result = await on.engine.again();
  expect(done(result)).toEqual([]);
  await on.host.clock.sleep(60_000, new AbortController().signal);
  const later = await on.engine.again();
  expect(done(later)).toEqual([]);
  expect(own()).toEqual(before);
  expect(problems(later)).toEqual([
    expect.stringMatching(new RegExp(`^service:shop/web StrayContainer: ${name} .*docker rm ${name}`)),
  ]);
  expect(later.outcome.resources.find((r) => r.id === 'service:shop/web')).toMatchObject({
    ...{ sync: 'synced', health: 'healthy', reason: 'StrayContainer' },
  });
});

test("the service's own stopped container is started beside a running foreign one", async () => {
  await on.engine.apply(stack());
  const { id } = own();
  await on.strangers('foo', { Labels: LABELS });
  await on.host.engine.docker.stop(id, 0);
  await on.engine.again();
  expect(on.only('shop-web-1')).toMatchObject({ id, status: 'running' });
  expect(on.names()).toHaveLength(2);
});

test('a foreign container with the labels of a service does not become its container when that is gone', async () => {
  await on.engine.apply(stack());
  await on.host.engine.docker.remove('shop-web-1', { volumes: true });
  const stranger = await on.strangers('foo', { Labels: LABELS });
  await on.engine.again();
  expect(on.names()).toEqual(['foo running', 'shop-web-1 running']);
  expect(on.only('foo').id).toBe(stranger);
});

test('removing a service leaves a foreign container with its labels alone', async () => {
  await on.engine.apply(stack());
  await on.strangers('foo', { Labels: LABELS });
  await on.engine.apply({ 'a.yaml': 'files: {/srv/a: {content: a}}\n' });
  expect(on.names()).toEqual(['foo running']);
});

test('dependents of a service look at its own container, not at a leftover', async () => {
  const files = {
    'shop/compose.yaml': `services:
  web: {image: "app:1"}
  side: {image: "app:1", network_mode: "service:web"}
`,
  };
  await on.engine.apply(files);
  await on.strangers(REPLACEMENT, { Labels: LABELS }, false);
  await on.host.clock.sleep(60_000, new AbortController().signal);
  expect(done(await on.engine.again())).toEqual([]);
});

/** The steps of `docker compose up --force-recreate`, one at a time. */
async function recreate() {
  const { docker } = on.host.engine;
  const { id, config, host, mounts } = on.only('shop-web-1');
  const volume = mounts.find((m) => m.Destination === '/scratch')?.Name ?? '';
  const labels = Object.fromEntries(Object.entries(config.Labels).filter(([key]) => !key.startsWith('dev.fairlead')));
  let made = '';
  return [
    async () => {
      made = await docker.create(
        {
          ...{ name: `${id.slice(0, 12)}_shop-web-1`, Image: config.Image, Labels: labels, Env: config.Env ?? [] },
          ...(config.Healthcheck ? { Healthcheck: config.Healthcheck } : {}),
          HostConfig: { ...host, Binds: [`${volume}:/scratch`] },
          NetworkingConfig: { EndpointsConfig: { shop_default: { Aliases: ['shop-web-1', 'web'] } } },
        },
        () => undefined,
      );
    },
    () => docker.stop(id, 0),
    () => docker.remove(id, { volumes: false }),
    () => docker.rename(made, 'shop-web-1'),
    () => docker.start(made),
  ];
}

test('a recreate by somebody else is left alone at each of its steps', async () => {
  await on.engine.apply(stack());
  const volume = volumeOf('shop-web-1');
  for (const step of await recreate()) {
    await step();
    const before = on.names();
    expect(done(await on.engine.again())).toEqual([]);
    expect(on.names()).toEqual(before);
  }
  expect(on.names()).toEqual(['shop-web-1 running']);
  expect(volumeOf('shop-web-1')).toBe(volume);
});

/**
 * Restarts the agent, with a Docker engine in which somebody acts right after a list of the containers.
 * @returns a function that sets the act, and returns one that makes up for it if there were fewer lists
 */
function actsAfterList(number: number): (act: () => Promise<void>) => () => Promise<void> {
  let pending: (() => Promise<void>) | null = null;
  let lists = 0;
  const now = async () => {
    const act = pending;
    pending = null;
    await act?.();
  };
  const { docker } = on.host.engine;
  on.host.options.docker = {
    ...docker,
    async containers() {
      const all = await docker.containers();
      if (pending !== null && lists++ === number) await now();
      return all;
    },
  };
  on.forget();
  return (act) => {
    pending = act;
    return now;
  };
}

const STEPS = [0, 1, 2, 3, 4, 5];
const SPANS = STEPS.flatMap((from) => STEPS.filter((to) => to > from).map((to) => [from, to] as const));

describe.each([0, 1, 2, 3, 4])(
  'a recreate by somebody else that continues right after list %d of the containers',
  (list) => {
    test.each(SPANS)('from step %d to step %d is left alone', async (from, to) => {
      const after = actsAfterList(list);
      await on.engine.apply(stack());
      const volume = volumeOf('shop-web-1');
      const steps = await recreate();
      for (const step of steps.slice(0, from)) await step();
      const act = after(async () => {
        for (const step of steps.slice(from, to)) await step();
      });
      expect(done(await on.engine.again())).toEqual([]);
      await act();
      for (const step of steps.slice(to)) await step();
      expect(done(await on.engine.again())).toEqual([]);
      expect(on.names()).toEqual(['shop-web-1 running']);
      expect(volumeOf('shop-web-1')).toBe(volume);
    });
  },
);

test.each([1, 2, 3, 4])(
  'a recreate that was interrupted after %d steps leaves the service running, with its data',
  async (steps) => {
    await on.engine.apply(stack());
    const volume = volumeOf('shop-web-1');
    for (const step of (await recreate()).slice(0, steps)) await step();
    await on.engine.again();
    await on.host.clock.sleep(60_000, new AbortController().signal);
    await on.engine.again();
    expect(on.only('shop-web-1').status).toBe('running');
    expect(volumeOf('shop-web-1')).toBe(volume);
  },
);

test('a commit that arrives during a recreate by somebody else waits for its end', async () => {
  await on.engine.apply(stack());
  const volume = volumeOf('shop-web-1');
  const [create, stop, remove, rename, start] = await recreate();
  await create?.();
  await stop?.();
  on.host.clock.after(2_000, () => void remove?.().then(rename).then(start));
  expect(problems(await on.engine.apply(stack('environment: {W: new}')))).toEqual([]);
  expect(on.names()).toEqual(['shop-web-1 running']);
  expect(on.only('shop-web-1').config.Env).toContain('W=new');
  expect(volumeOf('shop-web-1')).toBe(volume);
});

// The last list is the one right before the container is replaced.
test.each([0, 1, 2])(
  'a recreate by somebody else that begins after list %d of the run that applies a commit is waited for',
  async (list) => {
    const after = actsAfterList(list);
    await on.engine.apply(stack());
    const volume = volumeOf('shop-web-1');
    const [create, stop, remove, rename, start] = await recreate();
    const act = after(async () => {
      await create?.();
      await stop?.();
      on.host.clock.after(2_000, () => void remove?.().then(rename).then(start));
    });
    expect(problems(await on.engine.apply(stack('environment: {W: new}')))).toEqual([]);
    await act();
    await on.host.clock.sleep(5_000, new AbortController().signal);
    await on.engine.again();
    expect(on.names()).toEqual(['shop-web-1 running']);
    expect(volumeOf('shop-web-1')).toBe(volume);
  },
);

test('a service with container_name adopts the unlabelled container of that name, and keeps it', async () => {
  const files = (more = '') => ({
    'shop/compose.yaml': `services: {db: {image: "app:1", container_name: db, network_mode: bridge${more}}}\n`,
  });
  const id = await on.strangers('db', { HostConfig: { NetworkMode: 'bridge' } });
  const volume = volumeOf('db');
  expect(problems(await on.engine.apply(files()))).toEqual([]);
  expect(on.only('db').id).toBe(id);
  on.engine.restart();
  expect(done(await on.engine.again())).toEqual([]);
  await on.host.engine.docker.stop(id, 0);
  await on.engine.again();
  expect(on.only('db')).toMatchObject({ id, status: 'running' });
  // From now on fairlead may change this container.
  expect(problems(await on.engine.apply(files(', environment: {W: new}')))).toEqual([]);
  expect(on.names()).toEqual(['db running']);
  expect(on.only('db').config.Env).toContain('W=new');
  expect(volumeOf('db')).toBe(volume);
});

test('an unlabelled container that differs from its container_name service is held, and adopted if that is requested', async () => {
  const files = {
    'shop/compose.yaml': 'services: {db: {image: "app:1", container_name: db, environment: {W: ours}}}\n',
  };
  const id = await on.strangers('db', { HostConfig: { NetworkMode: 'bridge' } });
  const held = await on.engine.apply(files);
  expect(held.outcome.resources.find((r) => r.id === 'service:shop/db')).toMatchObject({
    sync: 'held',
    reason: 'NotAdopted',
  });
  expect(on.only('db').id).toBe(id);
  const volume = volumeOf('db');
  expect(problems(await on.engine.again({ adopt: true }))).toEqual([]);
  expect(on.only('db').config.Env).toContain('W=ours');
  expect(volumeOf('db')).toBe(volume);
  expect(on.names()).toEqual(['db running']);
});

test('a service that waits for an adopted container without labels starts beside it', async () => {
  const files = {
    'shop/compose.yaml': `services:
  db: {image: "app:1", container_name: db, network_mode: bridge, ${WELL}}
  web: {image: "app:1", depends_on: {db: {condition: service_healthy}}}
`,
  };
  const id = await on.strangers('db', {
    HostConfig: { NetworkMode: 'bridge' },
    Healthcheck: { Test: ['CMD', 'true'], Interval: 1_000_000_000 },
  });
  await on.host.clock.sleep(60_000, new AbortController().signal);
  expect(problems(await on.engine.apply(files))).toEqual([]);
  expect(on.names()).toEqual(['db running', 'shop-web-1 running']);
  expect(on.only('db').id).toBe(id);
});

test('an adopted container without labels is removed with its service', async () => {
  const files = { 'shop/compose.yaml': 'services: {db: {image: "app:1", container_name: db, network_mode: bridge}}\n' };
  await on.strangers('db', { HostConfig: { NetworkMode: 'bridge' } });
  await on.engine.apply(files);
  await on.engine.apply({ 'a.yaml': 'files: {/srv/a: {content: a}}\n' });
  expect(on.names()).toEqual([]);
});

test('a container of another project with this container_name is left alone, and reported', async () => {
  const files = { 'shop/compose.yaml': 'services: {db: {image: "app:1", container_name: db}}\n' };
  await on.strangers('db', { Labels: { [PROJECT]: 'other', [SERVICE]: 'db' } });
  expect(problems(await on.engine.apply(files)).join()).toMatch(/NameConflict/);
  expect(on.names()).toEqual(['db running']);
});

test('a container that cannot be removed is not tried again in each run, and recreated once it can be', async () => {
  await on.engine.apply(stack());
  const volume = volumeOf('shop-web-1');
  const busy = on.only('shop-web-1');
  busy.isBusy = true;
  await on.host.engine.docker.remove(busy.id, { volumes: false }).catch(() => undefined);
  expect(on.names()).toEqual(['shop-web-1 dead']);
  expect(problems(await on.engine.again({ trigger: 'schedule' })).join()).toMatch(/device or resource busy/);
  const again = await on.engine.again({ trigger: 'schedule' });
  expect(again.outcome.problems.map((p) => p.until !== undefined)).toEqual([true]);
  busy.isBusy = false;
  expect(problems(await on.engine.again({ trigger: 'manual' }))).toEqual([]);
  expect(on.names()).toEqual(['shop-web-1 running']);
  expect(volumeOf('shop-web-1')).toBe(volume);
});

test.each(['always', 'on-failure', 'on-failure:2'])(
  'restart: %s: a crashed container is left to the Docker engine to restart',
  async (restart) => {
    const files = {
      'shop/compose.yaml': `services: {web: {image: "app:1", command: ["sh", "-c", "sleep 1; exit 3"], restart: "${restart}"}}\n`,
    };
    await on.engine.apply(files);
    const lines: string[] = [];
    for (let i = 0; i < 12; i++) {
      await on.host.clock.sleep(700, new AbortController().signal);
      lines.push(...done(await on.engine.again({ trigger: 'schedule' })));
    }
    expect(lines).toEqual([]);
    if (restart.endsWith(':2'))
      expect(problems(await on.engine.again()).join()).toMatch(/the engine gave up after 2 restarts.*last exit code 3/);
  },
);

test('a container that was killed before its restarts were used up is started again', async () => {
  const files = { 'shop/compose.yaml': 'services: {web: {image: "app:1", restart: "on-failure:2"}}\n' };
  await on.engine.apply(files);
  await on.host.engine.docker.stop('shop-web-1', 0);
  await on.engine.again();
  expect(on.only('shop-web-1').status).toBe('running');
});
