/** The Docker engine stops at each call of a change, and comes back: the change continues, and its commit is not blamed. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Docker } from '../../agent/system/docker/docker.ts';
import { createFakeHost, type FakeHost, reconcilerOn } from '../fakes/host.ts';
import type { Reconciler } from '../reconciler.ts';
import type { Repo } from '../unit/repo.ts';

const LAST_ROUND = 150;

let host: FakeHost;
let engine: Reconciler;
/** The number of calls until the Docker engine stops. */
let left = Number.POSITIVE_INFINITY;

const begin = () => {
  left = Number.POSITIVE_INFINITY;
  host = createFakeHost({
    docker: (real) =>
      new Proxy(real, {
        get(target, name: keyof Docker) {
          const act: unknown = Reflect.get(target, name);
          if (typeof act !== 'function') return act;
          return (...args: unknown[]) => {
            if (--left === 0) host.engine.goAway();
            return Reflect.apply(act, target, args) as unknown;
          };
        },
      }),
  });
  host.engine.registry.push('app:1', { config: { Cmd: ['httpd'], Volumes: { '/scratch': {} } } });
  engine = reconcilerOn(host, { rollback: true });
};
const end = () => {
  engine.close();
  host.end();
};
beforeEach(begin);
afterEach(end);

const compose = (word: number, ...keys: string[]): Repo => ({
  'shop/compose.yaml': `services:
  web:
    image: app:1
    environment: {WORD: "${word}"}
    healthcheck: {test: [CMD, "true"], interval: 1s, start_period: 20s, start_interval: 200ms}
${keys.map((key) => `    ${key}\n`).join('')}`,
});
const state = () =>
  host.engine
    .containers()
    .map(({ name, status, config }) => `${name} ${status} ${config.Env?.find((e) => e.startsWith('WORD='))?.slice(5)}`)
    .sort();

test.each<[string, string[], string[]]>([
  ['one container', [], ['1']],
  ['start-first', ['deploy: {update_config: {order: start-first}}'], ['1']],
  ['two containers', ['scale: 2'], ['1', '2']],
  ['hooks', ['pre_start: [{command: ["true"]}]', 'post_start: [{command: ["true"]}]'], ['1']],
])('%s', async (_what, keys, numbers) => {
  for (let round = 1; round < LAST_ROUND; round++) {
    end();
    begin();
    await engine.apply(compose(0, ...keys));
    left = round;
    await engine.apply(compose(1, ...keys));
    const isThrough = left > 0;
    left = Number.POSITIVE_INFINITY;
    host.engine.comeBack();
    const { outcome } = await engine.again();
    const told = `away from call ${round} on; then ${JSON.stringify(outcome.problems)}`;
    expect(state(), told).toEqual(numbers.map((n) => `shop-web-${n} running 1`));
    expect(outcome.problems, told).toEqual([]);
    expect((await engine.again()).outcome.actions, told).toEqual([]);
    if (isThrough) {
      expect(round).toBeGreaterThan(10);
      return;
    }
  }
  throw new Error('it never came to its end');
});
