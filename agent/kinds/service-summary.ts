/** A container as a person wants to see it: one screen, not the engine's whole answer. Pure. */
import type { ContainerInfo } from '../system/docker.ts';

export function summary({ Id, Name, Config, State, Mounts, NetworkSettings, HostConfig }: ContainerInfo): object {
  const networks = Object.entries(NetworkSettings.Networks ?? {}).map(([name, { IPAddress }]) =>
    `${name} ${IPAddress}`.trim(),
  );
  const ports = Object.entries(NetworkSettings.Ports ?? {}).flatMap(([inside, outside]) =>
    (outside ?? []).map(({ HostIp, HostPort }) => `${HostIp}:${HostPort} → ${inside}`),
  );
  const mounts = Mounts.map((m) => `${m.Name ?? m.Source} → ${m.Destination}${m.RW ? '' : ' (read only)'}`);
  return {
    container: `${Name.replace(/^\//, '')} ${Id.slice(0, 12)}`,
    image: Config.Image,
    state: State.Health ? `${State.Status}, ${State.Health.Status}` : State.Status,
    ...(State.Running ? { startedAt: State.StartedAt } : { exitCode: State.ExitCode, finishedAt: State.FinishedAt }),
    restart: HostConfig.RestartPolicy?.Name || 'no',
    networks,
    ports,
    mounts,
  };
}
