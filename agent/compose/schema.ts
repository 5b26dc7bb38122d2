/** The keys of a compose file that this version carries out; everything else is an error, never left out in silence. */
import { z } from 'zod';

const scalar = z.union([z.string(), z.number(), z.boolean()]);
const text = z.union([z.string(), z.number()]);
const mapOrList = z.union([z.record(z.string(), z.union([scalar, z.null()])), z.array(z.string())]);
const command = z.union([z.string(), z.array(text), z.null()]);

const port = z.union([
  text,
  z.strictObject({
    target: text,
    published: text.optional(),
    protocol: z.enum(['tcp', 'udp', 'sctp']).optional(),
    host_ip: z.string().optional(),
    mode: z.string().optional(),
    name: z.string().optional(),
    app_protocol: z.string().optional(),
  }),
]);

const volume = z.union([
  z.string(),
  z.strictObject({
    type: z.enum(['bind', 'volume', 'tmpfs']),
    source: z.string().optional(),
    target: z.string(),
    read_only: z.boolean().optional(),
  }),
]);

const healthcheck = z.strictObject({
  test: z.union([z.string(), z.array(z.string())]).optional(),
  interval: z.string().optional(),
  timeout: z.string().optional(),
  start_period: z.string().optional(),
  retries: text.optional(),
  disable: z.boolean().optional(),
});

const dependsOn = z.union([
  z.array(z.string()),
  z.record(
    z.string(),
    z.strictObject({
      condition: z.enum(['service_started', 'service_healthy', 'service_completed_successfully']).optional(),
      required: z.boolean().optional(),
    }),
  ),
]);

export const serviceSchema = z.strictObject({
  image: z.string(),
  command: command.optional(),
  entrypoint: command.optional(),
  environment: mapOrList.nullable().optional(),
  env_file: z.union([z.string(), z.array(z.string())]).optional(),
  ports: z.array(port).optional(),
  expose: z.array(text).optional(),
  volumes: z.array(volume).optional(),
  restart: z
    .string()
    .regex(/^(no|always|unless-stopped|on-failure(:\d+)?)$/, 'must be no, always, unless-stopped or on-failure[:count]')
    .optional(),
  labels: mapOrList.nullable().optional(),
  healthcheck: healthcheck.optional(),
  networks: z
    .union([
      z.array(z.string()),
      z.record(z.string(), z.strictObject({ aliases: z.array(z.string()).optional() }).nullable()),
    ])
    .optional(),
  network_mode: z.enum(['host', 'none', 'bridge']).optional(),
  depends_on: dependsOn.optional(),
  container_name: z.string().optional(),
  hostname: z.string().optional(),
  user: text.optional(),
  working_dir: z.string().optional(),
  read_only: z.boolean().optional(),
  privileged: z.boolean().optional(),
  init: z.boolean().optional(),
  cap_add: z.array(z.string()).optional(),
  cap_drop: z.array(z.string()).optional(),
  extra_hosts: z.union([z.array(z.string()), z.record(z.string(), z.string())]).optional(),
  tmpfs: z.union([z.string(), z.array(z.string())]).optional(),
  stop_signal: z.string().optional(),
  stop_grace_period: z.string().optional(),
  mem_limit: text.optional(),
  cpus: text.optional(),
  logging: z
    .strictObject({ driver: z.string().optional(), options: z.record(z.string(), scalar).optional() })
    .optional(),
  pull_policy: z.enum(['missing', 'if_not_present', 'always', 'never']).optional(),
});
export type ServiceEntry = z.infer<typeof serviceSchema>;

export const networkSchema = z.strictObject({
  name: z.string().optional(),
  driver: z.string().optional(),
  driver_opts: z.record(z.string(), scalar).optional(),
  internal: z.boolean().optional(),
  external: z.literal(false, 'is not supported by this version yet').optional(),
  labels: mapOrList.optional(),
});

export const volumeSchema = z.strictObject({
  name: z.string().optional(),
  driver: z.string().optional(),
  driver_opts: z.record(z.string(), scalar).optional(),
  external: z.literal(false, 'is not supported by this version yet').optional(),
  labels: mapOrList.optional(),
});

export const composeSchema = z.strictObject({
  name: z.string().optional(),
  services: z.record(z.string(), serviceSchema).nullable().optional(),
  networks: z.record(z.string(), networkSchema.nullable()).nullable().optional(),
  volumes: z.record(z.string(), volumeSchema.nullable()).nullable().optional(),
});
export type ComposeFile = z.infer<typeof composeSchema>;

/** Keys that Compose has and one engine cannot honour, with what to do instead. */
export const IMPOSSIBLE: Record<string, string> = {
  build: 'a host does not build; push the image to a registry and name it with `image`',
  develop: 'is for a development machine; remove it',
  provider: 'is not run on hosts; remove it',
  models: 'is not run on hosts; remove it',
};
/** Keys that Compose has and a later version of fairlead will carry out. */
export const LATER =
  'annotations attach blkio_config cgroup cgroup_parent configs secrets cpu_count cpu_percent cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares cpuset credential_spec deploy device_cgroup_rules devices dns dns_opt dns_search domainname extends external_links gpus group_add ipc isolation links mac_address mem_reservation mem_swappiness memswap_limit oom_kill_disable oom_score_adj pid pids_limit platform post_start pre_stop profiles runtime scale security_opt shm_size stdin_open storage_opt sysctls tty ulimits userns_mode uts volumes_from ipam attachable enable_ipv6 enable_ipv4 include'.split(
    ' ',
  );
