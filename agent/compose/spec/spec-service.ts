/** The Compose Specification: a service. */
import {
  boolean,
  boolOr,
  bytes,
  command,
  dictionary,
  duration,
  hosts,
  intOr,
  joined,
  keyed,
  list,
  NAME,
  nullable,
  number,
  numberOr,
  object,
  options,
  type Shape,
  str,
  stringOrList,
  strings,
} from './shape.ts';
import { build, deploy, deviceRequest, hook, provider, ulimits, watch } from './spec-parts.ts';

const NO_WINDOWS = 'is for Windows containers; remove it';

const fileMount = (identity: 'config' | 'secret'): Shape =>
  list(
    {
      ...object({
        source: str(),
        target: str(),
        uid: str(),
        gid: str(),
        mode: numberOr({ out: 'fileMode', keep: true }),
      }),
      types: ['string'],
      longForm: 'source',
    },
    { identity },
  );

const port: Shape = {
  ...object({
    name: str(),
    mode: str(),
    host_ip: str(),
    target: intOr({ cast: 'int', out: 'uint' }),
    published: { types: ['string', 'int'], out: 'string' },
    protocol: str(),
    app_protocol: str(),
  }),
  types: ['int', 'float', 'string'],
};

const mount: Shape = {
  ...object(
    {
      type: str(),
      source: str(),
      target: str(),
      read_only: boolOr({ cast: 'bool' }),
      consistency: str(),
      bind: object({
        propagation: str(),
        create_host_path: boolOr(),
        recursive: str({ enum: ['enabled', 'disabled', 'writable', 'readonly'] }),
        selinux: str({ enum: ['z', 'Z'] }),
      }),
      volume: object({ nocopy: boolOr({ cast: 'bool' }), subpath: str(), labels: keyed('labels') }),
      tmpfs: object({ size: bytes({ types: ['int', 'string'], min: 0 }), mode: numberOr({ out: 'uint' }) }),
      image: object({ subpath: str() }),
    },
    { required: ['type'] },
  ),
  types: ['string'],
  longForm: 'mount',
};

const device: Shape = {
  ...object({ source: str(), target: str(), permissions: str() }, { required: ['source'] }),
  types: ['string'],
  longForm: 'device',
};

const healthcheck = object({
  test: { ...list(str(), { merge: 'replace', out: 'test' }), types: ['string'] },
  interval: duration({ keep: true }),
  timeout: duration({ keep: true }),
  start_period: duration({ keep: true }),
  start_interval: duration({ keep: true }),
  retries: numberOr({ cast: 'int', out: 'uint', keep: true }),
  disable: boolOr({ cast: 'bool' }),
});

const dependency = object(
  {
    restart: boolOr(),
    required: boolean({ keep: true }),
    condition: str({ enum: ['service_started', 'service_healthy', 'service_completed_successfully'] }),
  },
  { required: ['condition'] },
);

const attachment = nullable(
  object({
    aliases: strings({ identity: 'key' }),
    ipv4_address: str(),
    ipv6_address: str(),
    link_local_ips: strings({ identity: 'key' }),
    mac_address: str(),
    interface_name: str(),
    driver_opts: options(['string', 'int', 'float']),
    priority: number(),
    // The oracle reads it and loses it again.
    gw_priority: number(),
  }),
);

const blkioLimit = list(
  object(
    { path: str({ outName: 'Path', keep: true }), rate: intOr({ out: 'bytes', outName: 'Rate', keep: true }) },
    { extensible: false },
  ),
);
const blkio = object(
  {
    device_read_bps: blkioLimit,
    device_read_iops: blkioLimit,
    device_write_bps: blkioLimit,
    device_write_iops: blkioLimit,
    weight: intOr({ out: 'uint' }),
    weight_device: list(
      object(
        { path: str({ outName: 'Path', keep: true }), weight: intOr({ out: 'uint', outName: 'Weight', keep: true }) },
        { extensible: false },
      ),
    ),
  },
  { extensible: false },
);

const envFile: Shape = {
  ...list(
    {
      ...object({ path: str(), format: str(), required: boolOr() }, { extensible: false, required: ['path'] }),
      types: ['string'],
    },
    { merge: 'sequence', identity: 'path', longForm: 'env_file', out: 'drop' },
  ),
  types: ['string'],
};

const uniqueKeys = (): Shape => strings({ identity: 'key' });

export const service: Shape = object({
  annotations: joined('mapping'),
  attach: boolOr({ keep: true }),
  blkio_config: blkio,
  build,
  cap_add: uniqueKeys(),
  cap_drop: uniqueKeys(),
  cgroup: str({ enum: ['host', 'private'] }),
  cgroup_parent: str(),
  command: command({ merge: 'replace' }),
  configs: fileMount('config'),
  container_name: str({
    pattern: {
      match: /[a-zA-Z0-9][a-zA-Z0-9_.-]+/,
      says: 'must have two or more letters, digits, `_`, `.` and `-`, and begin with a letter or digit',
    },
  }),
  cpu_count: intOr({ cast: 'int', min: 0, refuse: NO_WINDOWS }),
  cpu_percent: intOr({ cast: 'float', min: 0, max: 100, out: 'float32', refuse: NO_WINDOWS }),
  cpu_period: numberOr({ cast: 'int' }),
  cpu_quota: numberOr({ cast: 'int' }),
  cpu_rt_period: numberOr({ cast: 'int' }),
  cpu_rt_runtime: numberOr({ cast: 'int' }),
  cpu_shares: numberOr({ cast: 'int' }),
  cpus: numberOr({ cast: 'float', out: 'float32' }),
  cpuset: str(),
  credential_spec: object({ config: str(), file: str(), registry: str() }, { refuse: NO_WINDOWS }),
  depends_on: {
    ...dictionary(NAME, dependency, { merge: 'depends_on', longForm: 'depends_on' }),
    items: str(),
    unique: true,
  },
  deploy,
  develop: watch,
  device_cgroup_rules: strings(),
  devices: list(device, { identity: 'device' }),
  dns: stringOrList({ merge: 'sequence', identity: 'key', longForm: 'list' }),
  dns_opt: strings({ merge: 'sequence', identity: 'key' }),
  dns_search: stringOrList({ merge: 'sequence', identity: 'key' }),
  domainname: str(),
  entrypoint: command({ merge: 'replace' }),
  env_file: envFile,
  environment: joined('environment'),
  expose: list(
    { types: ['string', 'int', 'float'], out: 'plain' },
    { unique: true, identity: 'expose', out: 'strings' },
  ),
  extends: {
    ...object(
      { service: str(), file: str() },
      { extensible: false, required: ['service'], longForm: 'extends', out: 'drop' },
    ),
    types: ['string'],
  },
  external_links: strings(),
  extra_hosts: hosts(),
  gpus: { ...list(deviceRequest({ open: true }), { longForm: 'gpus' }), types: ['string'], enum: ['all'] },
  group_add: list({ types: ['string', 'int', 'float'], out: 'plain' }, { unique: true, out: 'strings' }),
  healthcheck,
  hostname: str(),
  image: str(),
  init: boolOr({ cast: 'bool', keep: true }),
  ipc: str(),
  isolation: str({ refuse: NO_WINDOWS }),
  label_file: { ...list(str(), { merge: 'sequence', longForm: 'list', out: 'drop' }), types: ['string'] },
  labels: joined('labels'),
  links: strings({ identity: 'key' }),
  logging: object({ driver: str(), options: options(['string', 'int', 'float', 'null']) }, { merge: 'logging' }),
  mac_address: str(),
  mem_limit: bytes(),
  mem_reservation: bytes({ types: ['string', 'int'] }),
  mem_swappiness: bytes({ types: ['int', 'string'] }),
  memswap_limit: bytes(),
  models: {
    ...dictionary(NAME, nullable(object({ endpoint_var: str(), model_var: str() }))),
    items: str(),
    refuse: 'is not run on hosts; run the model as a service of its own',
  },
  network_mode: str(),
  networks: {
    ...dictionary(NAME, attachment, { merge: 'networks', longForm: 'networks' }),
    items: str(),
    unique: true,
  },
  oom_kill_disable: boolOr({ cast: 'bool' }),
  oom_score_adj: intOr({ cast: 'int', min: -1000, max: 1000 }),
  pid: nullable(str()),
  pids_limit: numberOr({ cast: 'int' }),
  platform: str(),
  ports: list(port, { unique: true, identity: 'port', longForm: 'ports' }),
  post_start: list(hook()),
  pre_start: list(hook({ image: str(), per_replica: boolOr() }), { young: true }),
  pre_stop: list(hook()),
  privileged: boolOr({ cast: 'bool' }),
  profiles: strings({ identity: 'key' }),
  provider,
  pull_policy: str({
    pattern: {
      match: /^(always|never|if_not_present|missing|build|refresh|daily|weekly|every_([0-9]+[wdhms])+)$/,
      says: 'must be always, never, missing, if_not_present, daily, weekly or every_<duration>',
    },
  }),
  pull_refresh_after: str({ young: true }),
  read_only: boolOr({ cast: 'bool' }),
  restart: str(),
  runtime: str(),
  scale: intOr({ cast: 'int', keep: true }),
  secrets: fileMount('secret'),
  security_opt: strings(),
  shm_size: bytes(),
  stdin_open: boolOr({ cast: 'bool' }),
  stop_grace_period: duration({ keep: true }),
  stop_signal: str(),
  storage_opt: { types: [], open: true, out: 'options' },
  sysctls: joined('mapping'),
  tmpfs: stringOrList({ merge: 'sequence', identity: 'key' }),
  tty: boolOr({ cast: 'bool' }),
  ulimits,
  use_api_socket: boolean(),
  user: str(),
  userns_mode: str(),
  uts: str(),
  volumes: list(mount, { unique: true, identity: 'target' }),
  volumes_from: strings(),
  working_dir: str(),
});
