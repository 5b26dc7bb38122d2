/** Debian programs that tests need; only missing ones are installed. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { run } from './run.ts';

const DIRS = ['/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/** @param needs program → package. A failed install throws. */
export async function ensurePrograms(
  needs: Readonly<Record<string, string>>,
  log: (line: string) => void = () => undefined,
): Promise<void> {
  const missing = Object.entries(needs).filter(([program]) => !DIRS.some((dir) => existsSync(path.join(dir, program))));
  if (missing.length === 0) return;
  const names = missing.map(([, name]) => name);
  log(`installing ${names.join(', ')}`);
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  // Tests run in parallel, and apt-get does not wait for another one.
  const apt = (...args: string[]) =>
    run(['flock', '/tmp/fairlead-tests-apt.lock', 'apt-get', ...args], { env, timeoutMs: 600_000 });
  await apt('update');
  await apt('install', '-y', '--no-install-recommends', ...names);
}
