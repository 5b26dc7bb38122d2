/** A host without a free file descriptor: spawn gives a child without streams, whose error comes in the next turn. */
import { EventEmitter } from 'node:events';
import { expect, test, vi } from 'vitest';
import { NotStarted, openChannel, prepare } from '../../../agent/git/reader/reader.ts';
import { createSsh } from '../../../agent/git/wire/ssh.ts';

/** Children whose error nobody listened to: such a one ends the agent. */
let unheard = 0;
vi.mock('node:child_process', async (original) => ({
  ...(await original<typeof import('node:child_process')>()),
  spawn: () => {
    const child = new EventEmitter();
    process.nextTick(() => {
      if (child.listenerCount('error') === 0) unheard++;
      else child.emit('error', new Error('spawn EMFILE'));
    });
    return child;
  },
}));

const way = { name: 'process', argv: ['node'], named: () => ({ argv: ['node'], waiting: ['sh'], kill: ['true'] }) };
const NO_DESCRIPTOR = /cannot start .*: no file descriptor is free/;

test('a process that unpacks is not started, and the agent goes on', async () => {
  await expect(openChannel(way)).rejects.toThrow(NotStarted);
  expect(() => prepare(way)).toThrow(NO_DESCRIPTOR);
  await new Promise(setImmediate);
  expect(unheard).toBe(0);
});

test('ssh is not started, and the agent goes on', async () => {
  const ssh = createSsh({
    url: 'ssh://git@example.com/fleet',
    env: {},
    limits: { connect: 1, answer: 1, stall: 1, small: 1, large: 1 } as never,
  });
  const exchange = ssh.exchange({ body: null, size: 'small' } as never, new AbortController().signal);
  await expect(exchange[Symbol.asyncIterator]().next()).rejects.toThrow(NO_DESCRIPTOR);
  await new Promise(setImmediate);
  expect(unheard).toBe(0);
});
