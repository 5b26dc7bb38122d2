/** The agent dies before any of its calls that change something on the Docker engine: the next run completes the work. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { Docker } from '../../agent/system/docker/docker.ts';
import { momentsOf, SAMPLED, THOROUGH } from '../sweep.ts';
import { type EngineOn, engineOn } from './engine-on.ts';
import { type Lab, type LabHost, startLab } from './lab.ts';

let lab: Lab;
let host: LabHost;
let engine: EngineOn;

const CHANGES = ['create', 'connect', 'disconnect', 'update', 'start', 'stop', 'restart', 'rename', 'remove', 'run'];
const never = () => new Promise<never>(() => undefined);

/** Dies before its n-th change: from then on no call returns, as for a dead process. */
function mortal() {
  let left = Number.POSITIVE_INFINITY;
  let died: () => void = () => undefined;
  /** Changes with each life: the calls of a dead one are never answered. */
  let life = 0;
  return {
    docker: (real: Docker): Docker =>
      new Proxy(real, {
        get(target, name: keyof Docker) {
          const act = target[name] as (...args: unknown[]) => Promise<unknown>;
          return async (...args: unknown[]) => {
            const born = life;
            if (CHANGES.includes(name) && --left === 0) {
              life++;
              died();
            }
            const answer = born === life ? await act(...args) : await never();
            return born === life ? answer : never();
          };
        },
      }),
    /** @returns whether it died before it had ended */
    async live(changes: number, act: () => Promise<unknown>): Promise<boolean> {
      left = changes;
      const death = new Promise<true>((resolve) => {
        died = () => resolve(true);
      });
      const dead = await Promise.race([act().then(() => false), death]);
      left = Number.POSITIVE_INFINITY;
      return dead;
    },
  };
}
const agent = mortal();

beforeAll(async () => {
  lab = await startLab({ name: 'kill', infra: 'shared', hosts: [{ name: 'ours' }] });
  host = lab.host('ours');
  engine = await engineOn(host, { rollback: true, docker: agent.docker });
});
afterAll(async () => {
  engine?.close();
  await lab?.stop();
});
afterEach(async () => {
  await host.sh('rm -rf /srv/out; docker ps -aq | xargs -r docker rm -f');
});

const compose = (word: number, ...keys: string[]) => ({
  'shop/compose.yaml': `services:
  web:
    image: infra:5000/app:1
    environment: {WORD: "${word}"}
    healthcheck: {test: [CMD, /bin/busybox, wget, -q, -O, /dev/null, "http://127.0.0.1:8080/"], interval: 5s, start_period: 20s, start_interval: 200ms}
    networks: [one, two]
${keys.map((key) => `    ${key}\n`).join('')}networks: {one: {}, two: {}}
`,
});
const state = async () =>
  (
    await host.sh(
      "docker ps -aq | xargs -r docker inspect -f '{{.Name}} {{.State.Status}} {{range .Config.Env}}{{println .}}{{end}}' | grep WORD | sed 's/^.//' | sort",
    )
  ).stdout
    .trim()
    .split('\n')
    .map((line) => line.replace('shop-web-', '').replace('WORD=', ''));

/** Those of the last round, for a test that fails. */
let told = '';

/**
 * Tries the change with the deaths that it can meet (sweep.ts).
 * @param least calls that the change makes at least
 */
async function die(
  least: number,
  change: (round: number) => Promise<unknown>,
  after: (round: number) => Promise<void>,
): Promise<void> {
  const dieBefore = async (round: number): Promise<boolean> => {
    const dead = await agent.live(round, () => change(round));
    if (!dead) return false;
    const { outcome } = await engine.again();
    told = `${SAMPLED}, died before change ${round}; then ${JSON.stringify(outcome.problems)}`;
    await after(round);
    expect((await engine.again()).outcome.actions, told).toEqual([]);
    return true;
  };
  for (const round of momentsOf(least))
    expect(await dieBefore(round), `change ${round} of at least ${least}`).toBe(true);
  if (!THOROUGH) return;
  for (let round = least + 1; await dieBefore(round); round++)
    expect(round, 'it never came to its end').toBeLessThan(60);
}

const LIMIT = 900_000;
const first = 'deploy: {update_config: {order: start-first}}';
test.each<[string, string[], string[]]>([
  ['one container', [], ['1']],
  ['one container, start-first', [first], ['1']],
  ['two containers', ['scale: 2'], ['1', '2']],
])(
  'whenever the agent dies, a service is recreated in the end: %s',
  async (_what, keys, numbers) => {
    await engine.apply(compose(0, ...keys));
    await die(
      6,
      (round) => engine.apply(compose(round, ...keys)),
      async (round) => {
        expect(await state(), told).toEqual(numbers.map((n) => `${n} running ${round}`));
      },
    );
  },
  LIMIT,
);

test(
  'whenever the agent dies, post_start of a recreated service completed',
  async () => {
    const out = 'volumes: ["/srv/out:/out"]';
    const hooks = (round: number) => [
      out,
      `post_start: [{command: ["/bin/busybox", "touch", "/out/started-${round}"]}]`,
      'pre_stop: [{command: ["/bin/busybox", "true"]}]',
    ];
    await engine.apply(compose(0, ...hooks(0)));
    await die(
      9,
      async (round) => {
        await host.sh(`rm -f /srv/out/*`);
        await engine.apply(compose(round, ...hooks(round)));
      },
      async (round) => {
        expect(await state(), told).toEqual([`1 running ${round}`]);
        expect((await host.sh('ls /srv/out')).stdout.trim()).toBe(`started-${round}`);
      },
    );
  },
  LIMIT,
);

const CRASH = 'command: ["/bin/busybox", "sh", "-c", "exit 3"]';
test.each<[string, string[]]>([
  ['', []],
  [', start-first', [first]],
])(
  'whenever the agent dies, a service whose new container does not become well has its previous one back%s',
  async (_what, keys) => {
    await engine.apply(compose(0, ...keys));
    await die(
      4,
      (round) => engine.apply(compose(round, ...keys, CRASH)),
      async () => expect(await state(), told).toEqual(['1 running 0']),
    );
  },
  LIMIT,
);

test(
  'whenever the agent dies, failure_action: rollback restores the previous container without a rollback of the commit',
  async () => {
    const staying = await engineOn(host, { docker: agent.docker });
    const keys = ['deploy: {update_config: {failure_action: rollback}}'];
    try {
      await staying.apply(compose(0, ...keys));
      for (const round of momentsOf(12)) {
        const dead = await agent.live(round, () => staying.apply(compose(round, ...keys, CRASH)));
        if (dead) await staying.again();
        expect(await state(), `${SAMPLED}, died before change ${round}`).toEqual([
          '1 running 0',
          `1-fairlead-failed exited ${round}`,
        ]);
        expect((await staying.again()).outcome.actions).toEqual([]);
      }
    } finally {
      staying.close();
    }
  },
  LIMIT,
);

test(
  'whenever the agent dies, a service gets fewer replicas in the end',
  async () => {
    await die(
      6,
      async (round) => {
        await engine.apply(compose(0, `scale: 3`, `labels: {round: "${round}"}`));
        await engine.apply(compose(0, `labels: {round: "${round}"}`));
      },
      async () =>
        expect(['1 running 0', '1 running 0,2 running 0,3 running 0'], told).toContain((await state()).join()),
    );
  },
  LIMIT,
);
