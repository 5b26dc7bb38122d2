/** What the answers of a Docker engine mean to the caller, and how long and how often it is asked. */
import { setImmediate } from 'node:timers/promises';
import { afterEach, expect, test, vi } from 'vitest';
import { explained } from '../../agent/system/docker/answers.ts';
import type { Docker } from '../../agent/system/docker/docker.ts';
import { explain } from '../../agent/system/docker/errors.ts';
import { conflict, refusal } from '../fakes/docker/refusals.ts';

afterEach(() => vi.useRealTimers());

const engine = (calls: Partial<Docker>): Docker => explained(calls as Docker, '/run/docker.sock');

test('a removal that is in progress already is awaited, so that the name is free afterwards', async () => {
  let rest = 2;
  const docker = engine({
    remove: async () => {
      if (rest-- > 0) throw conflict('removal of container old is already in progress');
      throw refusal(404, 'no such container', 'No such container: old');
    },
    rename: async () => {
      if (rest >= 0) throw conflict('Conflict. The container name "/web" is already in use by container "old"');
    },
  });
  await docker.remove('old', { volumes: false });
  await docker.rename('new', 'web');
});

test('a removal that never ends is no fault of the commit', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  const docker = engine({
    remove: () => Promise.reject(conflict('removal of container old is already in progress')),
  });
  const thrown = docker.remove('old', { volumes: false }).catch((error: unknown) => error);
  await vi.advanceTimersByTimeAsync(61_000);
  expect(await thrown).toMatchObject({ code: 'ContainerMissing' });
});

test.each([
  ['inspect', 16],
  ['image', 16],
  ['logTail', 4],
] as const)('of 300 calls of %s at most %i are open at once', async (name, most) => {
  let open = 0;
  let peak = 0;
  let asked = 0;
  const counting = async () => {
    asked++;
    peak = Math.max(peak, ++open);
    await setImmediate();
    open--;
    return undefined as never;
  };
  const docker = engine({ [name]: counting });
  await Promise.all(Array.from({ length: 300 }, (_, i) => docker[name](`c${i}`)));
  expect(asked).toBe(300);
  expect(peak).toBe(most);
});

test('300 inspections by an engine that answers nothing end within two minutes', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const docker = engine({ inspect: () => new Promise(() => undefined) });
  const codes: string[] = [];
  for (let i = 0; i < 300; i++) docker.inspect(`c${i}`).catch(({ code }) => codes.push(code));
  await vi.advanceTimersByTimeAsync(120_001);
  expect(codes).toHaveLength(300);
  expect(new Set(codes)).toEqual(new Set(['EngineUnreachable']));
});

test('300 logs of an engine that answers nothing are given up within two minutes', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const docker = engine({ logTail: () => new Promise(() => undefined) });
  const logs: string[] = [];
  for (let i = 0; i < 300; i++) docker.logTail(`c${i}`).then((log) => logs.push(log));
  await vi.advanceTimersByTimeAsync(120_001);
  expect(logs).toHaveLength(300);
});

test('a container that the engine cannot inspect does not affect those that wait', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const docker = engine({ inspect: (id) => (id === 'c0' ? new Promise(() => undefined) : Promise.resolve(undefined)) });
  const all = Promise.allSettled(Array.from({ length: 300 }, (_, i) => docker.inspect(`c${i}`)));
  await vi.advanceTimersByTimeAsync(60_001);
  expect((await all).filter(({ status }) => status === 'rejected')).toHaveLength(1);
});

test('a socket on which too many connections wait is an engine that cannot be reached', () => {
  const full = Object.assign(new Error('connect EAGAIN /run/docker.sock'), { code: 'EAGAIN' });
  expect(explain('list containers', '/run/docker.sock', full).code).toBe('EngineUnreachable');
});
