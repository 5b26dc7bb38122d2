import type { ChildProcess } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createExec } from '../../agent/system/exec.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => void vi.useRealTimers());

/** A program that no signal reaches. It has no process id, so that nothing real is killed. */
function immortal() {
  const streams = { stdin: new PassThrough(), stdout: new PassThrough(), stderr: new PassThrough() };
  const child = Object.assign(new EventEmitter(), streams, { pid: undefined, unref: vi.fn() });
  return { child, exec: createExec(() => child as unknown as ChildProcess) };
}

test('a program that cannot be killed is given up 5 s after its time limit', async () => {
  const { child, exec } = immortal();
  const result = exec(['df'], { timeoutMs: 1_000 });
  child.stdout.write('half');
  await vi.advanceTimersByTimeAsync(6_000);
  expect(await result).toMatchObject({
    code: 137,
    stdout: 'half',
    stderr: ' (timed out, and could not be killed within 5 s)',
  });
  expect(child.unref).toHaveBeenCalled();
  expect(child.stdout.destroyed).toBe(true);
});

test('so is one that is stopped by its signal', async () => {
  const { exec } = immortal();
  const stopper = new AbortController();
  const result = exec(['df'], { signal: stopper.signal });
  stopper.abort();
  await vi.advanceTimersByTimeAsync(5_000);
  expect(await result).toMatchObject({ code: 137 });
});

test('its result says when it is gone at last', async () => {
  const { child, exec } = immortal();
  const result = exec(['df'], { timeoutMs: 1_000 });
  await vi.advanceTimersByTimeAsync(6_000);
  const { lingers } = await result;
  let isGone = false;
  void lingers?.then(() => {
    isGone = true;
  });
  await vi.advanceTimersByTimeAsync(60_000);
  expect(isGone).toBe(false);
  child.emit('exit', null, 'SIGKILL');
  child.emit('close', null, 'SIGKILL');
  await vi.advanceTimersByTimeAsync(1_000);
  expect(isGone).toBe(true);
});

test('a program that ends when it is killed is not taken for one that stays', async () => {
  const { child, exec } = immortal();
  const result = exec(['sleep'], { timeoutMs: 1_000 });
  await vi.advanceTimersByTimeAsync(1_000);
  child.emit('exit', null, 'SIGKILL');
  child.emit('close', null, 'SIGKILL');
  expect(await result).toEqual({ code: 137, stdout: '', stderr: ' (timed out)' });
});

test('without a free descriptor the program does not start, and the agent goes on', async () => {
  const child = Object.assign(new EventEmitter(), { pid: undefined, unref: () => undefined });
  const exec = createExec(() => child as unknown as ChildProcess);
  const result = exec(['true'], { input: 'x' });
  child.emit('error', new Error('spawn true EMFILE'));
  expect(await result).toEqual({ code: 127, stdout: '', stderr: 'spawn true EMFILE' });
});

test('an error that spawn throws is the answer of a program that did not start', async () => {
  const exec = createExec(() => {
    throw new Error('spawn ENOMEM');
  });
  expect(await exec(['true'])).toEqual({ code: 127, stdout: '', stderr: 'spawn ENOMEM' });
});
