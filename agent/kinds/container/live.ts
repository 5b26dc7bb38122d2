/** Settings that the Docker engine can change while a container runs: networks, limits and restart policy. */
import type { ServiceSpec } from '../../compose/stack/model.ts';
import type { Reason } from '../../core/types.ts';
import type { ContainerInfo, Docker, LiveUpdate } from '../../system/docker/docker.ts';
import { asked, endpoint, type Peer } from './request.ts';

/** Keys that can be changed live as long as they keep a value: Docker understands 0 as `unchanged`. */
const LIVE = ['mem_limit', 'mem_reservation', 'memswap_limit', 'cpus', 'cpu_shares', 'cpuset', 'pids_limit'];
export const LIVE_FIELDS = [
  'Memory',
  'MemoryReservation',
  'MemorySwap',
  'NanoCpus',
  'CpuShares',
  'CpusetCpus',
  'PidsLimit',
];

/** The network on which a container was created; it cannot be removed from the container. */
const FIRST = 'networks.first';
/** Networks of Docker itself. */
const MODES = ['host', 'none', 'bridge'];

/** Whether the field may have been changed by hand on a container of this declaration. */
export const isChangeable = ({ field }: Reason): boolean =>
  field === 'restart' || field === 'container_name' || field.split('.')[0] === 'networks' || LIVE.includes(field);

export const isLive = (reason: Reason): boolean =>
  isChangeable(reason) && reason.field !== FIRST && !(LIVE.includes(reason.field) && reason.to === 'none');

/** A name other than declared, from `docker rename`. Pure. */
export function nameDifference(spec: ServiceSpec, info: ContainerInfo): Reason[] {
  const name = info.Name.replace(/^\//, '');
  return name === spec.containerName ? [] : [{ field: 'container_name', from: name, to: spec.containerName }];
}

interface Attached {
  NetworkID?: string;
  Aliases?: string[] | null;
  GwPriority?: number;
  IPAMConfig?: { IPv4Address?: string; IPv6Address?: string; LinkLocalIPs?: string[] } | null;
  DriverOpts?: Record<string, string> | null;
}

const attached = (info: ContainerInfo) => (info.NetworkSettings.Networks ?? {}) as Record<string, Attached>;

/** Networks that are missing, superfluous, or attached with other names or addresses. Pure. */
export function networkDifferences(spec: ServiceSpec, info: ContainerInfo): Reason[] {
  if (spec.networkMode) return [];
  const has = attached(info);
  const wanted = new Map(spec.networks.map((n) => [n.name, n]));
  const stated = info.HostConfig.NetworkMode ?? '';
  // An external network is stored as its id.
  const mode = Object.entries(has).find(([, at]) => at.NetworkID === stated)?.[0] ?? stated;
  const first = spec.networks[0]?.name ?? 'none';
  // The network on which it was created cannot be detached.
  if (!wanted.has(mode) && mode !== first)
    return [
      { field: Object.hasOwn(has, mode) && !MODES.includes(mode) ? FIRST : 'network_mode', from: mode, to: first },
    ];
  const why: Reason[] = [];
  for (const name of Object.keys(has))
    if (!wanted.has(name) && name !== 'none') why.push({ field: 'networks', from: name, to: 'not connected' });
  for (const [name, how] of wanted) {
    const at = has[name];
    if (at === undefined) {
      why.push({ field: 'networks', from: 'not connected', to: name });
      continue;
    }
    const should = new Set([spec.containerName, spec.service, ...how.aliases]);
    // Older versions of Docker add the container's short id and host name themselves.
    const given = [info.Id.slice(0, 12), info.Config.Hostname];
    const aliases = new Set((at.Aliases ?? []).filter((a) => should.has(a) || !given.includes(a)));
    if (aliases.size !== should.size || [...should].some((a) => !aliases.has(a)))
      why.push({ field: `networks.${name}.aliases`, from: [...aliases].join(' '), to: [...should].join(' ') });
    for (const [key, from, to] of [
      ['ipv4_address', at.IPAMConfig?.IPv4Address, how.ipv4],
      ['ipv6_address', at.IPAMConfig?.IPv6Address, how.ipv6],
      ['link_local_ips', (at.IPAMConfig?.LinkLocalIPs ?? []).join(' '), how.linkLocal.join(' ')],
      ['driver_opts', written(at.DriverOpts), written(how.driverOptions)],
      [
        'gw_priority',
        at.GwPriority ? String(at.GwPriority) : '',
        how.gatewayPriority ? String(how.gatewayPriority) : '',
      ],
    ] as const)
      if ((from ?? '') !== to) why.push({ field: `networks.${name}.${key}`, from: from || 'any', to: to || 'any' });
  }
  return why;
}

const written = (options: Record<string, string> | null | undefined): string =>
  Object.entries(options ?? {})
    .map(([key, value]) => `${key}=${value}`)
    .sort()
    .join(' ');

/** Makes the changes that `isLive` allows. */
export async function updateLive(
  docker: Docker,
  spec: ServiceSpec,
  info: ContainerInfo,
  why: readonly Reason[],
  peers: ReadonlyMap<string, Peer>,
): Promise<void> {
  if (why.some((r) => r.field === 'container_name')) await docker.rename(info.Id, spec.containerName);
  if (why.some((r) => r.field === 'restart' || LIVE.includes(r.field))) {
    const host = asked(spec, peers).host;
    const limits = Object.fromEntries(LIVE_FIELDS.flatMap((key) => (host[key] ? [[key, host[key]]] : [])));
    // Without a declared swap limit, it follows the memory limit, as when the container is created.
    if (limits.Memory && !limits.MemorySwap) limits.MemorySwap = 2 * Number(limits.Memory);
    await docker.update(info.Id, { ...limits, RestartPolicy: host.RestartPolicy } as LiveUpdate);
  }
  if (!why.some((r) => r.field.split('.')[0] === 'networks')) return;
  // A network that was recreated after the plan was made has lost its containers.
  const now = (await docker.inspect(info.Id)) ?? info;
  const has = attached(now);
  const changed = (name: string) => why.some((r) => r.field.startsWith(`networks.${name}.`));
  for (const name of Object.keys(has))
    if (!spec.networks.some((n) => n.name === name) || changed(name)) await docker.disconnect(name, info.Id);
  for (const network of spec.networks)
    if (!Object.hasOwn(has, network.name) || changed(network.name))
      await docker.connect(network.name, info.Id, endpoint(spec, network, peers));
}
