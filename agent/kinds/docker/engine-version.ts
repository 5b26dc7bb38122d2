/**
 * Keys that need a newer Docker engine, from the Engine API's version history. An older engine silently ignores such a field.
 */
import { INTERFACE_NAME, type NetworkSpec, type ServiceSpec } from '../../compose/stack/model.ts';
import type { Work } from '../../core/provider.ts';
import type { ResourceId } from '../../core/types.ts';
import { AgentError } from '../../errors.ts';
import type { Docker } from '../../system/docker/docker.ts';
import { imageMounts } from './image-mounts.ts';

/** A key of the compose file, and the first API version that supports it. */
export interface Need {
  key: string;
  api: string;
}

/** The Docker releases of these API versions. */
const RELEASES: Record<string, string> = {
  '1.41': '20.10',
  '1.42': '23.0',
  '1.43': '24.0',
  '1.44': '25.0',
  '1.45': '26.0',
  '1.48': '28.0',
  '1.49': '28.1',
};

const bindOptions = ({ mounts }: ServiceSpec, key: string): boolean =>
  mounts.some(({ mount }) => (mount?.BindOptions as Record<string, unknown> | undefined)?.[key] !== undefined);

/** https://docs.docker.com/reference/api/engine/version-history; newest last. */
const SERVICE: readonly (Need & { used(spec: ServiceSpec): boolean })[] = [
  { key: 'cgroup', api: '1.41', used: ({ engine }) => engine.host.CgroupnsMode !== undefined },
  { key: 'platform', api: '1.41', used: ({ platform }) => platform !== '' },
  {
    key: 'volumes.bind.create_host_path',
    api: '1.42',
    used: (spec) => bindOptions(spec, 'CreateMountpoint'),
  },
  { key: 'annotations', api: '1.43', used: ({ engine }) => engine.host.Annotations !== undefined },
  {
    key: 'healthcheck.start_interval',
    api: '1.44',
    used: ({ healthcheck }) => (healthcheck?.startInterval ?? '') !== '',
  },
  {
    key: 'volumes.bind.recursive',
    api: '1.44',
    used: (spec) => bindOptions(spec, 'ReadOnlyNonRecursive') || bindOptions(spec, 'ReadOnlyForceRecursive'),
  },
  {
    // Older versions of Docker use the first network's address as the container's.
    key: 'networks.mac_address',
    api: '1.44',
    used: ({ networks }) => networks.slice(1).some(({ mac }) => mac !== ''),
  },
  {
    key: 'volumes.volume.subpath',
    api: '1.45',
    used: ({ mounts }) => mounts.some(({ mount }) => 'Subpath' in ((mount?.VolumeOptions as object) ?? {})),
  },
  {
    key: 'volumes.type: image',
    api: '1.48',
    used: (spec) => imageMounts(spec).length > 0,
  },
  {
    key: 'networks.gw_priority',
    api: '1.48',
    used: ({ networks }) => networks.some(({ gatewayPriority }) => gatewayPriority !== 0),
  },
  {
    key: 'networks.interface_name',
    api: '1.49',
    used: ({ networks }) => networks.some(({ driverOptions }) => Object.hasOwn(driverOptions, INTERFACE_NAME)),
  },
];

export const serviceNeeds = (spec: ServiceSpec): Need[] =>
  SERVICE.filter(({ used }) => used(spec)).map(({ key, api }) => ({ key, api }));

export const networkNeeds = ({ ipv4 }: NetworkSpec): Need[] =>
  ipv4 === false ? [{ key: 'enable_ipv4', api: '1.48' }] : [];

/**
 * Refuses declarations that this host's engine does not support, before anything is changed.
 * @returns `EngineTooOld` by id, naming every such key
 */
export async function refuseTooNew<S>(
  docker: Docker,
  work: readonly Work<S>[],
  needsOf: (spec: S) => Need[],
): Promise<Map<ResourceId, AgentError>> {
  const failures = new Map<ResourceId, AgentError>();
  const asking = work.map(({ want }) => ({ id: want.id, needs: needsOf(want.spec) })).filter((w) => w.needs.length > 0);
  if (asking.length === 0) return failures;
  const { api: has } = await docker.version();
  for (const { id, needs } of asking) {
    const tooNew = needs.filter(({ api }) => isOlder(has, api));
    if (tooNew.length > 0) failures.set(id, tooOld(id, tooNew, has));
  }
  return failures;
}

function tooOld(resource: ResourceId, needs: readonly Need[], has: string): AgentError {
  const parts = needs.map(({ key, api }) => `\`${key}\` needs API ${api} (Docker ${RELEASES[api]})`);
  return new AgentError({
    code: 'EngineTooOld',
    phase: 'prepare',
    resource,
    message: `${parts.join(', ')}, and this host's engine has API ${has}; update Docker, or remove ${needs.length > 1 ? 'these keys' : 'the key'}`,
  });
}

/** `1.9` is older than `1.41`. */
export function isOlder(version: string, than: string): boolean {
  const [a = [], b = []] = [version, than].map((v) => v.split('.').map(Number));
  return (a[0] ?? 0) - (b[0] ?? 0) < 0 || (a[0] === b[0] && (a[1] ?? 0) < (b[1] ?? 0));
}
