/** A service's declaration ↔ the engine: what is asked for, and where a container differs from it. Pure. */
import type { ContainerCreateOptions } from 'dockerode';
import type { HealthcheckSpec, ServiceSpec } from '../compose/model.ts';
import type { Reason } from '../core/types.ts';
import type { ContainerInfo } from '../system/docker.ts';
import { COMPOSE_VERSION, HASH, NUMBER, ONEOFF, PROJECT, SERVICE } from './labels.ts';

/** The request `docker compose` makes for it, with our hash as one more label. */
export function createRequest(spec: ServiceSpec, hash: string): ContainerCreateOptions {
  const first = spec.networks[0];
  const anonymous = spec.mounts.filter((m) => m.type === 'volume' && m.source === '');
  const tmpfs = spec.mounts.filter((m) => m.type === 'tmpfs');
  return {
    name: spec.containerName,
    Image: spec.image,
    ...(spec.command ? { Cmd: spec.command } : {}),
    ...(spec.entrypoint ? { Entrypoint: spec.entrypoint } : {}),
    Env: Object.entries(spec.environment).map(([k, v]) => `${k}=${v}`),
    ...(spec.hostname ? { Hostname: spec.hostname } : {}),
    ...(spec.user ? { User: spec.user } : {}),
    ...(spec.workingDir ? { WorkingDir: spec.workingDir } : {}),
    ...(spec.stopSignal ? { StopSignal: spec.stopSignal } : {}),
    ...(spec.stopGrace === null ? {} : { StopTimeout: spec.stopGrace }),
    ...(spec.healthcheck ? { Healthcheck: healthRequest(spec.healthcheck) } : {}),
    ExposedPorts: Object.fromEntries(
      [...spec.ports.map((p) => `${p.target}/${p.protocol}`), ...spec.expose].map((p) => [p, {}]),
    ),
    Volumes: Object.fromEntries(anonymous.map((m) => [m.target, {}])),
    Labels: labelsOf(spec, hash),
    HostConfig: {
      Binds: spec.mounts
        .filter((m) => m.source !== '')
        .map((m) => `${m.source}:${m.target}:${m.readOnly ? 'ro' : 'rw'}`),
      Tmpfs: Object.fromEntries(tmpfs.map((m) => [m.target, ''])),
      PortBindings: portBindings(spec),
      RestartPolicy: { Name: spec.restart.name, MaximumRetryCount: spec.restart.maximumRetryCount },
      NetworkMode: spec.networkMode || first?.name || 'none',
      ReadonlyRootfs: spec.readOnly,
      Privileged: spec.privileged,
      ...(spec.init === null ? {} : { Init: spec.init }),
      CapAdd: spec.capAdd,
      CapDrop: spec.capDrop,
      ExtraHosts: spec.extraHosts,
      Memory: spec.memory,
      NanoCpus: spec.nanoCpus,
      ...(spec.logging ? { LogConfig: { Type: spec.logging.driver, Config: spec.logging.options } } : {}),
    },
    // Engines before API 1.44 take one network here; the others are connected before the start.
    ...(first
      ? { NetworkingConfig: { EndpointsConfig: { [first.name]: { Aliases: aliasesOf(spec, first.aliases) } } } }
      : {}),
  };
}

export const aliasesOf = (spec: ServiceSpec, declared: readonly string[]): string[] => [
  spec.containerName,
  spec.service,
  ...declared,
];

function labelsOf(spec: ServiceSpec, hash: string): Record<string, string> {
  return {
    ...spec.labels,
    [PROJECT]: spec.project,
    [SERVICE]: spec.service,
    [NUMBER]: '1',
    [ONEOFF]: 'False',
    'com.docker.compose.config-hash': hash,
    'com.docker.compose.project.working_dir': spec.projectDir,
    'com.docker.compose.project.config_files': spec.configFiles.join(','),
    'com.docker.compose.version': COMPOSE_VERSION,
    [HASH]: hash,
  };
}

function portBindings(spec: ServiceSpec): Record<string, { HostIp: string; HostPort: string }[]> {
  const bindings: Record<string, { HostIp: string; HostPort: string }[]> = {};
  for (const port of spec.ports) {
    const key = `${port.target}/${port.protocol}`;
    bindings[key] = [...(bindings[key] ?? []), { HostIp: port.hostIp, HostPort: port.published }];
  }
  return bindings;
}

const healthRequest = (h: HealthcheckSpec) => ({
  ...(h.test.length > 0 ? { Test: h.test } : {}),
  Interval: h.interval,
  Timeout: h.timeout,
  StartPeriod: h.startPeriod,
  Retries: h.retries,
});

/** Fields in which a container differs from what the declaration asks for. What is not declared is the image's business. */
export function differences(spec: ServiceSpec, info: ContainerInfo): Reason[] {
  const why: Reason[] = [];
  const want = createRequest(spec, '');
  const compare = (field: string, from: unknown, to: unknown) => {
    if (stable(from) !== stable(to)) why.push({ field, from: short(from), to: short(to) });
  };
  const config = info.Config;
  const host = info.HostConfig;
  compare('image', config.Image, spec.image);
  if (spec.command) compare('command', config.Cmd ?? [], spec.command);
  if (spec.entrypoint) compare('entrypoint', config.Entrypoint ?? [], spec.entrypoint);
  const env = new Map(
    (config.Env ?? []).map((e): [string, string] => [e.slice(0, e.indexOf('=')), e.slice(e.indexOf('=') + 1)]),
  );
  // Names only: values are often secret.
  const changed = Object.entries(spec.environment).filter(([k, v]) => env.get(k) !== v);
  if (changed.length > 0) why.push({ field: 'environment', to: `${changed.map(([k]) => k).join(', ')} changed` });
  const binds = [...(want.HostConfig?.Binds ?? [])].sort();
  compare('volumes', bindsOf(info), binds);
  compare('ports', bindingList(host.PortBindings), bindingList(want.HostConfig?.PortBindings));
  compare(
    'restart',
    `${host.RestartPolicy?.Name || 'no'}:${host.RestartPolicy?.MaximumRetryCount ?? 0}`,
    `${spec.restart.name}:${spec.restart.maximumRetryCount}`,
  );
  for (const [key, value] of Object.entries(spec.labels))
    if (config.Labels?.[key] !== value) compare(`labels.${key}`, config.Labels?.[key] ?? '', value);
  if (spec.healthcheck) {
    const has = { ...config.Healthcheck } as Record<string, unknown>;
    for (const [key, value] of Object.entries(healthRequest(spec.healthcheck)))
      if ((value as number) !== 0) compare(`healthcheck.${key.toLowerCase()}`, has[key], value);
  }
  if (spec.user) compare('user', config.User, spec.user);
  if (spec.hostname) compare('hostname', config.Hostname, spec.hostname);
  if (spec.workingDir) compare('working_dir', config.WorkingDir, spec.workingDir);
  compare('read_only', host.ReadonlyRootfs ?? false, spec.readOnly);
  compare('privileged', host.Privileged ?? false, spec.privileged);
  compare('cap_add', [...(host.CapAdd ?? [])].sort(), [...spec.capAdd].sort());
  compare('cap_drop', [...(host.CapDrop ?? [])].sort(), [...spec.capDrop].sort());
  compare('extra_hosts', [...(host.ExtraHosts ?? [])].sort(), [...spec.extraHosts].sort());
  compare('mem_limit', host.Memory ?? 0, spec.memory);
  compare('cpus', host.NanoCpus ?? 0, spec.nanoCpus);
  if (spec.networkMode) compare('network_mode', host.NetworkMode ?? '', spec.networkMode);
  return why;
}

/** Networks that the container should be on, and is not. */
export const missingNetworks = (spec: ServiceSpec, info: ContainerInfo): string[] =>
  spec.networks.map((n) => n.name).filter((name) => !Object.hasOwn(info.NetworkSettings.Networks ?? {}, name));

/** Bind and named-volume mounts, whichever of the API's two forms made them. */
function bindsOf(info: ContainerInfo): string[] {
  const anonymous = new Set(Object.keys(info.Config.Volumes ?? {}));
  return info.Mounts.filter(
    (m) =>
      m.Type === 'bind' ||
      (m.Type === 'volume' && !(anonymous.has(m.Destination) && /^[0-9a-f]{64}$/.test(m.Name ?? ''))),
  )
    .map((m) => `${m.Type === 'bind' ? m.Source : m.Name}:${m.Destination}:${m.RW ? 'rw' : 'ro'}`)
    .sort();
}

const bindingList = (bindings: unknown): string[] =>
  Object.entries((bindings ?? {}) as Record<string, { HostIp?: string; HostPort?: string }[] | null>)
    .flatMap(([port, list]) => (list ?? []).map((b) => `${b.HostIp ? `${b.HostIp}:` : ''}${b.HostPort ?? ''}:${port}`))
    .sort();

const stable = (value: unknown): string => JSON.stringify(value ?? null);
const short = (value: unknown): string => (Array.isArray(value) ? value.join(' ') : String(value ?? '')).slice(0, 200);
