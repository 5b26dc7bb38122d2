/** A host in memory: its Docker engine, its clock, and a directory that stands for its file system. */
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { ProvidersOptions } from '../../agent/kinds/index.ts';
import type { Docker } from '../../agent/system/docker.ts';
import type { Exec } from '../../agent/system/exec.ts';
import { createReconciler, type Reconciler } from '../reconciler.ts';
import { createFakeClock, type FakeClock } from './clock.ts';
import { createFakeDocker, type FakeDocker } from './docker/engine.ts';

export interface FakeHost {
  clock: FakeClock;
  engine: FakeDocker;
  root: string;
  /** What providers are made of. */
  options: Omit<ProvidersOptions, 'owned' | 'images'>;
  end(): void;
}

export interface FakeHostOptions {
  /** Stands between the providers and the engine. */
  docker?: (engine: Docker) => Docker;
}

/** Programs of the host that providers ask for besides the drivers: each does as if there were nothing to be said. */
const exec: Exec = async () => ({ code: 0, stdout: '', stderr: '' });

export function createFakeHost({ docker = (engine) => engine }: FakeHostOptions = {}): FakeHost {
  const clock = createFakeClock();
  const engine = createFakeDocker(clock);
  const root = mkdtempSync(path.join(existsSync('/dev/shm') ? '/dev/shm' : os.tmpdir(), 'fairlead-host-'));
  for (const dir of ['etc', 'srv', 'var/lib/fairlead', 'run']) mkdirSync(path.join(root, dir), { recursive: true });
  return {
    clock,
    engine,
    root,
    options: {
      isRoot: process.getuid?.() === 0,
      root,
      filesOnly: false,
      dockerSocket: '/run/docker.sock',
      busSocket: '/run/dbus/system_bus_socket',
      stagingDir: '/var/lib/fairlead/staging',
      clock,
      exec,
      docker: docker(engine.docker),
    },
    end: () => rmSync(root, { recursive: true, force: true }),
  };
}

/** The agent's engine over it; a commit that does not settle is taken back where `rollback` says so. */
export const reconcilerOn = (host: FakeHost, options: { rollback?: boolean } = {}): Reconciler =>
  createReconciler({ ...options, host: host.options });
