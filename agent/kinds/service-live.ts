/** What a hand can change on a container without making it anew: `docker rename`, `docker update`. */
import type { ServiceSpec } from '../compose/model.ts';
import type { Reason } from '../core/types.ts';
import type { ContainerInfo } from '../system/docker.ts';

/** Pure. Of a container that was made from this very declaration. */
export function liveDifferences(spec: ServiceSpec, { HostConfig: host }: ContainerInfo): Reason[] {
  const policy = host.RestartPolicy;
  const pairs: readonly (readonly [string, string | number, string | number])[] = [
    ['mem_limit', host.Memory ?? 0, spec.memory],
    ['cpus', host.NanoCpus ?? 0, spec.nanoCpus],
    [
      'restart',
      `${policy?.Name || 'no'}:${policy?.MaximumRetryCount ?? 0}`,
      `${spec.restart.name}:${spec.restart.maximumRetryCount}`,
    ],
  ];
  return pairs.flatMap(([field, from, to]) => (from === to ? [] : [{ field, from: String(from), to: String(to) }]));
}

/** Another name than declared, or null. */
export function nameDifference(spec: ServiceSpec, info: ContainerInfo): Reason | null {
  const name = info.Name.replace(/^\//, '');
  return name === spec.containerName ? null : { field: 'container_name', from: name, to: spec.containerName };
}
