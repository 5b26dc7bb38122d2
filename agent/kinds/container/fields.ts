/** The fields of a container as the engine names them, and how each is compared. Data alone. */
import { LIVE_FIELDS } from './live.ts';

/** Fields of the engine's API → keys of a compose file. Without an entry here the engine's own name is shown. */
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

/** What the image says where the declaration says nothing. */
export const OF_THE_IMAGE = ['Cmd', 'Entrypoint', 'User', 'WorkingDir', 'StopSignal', 'Healthcheck'];
/** Not compared by value: shown elsewhere, in other words, or the engine's own choice where nothing is declared. */
export const APART = [
  // Dropped by the engine where the kernel has no such weights.
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
/** What a container shows by itself, and what may have been changed while it ran: no digest tells more. */
export const VISIBLE = ['Labels', 'Env', 'mac_address', 'RestartPolicy', 'NetworkMode', 'Links', ...LIVE_FIELDS];
/** Whose namespace it is in: the engine keeps ids, a compose file names. */
export const NAMESPACES = ['PidMode', 'IpcMode'];
/** Remembered as it is: names, and addresses that `docker inspect` shows anyway. */
export const PLAIN = ['Labels', 'Env', 'mac_address'];
/** Of these the order says nothing. */
export const SETS = ['CapAdd', 'CapDrop', 'ExtraHosts', 'GroupAdd', 'SecurityOpt', 'Ulimits', 'DeviceCgroupRules'];
