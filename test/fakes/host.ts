/** A host in memory: its Docker engine, its systemd, its clock, and a directory that stands for its file system. */
import { randomUUID } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { ProvidersOptions } from '../../agent/kinds/index.ts';
import type { Docker } from '../../agent/system/docker/docker.ts';
import { createKernelSettings } from '../../agent/system/proc/kernel-settings.ts';
import type { Systemd } from '../../agent/system/systemd/systemd.ts';
import { createReconciler, type Reconciler } from '../reconciler.ts';
import { inMemory } from '../scratch.ts';
import { createFakeClock, type FakeClock } from './clock.ts';
import { createFakeDocker, type FakeDocker } from './docker/engine.ts';
import { createCommands } from './systemd/commands.ts';
import { createFakeSystemd, type FakeSystemd } from './systemd/systemd.ts';

export interface FakeHost {
  clock: FakeClock;
  engine: FakeDocker;
  systemd: FakeSystemd;
  root: string;
  /** The host loses power and boots: see `FakeDocker.powerCut`. Everything in `root` was synced. */
  powerCut(): void;
  /** Options of the providers. */
  options: Omit<ProvidersOptions, 'owned' | 'images'>;
  end(): void;
}

export interface FakeHostOptions {
  /** Wraps the Docker engine, between it and the providers. */
  docker?: (engine: Docker) => Docker;
  /** The same for systemd. */
  systemd?: (systemd: Systemd) => Systemd;
  /** Of Debian 12: see `FakeSystemdOptions.isOld`. */
  isOld?: boolean;
}

const USERS = 'root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n';
const GROUPS = 'root:x:0:\ndaemon:x:1:\n';

export function createFakeHost({ docker, systemd: before, isOld = false }: FakeHostOptions = {}): FakeHost {
  const clock = createFakeClock();
  const engine = createFakeDocker(clock);
  const root = inMemory('host');
  const places = ['etc/systemd/system', 'proc/sys/net/ipv4', 'proc/sys/kernel/random', 'srv', 'run'];
  for (const dir of [...places, 'var/lib/fairlead', 'var/lib/docker'])
    mkdirSync(path.join(root, dir), { recursive: true });
  writeFileSync(path.join(root, 'proc/sys/net/ipv4/tcp_keepalive_time'), '7200\n');
  const boot = () => writeFileSync(path.join(root, 'proc/sys/kernel/random/boot_id'), `${randomUUID()}\n`);
  boot();
  writeFileSync(path.join(root, 'etc/passwd'), USERS);
  writeFileSync(path.join(root, 'etc/group'), GROUPS);
  const systemd = createFakeSystemd({ root, clock, isOld });
  const commands = createCommands(root, systemd);
  return {
    clock,
    engine,
    systemd,
    root,
    powerCut() {
      engine.powerCut();
      boot();
    },
    options: {
      isRoot: process.getuid?.() === 0,
      root,
      filesOnly: false,
      dockerSocket: '/run/docker.sock',
      busSocket: '/run/dbus/system_bus_socket',
      stagingDir: '/var/lib/fairlead/staging',
      clock,
      kernel: createKernelSettings(path.join(root, 'proc/sys')),
      async exec(argv, options) {
        if (argv[0] === 'sync' && argv.includes(engine.info.DockerRootDir ?? '')) engine.sync();
        return commands(argv, options);
      },
      systemd: before?.(systemd.systemd) ?? systemd.systemd,
      docker: docker?.(engine.docker) ?? engine.docker,
    },
    end: () => rmSync(root, { recursive: true, force: true, maxRetries: 10 }),
  };
}

/** The agent's engine over it; with `rollback`, a commit that does not settle is rolled back. */
export const reconcilerOn = (host: FakeHost, options: { rollback?: boolean } = {}): Reconciler =>
  createReconciler({ ...options, host: host.options });
