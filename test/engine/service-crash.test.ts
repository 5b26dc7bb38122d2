/**
 * The agent dies before and after each of its calls that change something on the Docker engine: the next process completes the
 * work. The same as test/lab/services-kill.test.ts does on a real host, here in memory, with more situations and a fresh process
 * each.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Docker } from '../../agent/system/docker/docker.ts';
import { createFakeHost, type FakeHost, reconcilerOn } from '../fakes/host.ts';
import { type Mortal, mortal } from '../fakes/mortal.ts';
import type { Reconciler } from '../reconciler.ts';
import type { Repo } from '../unit/repo.ts';

const CHANGES: readonly (keyof Docker)[] = [
  ...([
    'create',
    'connect',
    'disconnect',
    'update',
    'start',
    'stop',
    'restart',
    'signal',
    'rename',
    'remove',
    'run',
  ] as const),
  ...(['createNetwork', 'removeNetwork', 'createVolume', 'removeVolume', 'pull', 'removeImage'] as const),
];
const LAST_ROUND = 120;

let host: FakeHost;
let agent: Mortal<Docker>;
let engine: Reconciler;

const begin = (rollback: boolean) => {
  host = createFakeHost({
    docker: (real) => {
      agent = mortal(real, CHANGES);
      return agent.driver;
    },
  });
  host.engine.registry.push('app:1', { config: { Cmd: ['httpd'], Volumes: { '/scratch': {} } } });
  host.engine.registry.push('app:2', { config: { Cmd: ['httpd'], Volumes: { '/scratch': {} } } });
  engine = reconcilerOn(host, { rollback });
};
const end = () => {
  engine.close();
  host.end();
};
beforeEach(() => begin(true));
afterEach(end);

const CHECK = 'healthcheck: {test: [CMD, "true"], interval: 1s, start_period: 20s, start_interval: 200ms}';
const compose = (word: number, ...keys: string[]): Repo => ({
  'shop/compose.yaml': `services:
  web:
    image: app:1
    environment: {WORD: "${word}"}
    networks: [one, two]
${[CHECK, ...keys].map((key) => `    ${key}\n`).join('')}networks: {one: {}, two: {}}
`,
});

/** `1 running 7`: number and suffix of the name, state, and the word with which it was created. */
const state = () =>
  host.engine
    .containers()
    .map(({ name, status, config }) => {
      const word = (config.Env ?? []).find((entry) => entry.startsWith('WORD='))?.slice('WORD='.length) ?? '';
      return `${name.replace('shop-web-', '')} ${status} ${word}`;
    })
    .sort();

/** Volumes that no container uses. */
const orphans = async () => {
  const held = new Set(host.engine.containers().flatMap((c) => c.mounts.map((m) => m.Name)));
  return (await host.engine.docker.volumes()).map((v) => v.Name).filter((name) => !held.has(name));
};

interface SweepOptions {
  /** Whether the commit is rolled back (the default). */
  rollback?: boolean;
  /** What the next process applies; by default the same declaration. */
  next?: () => Promise<unknown>;
}

/** Tries the change with every possible death. @returns the number of deaths */
async function sweep(
  prepare: () => Promise<unknown>,
  change: () => Promise<unknown>,
  after: (told: string) => Promise<void> | void,
  { rollback = true, next = () => engine.again() }: SweepOptions = {},
): Promise<number> {
  for (let round = 1; round < LAST_ROUND; round++) {
    for (const when of ['before', 'after'] as const) {
      end();
      begin(rollback);
      await prepare();
      const dead = await agent.live(round, when, change);
      if (dead) engine.restart();
      const told = dead ? `died ${when} change ${round}` : 'it lived';
      await next();
      await after(told);
      expect((await engine.again()).outcome.actions, told).toEqual([]);
      expect(await orphans(), told).toEqual([]);
      if (!dead) return round - 1;
    }
  }
  throw new Error('it never came to its end');
}

const first = 'deploy: {update_config: {order: start-first}}';
const running = (...words: string[]) => words.map((word) => word.replace(' ', ' running '));

test.each<[string, string[], string[]]>([
  ['one container', [], ['1']],
  ['one container, start-first', [first], ['1']],
  ['two containers', ['scale: 2'], ['1', '2']],
  ['two containers, start-first', ['scale: 2', first], ['1', '2']],
  ['three containers at a time', ['scale: 3', 'deploy: {update_config: {parallelism: 0}}'], ['1', '2', '3']],
  ['one with a port', ['ports: ["8080:80"]'], ['1']],
  ['one with a name of its own', ['container_name: shop-web-1'], ['1']],
  ['one that gets SIGTERM after its hooks', ['pre_stop: [{command: ["true"]}]'], ['1']],
])('whenever the agent dies, a service is recreated in the end: %s', async (_what, keys, numbers) => {
  const deaths = await sweep(
    () => engine.apply(compose(0, ...keys)),
    () => engine.apply(compose(1, ...keys)),
    (told) => expect(state(), told).toEqual(running(...numbers.map((n) => `${n} 1`))),
  );
  expect(deaths).toBeGreaterThanOrEqual(6);
});

describe.each<[string, string[], string[]]>([
  ['one container', [], ['1']],
  ['one container, start-first', [first], ['1']],
  ['two containers, start-first', ['scale: 2', first], ['1', '2']],
  ['one with hooks', [`pre_start: [{command: ["true"]}]`, `post_start: [{command: ["true"]}]`], ['1']],
])('during a change of %s', (_what, keys, numbers) => {
  test.each([
    ['another commit arrives', 2],
    ['the previous commit arrives again', 0],
  ])('%s', async (_next, word) => {
    const deaths = await sweep(
      () => engine.apply(compose(0, ...keys)),
      () => engine.apply(compose(1, ...keys)),
      (told) => expect(state(), told).toEqual(running(...numbers.map((n) => `${n} ${word}`))),
      { next: () => engine.apply(compose(word, ...keys)) },
    );
    expect(deaths).toBeGreaterThanOrEqual(6);
  });
});

test('whenever the agent dies, a service is created in the end', async () => {
  const deaths = await sweep(
    async () => undefined,
    () => {
      const stack = compose(0, 'volumes: ["data:/data"]');
      return engine.apply({ 'shop/compose.yaml': `${stack['shop/compose.yaml']}volumes: {data: {}}\n` });
    },
    (told) => expect(state(), told).toEqual(['1 running 0']),
  );
  expect(deaths).toBeGreaterThanOrEqual(5);
});

test.each<[string, string[]]>([
  ['post_start', [`post_start: [{command: ["touch", "started"]}]`]],
  ['pre_start', [`pre_start: [{command: ["touch", "prepared"]}]`]],
  [
    'both, start-first',
    [`pre_start: [{command: ["touch", "prepared"]}]`, `post_start: [{command: ["touch", "started"]}]`, first],
  ],
])('whenever the agent dies, hooks: %s completed before the container counts as started', async (_what, keys) => {
  const deaths = await sweep(
    () => engine.apply(compose(0, ...keys)),
    () => {
      host.engine.ran.length = 0;
      return engine.apply(compose(1, ...keys));
    },
    (told) => {
      expect(state(), told).toEqual(['1 running 1']);
      if (keys.some((key) => key.startsWith('post_start')))
        expect(host.engine.ran.join('\n'), told).toContain('touch started');
    },
  );
  expect(deaths).toBeGreaterThanOrEqual(8);
});

const CRASH = 'command: ["sh", "-c", "exit 3"]';
test.each<[string, string[]]>([
  ['', []],
  [', start-first', [first]],
  [', of two', ['scale: 2']],
  [', of two at a time', ['scale: 2', 'deploy: {update_config: {parallelism: 0}}']],
  [
    ', of two that continue, start-first',
    ['scale: 2', 'deploy: {update_config: {order: start-first, failure_action: continue}}'],
  ],
  [', with a name of its own', ['container_name: shop-web-1']],
  [', after pre_start', ['pre_start: [{command: ["true"]}]']],
])(
  'whenever the agent dies, a container that does not become well is replaced by the previous one again%s',
  async (_what, keys) => {
    const numbers = keys.includes('scale: 2') ? ['1', '2'] : ['1'];
    const deaths = await sweep(
      () => engine.apply(compose(0, ...keys)),
      () => engine.apply(compose(1, ...keys, CRASH)),
      (told) => expect(state(), told).toEqual(running(...numbers.map((n) => `${n} 0`))),
    );
    expect(deaths).toBeGreaterThanOrEqual(4);
  },
);

describe('without a rollback', () => {
  test('whenever the agent dies, failure_action: rollback keeps the failed container, stopped, and does not try it again', async () => {
    const keys = ['deploy: {update_config: {failure_action: rollback}}'];
    const deaths = await sweep(
      () => engine.apply(compose(0, ...keys)),
      () => engine.apply(compose(1, ...keys, CRASH)),
      (told) => expect(state(), told).toEqual(['1 running 0', '1-fairlead-failed exited 1']),
      { rollback: false },
    );
    expect(deaths).toBeGreaterThanOrEqual(4);
  });
});

test('whenever the agent dies, a service gets fewer replicas in the end, and more', async () => {
  const of = (scale: number) => compose(0, `scale: ${scale}`);
  const deaths = await sweep(
    () => engine.apply(of(3)),
    () => engine.apply(of(1)),
    (told) => expect(state(), told).toEqual(['1 running 0']),
  );
  expect(deaths).toBeGreaterThanOrEqual(4);
  await sweep(
    () => engine.apply(of(1)),
    () => engine.apply(of(3)),
    (told) => expect(state(), told).toEqual(running('1 0', '2 0', '3 0')),
  );
});

test('whenever the agent dies, a service gets another image in the end', async () => {
  const of = (tag: number) => ({
    'shop/compose.yaml': `services: {web: {image: "app:${tag}", environment: {WORD: "${tag}"}, ${CHECK}}}\n`,
  });
  const deaths = await sweep(
    () => engine.apply(of(1)),
    () => engine.apply(of(2)),
    (told) => expect(state(), told).toEqual(['1 running 2']),
  );
  expect(deaths).toBeGreaterThanOrEqual(6);
});

test('whenever the agent dies, a service gets another network in the end', async () => {
  const of = (internal: boolean) => ({
    'shop/compose.yaml': `services:
  web: {image: "app:1", environment: {WORD: "0"}, networks: [one], ${CHECK}}
networks: {one: {internal: ${internal}}}
`,
  });
  const deaths = await sweep(
    () => engine.apply(of(false)),
    () => engine.apply(of(true)),
    async (told) => {
      expect(state(), told).toEqual(['1 running 0']);
      const one = (await host.engine.docker.networks()).find((n) => n.Name === 'shop_one');
      expect(one?.Internal, told).toBe(true);
      const on = host.engine.containers().flatMap((c) => [...c.networks.values()].map((at) => at.NetworkID));
      expect(on, told).toEqual([one?.Id]);
    },
  );
  expect(deaths).toBeGreaterThanOrEqual(3);
});

test('whenever the agent dies, a service whose network, volumes and processes another service shares is recreated in the end', async () => {
  const of = (word: number): Repo => ({
    'shop/compose.yaml': `services:
  web: {image: "app:1", environment: {WORD: "${word}"}, ${CHECK}}
  side:
    image: app:1
    network_mode: service:web
    volumes_from: [web]
    ${CHECK}
`,
  });
  const deaths = await sweep(
    () => engine.apply(of(0)),
    () => engine.apply(of(1)),
    (told) => {
      expect(state(), told).toEqual(['1 running 1', 'shop-side-1 running ']);
      const [web, side] = ['shop-web-1', 'shop-side-1'].map((name) =>
        host.engine.containers().find((c) => c.name === name),
      );
      expect(side?.host.NetworkMode, told).toBe(`container:${web?.id}`);
    },
  );
  expect(deaths).toBeGreaterThanOrEqual(8);
});

test('whenever the agent dies, a service is removed in the end with everything that it had', async () => {
  const deaths = await sweep(
    () => engine.apply({ ...compose(0, 'scale: 2'), 'a.yaml': 'files: {/srv/a: {content: a}}\n' }),
    () => engine.apply({ 'a.yaml': 'files: {/srv/a: {content: a}}\n' }),
    async (told) => {
      expect(state(), told).toEqual([]);
      expect((await host.engine.docker.networks()).map((n) => n.Name).sort(), told).toEqual(['bridge', 'host', 'none']);
    },
  );
  expect(deaths).toBeGreaterThanOrEqual(6);
});
