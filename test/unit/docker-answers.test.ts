/** What the answers of a Docker engine mean to the caller, and how long and how often it is asked. */
import { afterEach, expect, test, vi } from 'vitest';
import { explained } from '../../agent/system/docker/answers.ts';
import type { Docker } from '../../agent/system/docker/docker.ts';
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
