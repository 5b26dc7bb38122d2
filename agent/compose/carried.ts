/** What of the model this version carries out on the engine. All else is an error that says so, never silence. Pure. */
import type { Issue } from '../core/types.ts';
import type { LoadedProject } from './load.ts';
import type { KeyPath } from './node.ts';

const below = (parent: string, keys: string): string[] => keys.split(' ').map((key) => `${parent}.${key}`);

/** Paths of the Specification, each with all that is below it: `*` is any name, `[]` any item. */
const CARRIED: ReadonlySet<string> = new Set([
  'name',
  ...below(
    'services.*',
    'image command entrypoint environment env_file expose labels label_file container_name hostname user working_dir read_only privileged init cap_add cap_drop extra_hosts extends tmpfs stop_signal stop_grace_period restart pull_policy pull_refresh_after profiles attach logging',
  ),
  ...below(
    'services.*',
    'annotations blkio_config cgroup cgroup_parent device_cgroup_rules devices dns dns_opt dns_search domainname gpus group_add ipc links external_links mac_address network_mode pid platform runtime security_opt shm_size stdin_open storage_opt sysctls tty ulimits userns_mode uts volumes_from',
  ),
  ...below(
    'services.*',
    'mem_limit mem_reservation mem_swappiness memswap_limit oom_kill_disable oom_score_adj pids_limit cpus cpuset cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares',
  ),
  ...below('services.*', 'scale post_start pre_stop use_api_socket'),
  ...below('services.*.deploy', 'mode replicas update_config'),
  ...below('services.*.deploy.resources', 'limits reservations.memory reservations.devices'),
  ...below('services.*.deploy.restart_policy', 'condition max_attempts'),
  // Hints for a scheduler, and timings that no engine keeps: docker compose passes them on to nobody, nor do we.
  ...['services.*.deploy.resources.reservations.cpus', ...below('services.*.deploy.restart_policy', 'delay window')],
  ...below('services.*.healthcheck', 'test interval timeout start_period start_interval retries disable'),
  ...below(
    'services.*.networks.*',
    'aliases ipv4_address ipv6_address link_local_ips mac_address driver_opts priority interface_name gw_priority',
  ),
  ...below('services.*.depends_on.*', 'condition required restart'),
  // Names and protocols of applications say nothing to an engine; on one host all modes are the same.
  ...below('services.*.ports[]', 'mode host_ip target published protocol name app_protocol'),
  ...below(
    'services.*.volumes[]',
    'type source target read_only consistency bind.create_host_path bind.propagation bind.recursive bind.selinux volume.nocopy volume.subpath volume.labels tmpfs image',
  ),
  ...below('networks.*', 'name driver driver_opts internal labels external attachable enable_ipv4 enable_ipv6'),
  ...below('networks.*.ipam', 'driver config'),
  ...below('volumes.*', 'name driver driver_opts labels external'),
  ...below('services.*.configs[]', 'source target uid gid mode'),
  ...below('services.*.secrets[]', 'source target uid gid mode'),
  // Their labels are those of objects in a swarm.
  ...below('configs.*', 'name file content environment external labels'),
  ...below('secrets.*', 'name file environment external labels'),
  // Gone, or the long form, once the files are read.
  ...['version', 'include', 'services.*.depends_on[]', 'services.*.networks[]'],
]);

/** Something below the path is carried out, or the path itself is. */
export const isCarried = (path: string): boolean => {
  const steps = path.split(/\.|(?=\[\])/);
  return steps.some((_, i) => CARRIED.has(joined(steps.slice(0, i + 1)))) || isParent(path);
};
const joined = (steps: readonly string[]): string => steps.join('.').replaceAll('.[]', '[]');
const isParent = (path: string): boolean =>
  [...CARRIED].some((carried) => carried.startsWith(path) && /^[.[]/.test(carried.slice(path.length)));

/** Every value of the project that nothing is done about yet. */
export function notYet({ project, origin }: LoadedProject): Issue[] {
  const issues: Issue[] = [];
  const report = (path: KeyPath, what: string) => {
    const { file, line, column } = origin(path);
    const message = `\`${what}\` is read, but not carried out by this version yet; remove it`;
    issues.push({ file, line, column, key: path.join('.'), message, severity: 'error' });
  };
  const walk = (value: unknown, pattern: string, path: KeyPath) => {
    if (CARRIED.has(pattern) || isEmpty(value)) return;
    if (!isParent(pattern)) report(path, String(path.at(-1)));
    else if (Array.isArray(value)) for (const [i, item] of value.entries()) walk(item, `${pattern}[]`, [...path, i]);
    else
      for (const [key, item] of Object.entries(value as object))
        walk(item, `${pattern}.${NAMED.test(pattern) ? '*' : key}`, [...path, key]);
  };
  for (const [section, value] of Object.entries(project))
    if (!section.startsWith('x-')) walk(value, section, [section]);
  return issues;
}

const NAMED = /^(services|networks|volumes|configs|secrets|services\.\*\.(networks|depends_on))$/;

const isEmpty = (value: unknown): boolean =>
  value === null || (typeof value === 'object' && (Array.isArray(value) ? value : Object.values(value)).every(isEmpty));
