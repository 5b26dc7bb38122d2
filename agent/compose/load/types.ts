/** A project as `docker compose config --format json` prints it: every short form written out, every path absolute. */

export interface ComposeProject {
  name: string;
  services: Record<string, ComposeService>;
  networks?: Record<string, ComposeNetwork>;
  volumes?: Record<string, ComposeVolume>;
  configs?: Record<string, ComposeFileObject>;
  secrets?: Record<string, ComposeFileObject>;
  [extension: `x-${string}`]: unknown;
}

/** Durations are Go's texts (`1m30s`), sizes decimal texts of bytes (`"536870912"`). */
export interface ComposeService {
  annotations?: Record<string, string>;
  attach?: boolean;
  blkio_config?: ComposeBlkio;
  build?: unknown;
  cap_add?: string[];
  cap_drop?: string[];
  cgroup?: string;
  cgroup_parent?: string;
  /** null leaves the image's own. */
  command: string[] | null;
  configs?: ComposeFileMount[];
  container_name?: string;
  cpu_count?: number;
  cpu_percent?: number;
  cpu_period?: number;
  cpu_quota?: number;
  cpu_rt_period?: number;
  cpu_rt_runtime?: number;
  cpu_shares?: number;
  cpus?: number;
  cpuset?: string;
  credential_spec?: unknown;
  depends_on?: Record<string, ComposeDependency>;
  deploy?: ComposeDeploy;
  develop?: unknown;
  device_cgroup_rules?: string[];
  devices?: { source: string; target?: string; permissions?: string }[];
  dns?: string[];
  dns_opt?: string[];
  dns_search?: string[];
  domainname?: string;
  entrypoint: string[] | null;
  /** null: named, and no variable of that name is set. */
  environment?: Record<string, string | null>;
  expose?: string[];
  external_links?: string[];
  /** `host=address`, sorted. */
  extra_hosts?: string[];
  gpus?: ComposeDeviceRequest[];
  group_add?: string[];
  healthcheck?: ComposeHealthcheck;
  hostname?: string;
  image?: string;
  init?: boolean;
  ipc?: string;
  isolation?: string;
  labels?: Record<string, string>;
  links?: string[];
  logging?: { driver?: string; options?: Record<string, string> };
  mac_address?: string;
  mem_limit?: string;
  mem_reservation?: string;
  mem_swappiness?: string;
  memswap_limit?: string;
  models?: unknown;
  network_mode?: string;
  /** null: with no settings of its own. */
  networks?: Record<string, ComposeAttachment | null>;
  oom_kill_disable?: boolean;
  oom_score_adj?: number;
  pid?: string;
  pids_limit?: number;
  platform?: string;
  ports?: ComposePort[];
  post_start?: ComposeHook[];
  pre_start?: ComposeHook[];
  pre_stop?: ComposeHook[];
  privileged?: boolean;
  profiles?: string[];
  provider?: unknown;
  pull_policy?: string;
  pull_refresh_after?: string;
  read_only?: boolean;
  restart?: string;
  runtime?: string;
  scale?: number;
  secrets?: ComposeFileMount[];
  security_opt?: string[];
  shm_size?: string;
  stdin_open?: boolean;
  stop_grace_period?: string;
  stop_signal?: string;
  storage_opt?: Record<string, string>;
  sysctls?: Record<string, string>;
  tmpfs?: string[];
  tty?: boolean;
  /** null where both are 0. */
  ulimits?: Record<string, number | { soft?: number; hard?: number } | null>;
  use_api_socket?: boolean;
  user?: string;
  userns_mode?: string;
  uts?: string;
  volumes?: ComposeMount[];
  volumes_from?: string[];
  working_dir?: string;
}

export interface ComposeBlkio {
  device_read_bps?: { Path: string; Rate: string }[];
  device_read_iops?: { Path: string; Rate: string }[];
  device_write_bps?: { Path: string; Rate: string }[];
  device_write_iops?: { Path: string; Rate: string }[];
  weight?: number;
  weight_device?: { Path: string; Weight: number }[];
}

export interface ComposeDependency {
  condition: 'service_started' | 'service_healthy' | 'service_completed_successfully';
  required: boolean;
  restart?: boolean;
}

export interface ComposeDeploy {
  mode?: string;
  replicas?: number;
  update_config?: ComposeUpdate;
  resources?: {
    limits?: { cpus?: number; memory?: string; pids?: number };
    reservations?: { cpus?: number; memory?: string; devices?: ComposeDeviceRequest[] };
  };
  restart_policy?: { condition?: string; delay?: string; max_attempts?: number; window?: string };
}

export interface ComposeUpdate {
  parallelism?: number;
  delay?: string;
  failure_action?: string;
  monitor?: string;
  max_failure_ratio?: number;
  order?: 'start-first' | 'stop-first';
}

/** `count: -1` is all. */
export interface ComposeDeviceRequest {
  capabilities?: string[];
  count?: number;
  device_ids?: string[];
  driver?: string;
  options?: Record<string, string>;
}

export interface ComposeHealthcheck {
  test?: string[];
  interval?: string;
  timeout?: string;
  start_period?: string;
  start_interval?: string;
  retries?: number;
  disable?: boolean;
}

export interface ComposeHook {
  command: string[] | null;
  user?: string;
  privileged?: boolean;
  working_dir?: string;
  environment?: Record<string, string | null>;
  image?: string;
  per_replica?: boolean;
}

export interface ComposeAttachment {
  aliases?: string[];
  ipv4_address?: string;
  ipv6_address?: string;
  link_local_ips?: string[];
  mac_address?: string;
  interface_name?: string;
  driver_opts?: Record<string, string>;
  priority?: number;
  gw_priority?: number;
}

export interface ComposePort {
  name?: string;
  mode?: string;
  host_ip?: string;
  target: number;
  /** A port or a range such as `8000-8010`. */
  published?: string;
  protocol?: string;
  app_protocol?: string;
}

export interface ComposeMount {
  type: string;
  source?: string;
  target?: string;
  read_only?: boolean;
  consistency?: string;
  bind?: { propagation?: string; create_host_path?: boolean; recursive?: string; selinux?: string };
  volume?: { nocopy?: boolean; subpath?: string; labels?: Record<string, string> };
  tmpfs?: { size?: string; mode?: number };
  image?: { subpath?: string };
}

/** A config or secret as a service sees it. */
export interface ComposeFileMount {
  source?: string;
  target?: string;
  uid?: string;
  gid?: string;
  /** Octal, with a 0 before it. */
  mode?: string;
}

export interface ComposeNetwork {
  name: string;
  driver?: string;
  driver_opts?: Record<string, string>;
  ipam: {
    driver?: string;
    config?: { subnet?: string; ip_range?: string; gateway?: string; aux_addresses?: Record<string, string> }[];
  };
  external?: boolean;
  internal?: boolean;
  attachable?: boolean;
  enable_ipv4?: boolean;
  enable_ipv6?: boolean;
  labels?: Record<string, string>;
}

export interface ComposeVolume {
  name: string;
  driver?: string;
  driver_opts?: Record<string, string>;
  external?: boolean;
  labels?: Record<string, string>;
}

/** A config or a secret of the project. */
export interface ComposeFileObject {
  name: string;
  file?: string;
  /** Only for configs. */
  content?: string;
  environment?: string;
  external?: boolean;
  labels?: Record<string, string>;
}
