/** The fields of a container by Docker's names, and how each is compared. Only data. */
import { LIVE_FIELDS } from './live.ts';

/** Fields of the Docker Engine API → keys of a compose file. A field without an entry is shown by Docker's name. */
export const NAMES: Record<string, string> = {
  Annotations: 'annotations',
  Binds: 'volumes',
  BlkioDeviceReadBps: 'blkio_config',
  BlkioDeviceReadIOps: 'blkio_config',
  BlkioDeviceWriteBps: 'blkio_config',
  BlkioDeviceWriteIOps: 'blkio_config',
  BlkioWeight: 'blkio_config',
  BlkioWeightDevice: 'blkio_config',
  CapAdd: 'cap_add',
  CapDrop: 'cap_drop',
  CgroupParent: 'cgroup_parent',
  CgroupnsMode: 'cgroup',
  Cmd: 'command',
  CpuPeriod: 'cpu_period',
  CpuQuota: 'cpu_quota',
  CpuRealtimePeriod: 'cpu_rt_period',
  CpuRealtimeRuntime: 'cpu_rt_runtime',
  CpuShares: 'cpu_shares',
  CpusetCpus: 'cpuset',
  DeviceCgroupRules: 'device_cgroup_rules',
  DeviceRequests: 'gpus',
  Devices: 'devices',
  Dns: 'dns',
  DnsOptions: 'dns_opt',
  DnsSearch: 'dns_search',
  Domainname: 'domainname',
  Entrypoint: 'entrypoint',
  Env: 'environment',
  ExposedPorts: 'expose',
  ExtraHosts: 'extra_hosts',
  GroupAdd: 'group_add',
  Healthcheck: 'healthcheck',
  Hostname: 'hostname',
  Image: 'image',
  Init: 'init',
  IpcMode: 'ipc',
  Links: 'links',
  LogConfig: 'logging',
  MaskedPaths: 'security_opt',
  Memory: 'mem_limit',
  MemoryReservation: 'mem_reservation',
  MemorySwap: 'memswap_limit',
  MemorySwappiness: 'mem_swappiness',
  Mounts: 'volumes',
  NanoCpus: 'cpus',
  NetworkMode: 'network_mode',
  OomKillDisable: 'oom_kill_disable',
  OomScoreAdj: 'oom_score_adj',
  OpenStdin: 'stdin_open',
  PidMode: 'pid',
  PidsLimit: 'pids_limit',
  PortBindings: 'ports',
  Privileged: 'privileged',
  ReadonlyPaths: 'security_opt',
  ReadonlyRootfs: 'read_only',
  RestartPolicy: 'restart',
  Runtime: 'runtime',
  SecurityOpt: 'security_opt',
  ShmSize: 'shm_size',
  StopSignal: 'stop_signal',
  StopTimeout: 'stop_grace_period',
  StorageOpt: 'storage_opt',
  Sysctls: 'sysctls',
  Tmpfs: 'tmpfs',
  Tty: 'tty',
  UTSMode: 'uts',
  Ulimits: 'ulimits',
  User: 'user',
  UsernsMode: 'userns_mode',
  VolumesFrom: 'volumes_from',
  WorkingDir: 'working_dir',
};

/** Fields that come from the image if they are not declared. */
export const OF_THE_IMAGE = ['Cmd', 'Entrypoint', 'User', 'WorkingDir', 'StopSignal', 'Healthcheck'];
/**
 * Fields that are not compared by value: they are shown elsewhere, in another form, or are Docker's choice if nothing is
 * declared.
 */
export const APART = [
  // Docker drops it if the kernel has no such weights.
  'BlkioWeight',
  'BlkioWeightDevice',
  'Env',
  'ExposedPorts',
  'Binds',
  'Mounts',
  'PortBindings',
  'RestartPolicy',
  'NetworkMode',
  'Image',
  'Links',
];
export const ENGINES_CHOICE = [
  'LogConfig',
  'Runtime',
  'CgroupnsMode',
  'OomKillDisable',
  'MaskedPaths',
  'ReadonlyPaths',
];
/** Fields that the container shows itself, or that may have been changed while it ran: a digest adds nothing. */
export const VISIBLE = ['Labels', 'Env', 'mac_address', 'RestartPolicy', 'NetworkMode', 'Links', ...LIVE_FIELDS];
/** Shared namespaces: Docker stores ids, a compose file names. */
export const NAMESPACES = ['PidMode', 'IpcMode'];
/** Fields that are remembered in plain form: names, and addresses that `docker inspect` shows anyway. */
export const PLAIN = ['Labels', 'Env', 'mac_address'];
/** Fields in which the order has no meaning. */
export const SETS = ['CapAdd', 'CapDrop', 'ExtraHosts', 'GroupAdd', 'SecurityOpt', 'Ulimits', 'DeviceCgroupRules'];
