/** A short description of a container for people: one screen instead of Docker's whole answer. Pure. */
import type { ContainerInfo } from '../../system/docker/docker.ts';
import { nameOf, type ServiceFact } from '../container/fact.ts';

/** One container as an object, several as a list. */
export function describe({ replicas, parked, fresh, failed }: ServiceFact): object {
  const all = replicas.map(({ info, log }) => ({ ...summary(info), ...(log ? { log } : {}) }));
  const aside = [...parked, ...fresh, ...failed].map(({ info }) => nameOf(info));
  return { ...(all.length === 1 ? all[0] : { containers: all }), ...(aside.length > 0 ? { aside } : {}) };
}

function summary({ Id, Name, Config, State, Mounts, NetworkSettings, HostConfig }: ContainerInfo): object {
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
