/** Starts a program with pipes, so that a host without free descriptors or memory costs no more than this one start. */
import { type ChildProcessWithoutNullStreams, type SpawnOptionsWithoutStdio, spawn } from 'node:child_process';

/** @throws Error if no descriptor or memory is free; a program that is missing is an `error` event of the child, as usual */
export function startProgram(
  program: string,
  args: readonly string[],
  options: SpawnOptionsWithoutStdio,
): ChildProcessWithoutNullStreams {
  const child = spawn(program, args, { ...options, stdio: 'pipe' });
  // First of all: an error that nobody listens to ends the agent.
  child.on('error', () => undefined);
  // EMFILE and ENFILE come as an event later, and until then as a child without streams.
  if (!child.stdout) throw new Error(`cannot start ${program}: no file descriptor is free`);
  return child;
}
