/** Keys of a service that an engine takes nearly as they stand → fields of its API. Pure. */

import type { ComposeDeviceRequest, ComposeService } from '../load/types.ts';
import type { SecurityOptions } from './security.ts';

/** Fields of the Engine API's ContainerConfig and HostConfig; only what is declared. */
export interface EngineConfig {
  config: Record<string, unknown>;
  host: Record<string, unknown>;
}

export function engineConfig(service: ComposeService, security: SecurityOptions): EngineConfig {
  return {
    config: stated({
      Domainname: service.domainname,
      Hostname: service.hostname,
      User: service.user,
      WorkingDir: service.working_dir,
      Tty: service.tty,
      OpenStdin: service.stdin_open,
      StopSignal: service.stop_signal,
    }),
    host: stated({
      Annotations: service.annotations,
      CapAdd: service.cap_add,
      CapDrop: service.cap_drop,
      CgroupnsMode: service.cgroup,
      Dns: service.dns,
      DnsOptions: service.dns_opt,
      DnsSearch: service.dns_search,
      ExtraHosts: service.extra_hosts?.map((h) => h.replace('=', ':')),
      GroupAdd: service.group_add,
      Init: service.init,
      LogConfig: service.logging && {
        Type: service.logging.driver ?? 'json-file',
        Config: service.logging.options ?? {},
      },
      OomScoreAdj: service.oom_score_adj,
      Privileged: service.privileged,
      ReadonlyRootfs: service.read_only,
      Runtime: service.runtime,
      SecurityOpt: security.options,
      ...(security.unmasked ? { MaskedPaths: [], ReadonlyPaths: [] } : {}),
      ShmSize: sizeOf(service.shm_size),
      StorageOpt: service.storage_opt,
      Sysctls: service.sysctls,
      Tmpfs: service.tmpfs && Object.fromEntries(service.tmpfs.map(splitTmpfs)),
      UTSMode: service.uts,
      UsernsMode: service.userns_mode,
      ...resources(service),
    }),
  };
}

/** Keys below `deploy` win over the older keys, as in `docker compose`. */
function resources(service: ComposeService): Record<string, unknown> {
  const { limits, reservations } = service.deploy?.resources ?? {};
  const pids = limits?.pids || service.pids_limit;
  return {
    Memory: sizeOf(limits?.memory) || sizeOf(service.mem_limit),
    MemoryReservation: sizeOf(reservations?.memory) || sizeOf(service.mem_reservation),
    MemorySwap: sizeOf(service.memswap_limit),
    MemorySwappiness: sizeOf(service.mem_swappiness) || undefined,
    NanoCpus: nanoCpus(limits?.cpus) || nanoCpus(service.cpus),
    PidsLimit: pids || undefined,
    CpuPeriod: service.cpu_period,
    CpuQuota: service.cpu_quota,
    CpuRealtimePeriod: service.cpu_rt_period,
    CpuRealtimeRuntime: service.cpu_rt_runtime,
    CpuShares: service.cpu_shares,
    CpusetCpus: service.cpuset,
    CgroupParent: service.cgroup_parent,
    OomKillDisable: service.oom_kill_disable ?? false,
    DeviceCgroupRules: service.device_cgroup_rules,
    Devices: service.devices?.map((d) => ({
      PathOnHost: d.source,
      PathInContainer: d.target ?? d.source,
      CgroupPermissions: d.permissions ?? 'rwm',
    })),
    DeviceRequests: [
      ...(reservations?.devices ?? []).map((d) => deviceRequest(d, [])),
      ...(service.gpus ?? []).map((d) => deviceRequest(d, ['gpu'])),
    ],
    Ulimits: Object.entries(service.ulimits ?? {})
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, value]) =>
        typeof value === 'number'
          ? { Name: name, Hard: value, Soft: value }
          : { Name: name, Hard: value?.hard ?? 0, Soft: value?.soft ?? 0 },
      ),
    ...blkio(service),
  };
}

const deviceRequest = (device: ComposeDeviceRequest, always: readonly string[]) => ({
  Capabilities: [[...new Set([...(device.capabilities ?? []), ...always])]],
  Count: device.count ?? (device.device_ids ? 0 : -1),
  DeviceIDs: device.device_ids ?? [],
  Driver: device.driver ?? '',
  ...(device.options ? { Options: device.options } : {}),
});

function blkio({ blkio_config: given }: ComposeService): Record<string, unknown> {
  if (given === undefined) return {};
  const rates = (list: { Path: string; Rate: string }[] | undefined) =>
    list?.map(({ Path, Rate }) => ({ Path, Rate: Number(Rate) }));
  return {
    BlkioWeight: given.weight,
    BlkioWeightDevice: given.weight_device,
    BlkioDeviceReadBps: rates(given.device_read_bps),
    BlkioDeviceReadIOps: rates(given.device_read_iops),
    BlkioDeviceWriteBps: rates(given.device_write_bps),
    BlkioDeviceWriteIOps: rates(given.device_write_iops),
  };
}

/** `/run:size=64m` → its directory and the options behind it. */
function splitTmpfs(entry: string): [string, string] {
  const at = entry.indexOf(':');
  return at < 0 ? [entry, ''] : [entry.slice(0, at), entry.slice(at + 1)];
}

const sizeOf = (text: string | undefined): number | undefined => (text === undefined ? undefined : Number(text));
const nanoCpus = (cpus: number | undefined): number | undefined =>
  cpus === undefined ? undefined : Math.round(cpus * 1e9);

const stated = (fields: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(fields).filter(
      ([key, value]) =>
        value !== undefined &&
        // An empty list says nothing, but for the paths that are not to be masked.
        !(Array.isArray(value) && value.length === 0 && key !== 'MaskedPaths' && key !== 'ReadonlyPaths'),
    ),
  );
