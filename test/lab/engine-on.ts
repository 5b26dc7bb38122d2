/**
 * The agent's own engine in this process, working on a lab host: its files and sockets are reached through the root of its init.
 */
import { systemClock } from '../../agent/system/clock.ts';
import { createDocker, type Docker } from '../../agent/system/docker/docker.ts';
import { exec } from '../../agent/system/exec.ts';
import { createReconciler, type Reconciler, type ReconcilerOptions } from '../reconciler.ts';
import type { LabHost } from './lab.ts';

export { done, whyOf } from '../reconciler.ts';
export type EngineOn = Reconciler;

export interface EngineOnOptions extends Omit<ReconcilerOptions, 'host'> {
  /** Wraps the host's Docker engine, between it and the providers. */
  docker?: (real: Docker) => Docker;
}

/** Starts with an empty memory: each engine is a first start. */
export async function engineOn(host: LabHost, { docker, ...options }: EngineOnOptions = {}): Promise<EngineOn> {
  const pid = await host.pid();
  const root = `/proc/${pid}/root`;
  const dockerSocket = `${root}/run/docker.sock`;
  return createReconciler({
    ...options,
    host: {
      isRoot: true,
      root,
      filesOnly: false,
      dockerSocket,
      busSocket: `${root}/run/dbus/system_bus_socket`,
      stagingDir: '/var/lib/fairlead/staging',
      clock: systemClock,
      exec: (argv, given) => exec(['nsenter', '-t', String(pid), '-m', '-u', '-i', '-n', '-p', '--', ...argv], given),
      ...(docker ? { docker: docker(createDocker({ socket: dockerSocket })) } : {}),
    },
  });
}
