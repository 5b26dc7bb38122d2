/** A duration that somebody writes may be longer than a timer of Node can be, which then fires after 1 ms. */
import type { ChildProcess } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Desired } from '../../agent/core/types.ts';
import { createPushGate } from '../../agent/engine/when/push.ts';
import { createCheckProvider } from '../../agent/kinds/check/provider.ts';
import type { CheckSpec } from '../../agent/kinds/check/spec.ts';
import { createJobProvider } from '../../agent/kinds/job/provider.ts';
import type { JobSpec } from '../../agent/kinds/job/spec.ts';
import { explained } from '../../agent/system/docker/answers.ts';
import type { Docker } from '../../agent/system/docker/docker.ts';
import { createExec, type Exec } from '../../agent/system/exec.ts';
import { durationMs } from '../../manifests-schema/duration.ts';

const LONG_MS = durationMs('30d');
const HOUR_MS = 3_600_000;
const never = new AbortController().signal;
const declared = { hash: 'h', after: [], notify: [], origin: { file: 'x.yaml', line: 1, via: [] } as never };

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

test('a job with `timeout: 30d` is not stopped before', async () => {
  const ran: string[] = [];
  const exec: Exec = async (argv) => {
    ran.push(argv.slice(0, 2).join(' '));
    if (argv[0] === 'systemd-run') await new Promise((resolve) => setTimeout(resolve, HOUR_MS));
    return { code: argv[0] === 'systemctl' ? 3 : 0, stdout: '', stderr: '' };
  };
  const spec: JobSpec = {
    ...{ name: 'long', run: ['sleep', '1h'], when: 'once', cwd: '/', env: {}, user: 'root', onRollback: 'skip' },
    timeoutMs: LONG_MS,
  };
  const want: Desired<JobSpec> = { ...declared, id: 'job:long', spec };
  const provider = createJobProvider({ exec, redact: (text) => text });
  const failures = provider.apply([{ want, change: { op: 'create', why: [] }, seen: undefined }], never);
  await pass(2 * HOUR_MS);
  expect([...(await failures).values()]).toEqual([]);
  expect(ran).not.toContain('systemctl stop');
});

test('a check with `every: 30d` does not turn', async () => {
  const clock = {
    now: () => new Date(),
    monotonic: () => Math.round(performance.now()),
    sleep: async () => undefined,
  };
  const exec: Exec = async () => ({ code: 0, stdout: '', stderr: '' });
  const probe = { http: async () => null, tcp: async () => null };
  const provider = createCheckProvider({ exec, probe, clock, redact: (text) => text });
  const spec: CheckSpec = {
    name: 'rare',
    probe: { type: 'run', argv: ['x'], expect: 0 },
    withinMs: 1,
    everyMs: LONG_MS,
  };
  const stopper = new AbortController();
  await provider.watcher?.start(() => undefined, stopper.signal);
  const set = vi.spyOn(globalThis, 'setTimeout');
  provider.watcher?.manage([{ ...declared, id: 'check:rare', spec }]);
  await pass(1_000);
  stopper.abort();
  expect(set).toHaveBeenCalledTimes(1);
});

test('a program with a limit of 30 days is not killed before', async () => {
  const child = Object.assign(new EventEmitter(), { pid: undefined, unref: () => undefined });
  const result = createExec(() => child as unknown as ChildProcess)(['backup'], { timeoutMs: LONG_MS });
  await pass(HOUR_MS);
  child.emit('close', 0, null);
  expect((await result).code).toBe(0);
});

test('a container with a grace period of 30 days has that long to stop', async () => {
  const stop = () => new Promise<void>((resolve) => setTimeout(resolve, HOUR_MS));
  const docker = explained({ stop } as unknown as Docker, '/run/docker.sock');
  let error: unknown = null;
  const stopped = docker.stop('id', LONG_MS / 1_000).catch((thrown: unknown) => {
    error = thrown;
  });
  await pass(HOUR_MS);
  await stopped;
  expect(error).toBe(null);
});

test('a notice waits for the place of the host within a splay of 30 days', async () => {
  let polls = 0;
  const gate = createPushGate({
    offsetMs: LONG_MS,
    known: () => false,
    async sync() {
      polls++;
    },
  });
  gate.notice('1'.repeat(40));
  await pass(HOUR_MS);
  gate.stop();
  expect(polls).toBe(0);
});

test('a sleep of 30 days does not end at once', async () => {
  // The timers of node:timers/promises are not those that vitest replaces.
  vi.useRealTimers();
  const { systemClock } = await import('../../agent/system/clock.ts');
  const warnings: string[] = [];
  const listen = (warning: Error) => void warnings.push(warning.name);
  process.on('warning', listen);
  const enough = new AbortController();
  const slept = systemClock.sleep(LONG_MS, enough.signal);
  await new Promise(setImmediate);
  enough.abort();
  await slept;
  process.off('warning', listen);
  expect(warnings).toEqual([]);
});
