/** Locks between the processes of this machine (flock(1)): checkouts test in parallel and share what the lab created. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { Socket } from 'node:net';
import path from 'node:path';

/** Runs `work` as soon as no other process holds the lock. */
export async function withLock<T>(file: string, work: () => Promise<T>): Promise<T> {
  const holder = await hold(file, ['--exclusive']);
  if (!holder) throw new Error(`flock cannot lock ${file}; see its message above`);
  return work().finally(() => release(holder));
}

/** Waits for the lock and holds it. @returns a function that releases it; the end of this process does so as well */
export async function takeLock(file: string): Promise<() => Promise<void>> {
  const holder = await hold(file, ['--exclusive']);
  if (!holder) throw new Error(`flock cannot lock ${file}; see its message above`);
  return () => release(holder);
}

/** As `withLock`, but returns null if another process still holds or shares the lock after a few seconds. */
export async function withLockSoon<T>(file: string, work: () => Promise<T>): Promise<T | null> {
  const holder = await hold(file, ['--exclusive', '--timeout', '3']);
  return holder && work().finally(() => release(holder));
}

/**
 * Shares the lock; waits while another process holds it exclusively.
 * @returns a function that releases it; the end of this process, in any way, does so as well
 */
export async function shareLock(file: string): Promise<() => Promise<void>> {
  const holder = await hold(file, ['--shared']);
  if (!holder) throw new Error(`flock cannot share ${file}; see its message above`);
  // Its standard input ends with this process. It does not keep the event loop alive.
  holder.unref();
  for (const stream of [holder.stdin, holder.stdout]) if (stream instanceof Socket) stream.unref();
  return () => release(holder);
}

/** @returns a process that has the lock and lives until its standard input ends, or null if the lock was not free */
async function hold(file: string, flags: readonly string[]): Promise<ChildProcess | null> {
  mkdirSync(path.dirname(file), { recursive: true });
  const holder = spawn('flock', [...flags, file, 'sh', '-c', 'echo held; exec cat'], {
    stdio: ['pipe', 'pipe', 'inherit'],
    // A Ctrl-C ends the group of this process while it still cleans up.
    detached: true,
  });
  const said = await Promise.race([once(holder.stdout, 'data'), once(holder, 'exit')]);
  return Buffer.isBuffer(said[0]) ? holder : null;
}

async function release(holder: ChildProcess): Promise<void> {
  holder.ref();
  const ended = once(holder, 'exit');
  holder.stdin?.end();
  await ended;
}
