/** A container in memory in the two forms of the Engine API: inspected by itself, and in the list. */
import type { ContainerInfo, ContainerSummary } from '../../../agent/system/docker/docker.ts';
import { asMounts } from './create.ts';
import { listed } from './ports.ts';
import { type FakeContainer, imageOf, type State } from './state.ts';

/** Docker reports "never" as year 1. */
const NEVER = '0001-01-01T00:00:00Z';
const dated = (ms: number | null): string => (ms === null ? NEVER : new Date(ms).toISOString());

export function inspected(c: FakeContainer): ContainerInfo {
  const ports = Object.keys(c.config.ExposedPorts ?? {}).map((key): [string, null] => [key, null]);
  const published = Map.groupBy(c.ports, (p) => `${p.inside}/${p.protocol}`);
  return structuredClone({
    Id: c.id,
    Name: `/${c.name}`,
    Image: c.imageId,
    Config: c.config,
    HostConfig: c.host,
    Mounts: asMounts(c.mounts),
    RestartCount: c.restarts,
    State: {
      Status: c.status,
      Running: c.status === 'running' || c.status === 'restarting',
      Paused: false,
      Restarting: c.status === 'restarting',
      OOMKilled: false,
      Pid: c.pid,
      ExitCode: c.exitCode,
      Error: c.error,
      StartedAt: dated(c.startedAt),
      FinishedAt: dated(c.finishedAt),
      ...(c.health === null ? {} : { Health: { Status: c.health, FailingStreak: c.failedProbes, Log: [] } }),
    },
    NetworkSettings: {
      Networks: Object.fromEntries(c.networks),
      Ports: {
        ...Object.fromEntries(ports),
        ...Object.fromEntries(
          [...published].map(([key, all]) => [key, all.map((p) => ({ HostIp: p.ip, HostPort: String(p.port) }))]),
        ),
      },
    },
  });
}

export function summary(state: State, c: FakeContainer): ContainerSummary {
  // A name that is another image now, or none, says nothing about this container any more.
  const isCurrent = imageOf(state, c.config.Image)?.id === c.imageId;
  return structuredClone({
    Id: c.id,
    Names: [`/${c.name}`],
    Image: isCurrent ? c.config.Image : c.imageId,
    ImageID: c.imageId,
    Labels: c.config.Labels,
    State: c.status,
    Status: c.status === 'running' ? `Up${c.health === null ? '' : ` (${c.health})`}` : c.status,
    Ports: c.ports.map(listed),
    NetworkSettings: { Networks: Object.fromEntries(c.networks) },
    Mounts: asMounts(c.mounts),
  });
}
