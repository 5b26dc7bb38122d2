/** Messages about containers that ended, and about missing ones. */
import { expect, test } from 'vitest';
import type { ServiceSpec } from '../../agent/compose/stack/model.ts';
import { isOutage } from '../../agent/core/plan/target.ts';
import type { Desired } from '../../agent/core/types.ts';
import { NO_CONTAINERS, type Replica } from '../../agent/kinds/container/fact.ts';
import { healthOf, replicaHealth } from '../../agent/kinds/container/health.ts';
import type { ContainerInfo } from '../../agent/system/docker/docker.ts';

const spec = { restart: { name: 'no' }, update: {} } as ServiceSpec;
const ended = (state: Partial<ContainerInfo['State']>, memory: number): Replica => ({
  ...{ number: 1, image: null, runningMs: 0, log: 'loading', interrupted: false },
  info: {
    Name: '/web',
    State: { Status: 'exited', Running: false, ExitCode: 137, OOMKilled: false, ...state },
    HostConfig: { Memory: memory },
  } as ContainerInfo,
});
const said = (replica: Replica) => replicaHealth(spec, replica).message;

test.each([
  ['known to the engine', { OOMKilled: true }, 16 << 20, ', out of memory at its limit of 16 MiB; raise mem_limit'],
  ['of the whole machine', { OOMKilled: true }, 0, ', out of memory'],
  [
    'not known to the engine',
    {},
    16 << 20,
    ', killed by SIGKILL, probably out of memory at its limit of 16 MiB; raise mem_limit, unless somebody killed it',
  ],
  ['without a limit', {}, 0, ', killed by SIGKILL'],
] as const)('a container out of memory, %s', (_what, state, memory, words) => {
  expect(said(ended(state, memory))).toBe(`exited (137)${words}; its last lines: loading`);
});

test('a paused container is not well, and only its operator resumes it', () => {
  const frozen = ended({ Status: 'paused', Running: true, Paused: true }, 0);
  expect(replicaHealth(spec, frozen)).toMatchObject({
    state: 'bad',
    code: 'ContainerPaused',
    message: 'is frozen by `docker pause`; `docker unpause web` continues it',
  });
});

test('another exit code is not reported as out of memory', () => {
  expect(said(ended({ ExitCode: 3 }, 16 << 20))).toBe('exited (3); its last lines: loading');
});

test('a container that somebody removed is distinguished from one that does not run: no commit is blamed for it', () => {
  const want = { spec: { ...spec, replicas: 2 }, hash: 'h' } as Desired<ServiceSpec>;
  const fact = (replicas: Replica[]) => ({ ...NO_CONTAINERS, replicas });
  const one = ended({}, 0);
  const going = ended({ Status: 'removing' }, 0);
  const dead = ended({ Status: 'dead', ExitCode: 137 }, 0);
  const facts = [fact([]), fact([one]), fact([going, going]), fact([dead, one]), fact([one, one])];
  expect(facts.map((f) => healthOf(want, f).code)).toEqual([
    'ContainerMissing',
    'ContainerMissing',
    'ContainerMissing',
    'ContainerMissing',
    undefined,
  ]);
  expect(isOutage('ContainerMissing')).toBe(true);
});
