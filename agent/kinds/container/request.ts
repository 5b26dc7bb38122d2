/** A service's declaration → the request to the Docker engine. Pure. */
import { durationOf } from '../../compose/spec/units.ts';
import type { AttachmentSpec, HealthcheckSpec, HookSpec, ServiceSpec } from '../../compose/stack/model.ts';
import type { ContainerRequest } from '../../system/docker/docker.ts';
import {
  COMPOSE_VERSION,
  DEPENDS_ON,
  FIELDS,
  HASH,
  HOOKS,
  IMAGE_VOLUMES,
  NUMBER,
  ONEOFF,
  PROJECT,
  SERVICE,
  WORKING_DIR,
} from '../docker/labels.ts';

/** Another service of the project whose container a request refers to. */
export interface Peer {
  id: string;
  name: string;
}

export interface RequestInput {
  spec: ServiceSpec;
  hash: string;
  /** Id of the image; '' if it is unknown. */
  imageId: string;
  /** The result of `mountedIds`; left out if the service mounts no image. */
  imageVolumes?: string;
  peers: ReadonlyMap<string, Peer>;
  /** The result of `digests` for this request. */
  fields: string;
}

/** Config and HostConfig of the Docker Engine API, without fields that only name the container. */
export interface Asked {
  config: Record<string, unknown>;
  host: Record<string, unknown>;
}

/** The request that `docker compose` would make, with two additional labels of fairlead. */
export function createRequest(input: RequestInput): ContainerRequest {
  const { spec, peers } = input;
  const { config, host } = asked(spec, peers);
  const first = spec.networks[0];
  return {
    name: spec.containerName,
    ...(spec.platform ? { platform: spec.platform } : {}),
    ...config,
    // Docker before API 1.44 reads this instead of the attachment's own address.
    ...(first?.mac || spec.mac ? { MacAddress: first?.mac || spec.mac } : {}),
    Labels: labelsOf(input),
    HostConfig: host,
    // Docker before API 1.44 accepts one network here; the others are connected before the start.
    ...(first ? { NetworkingConfig: { EndpointsConfig: { [first.name]: endpoint(spec, first, peers) } } } : {}),
  } as ContainerRequest;
}

/** Everything but the labels: each field that a change of the declaration can change. */
export function asked(spec: ServiceSpec, peers: ReadonlyMap<string, Peer>): Asked {
  const mounts = spec.mounts.flatMap((m) => (m.mount ? [m.mount] : []));
  const binds = spec.mounts
    .filter((m) => m.mount === null)
    .map((m) => [m.source, m.target, [m.readOnly ? 'ro' : 'rw', ...m.options].join(',')].join(':'));
  return {
    config: {
      Image: spec.image,
      AttachStdout: true,
      AttachStderr: true,
      ...spec.engine.config,
      ...(spec.command ? { Cmd: spec.command } : {}),
      ...(spec.entrypoint ? { Entrypoint: spec.entrypoint } : {}),
      Env: Object.entries(spec.environment).map(([k, v]) => (v === null ? k : `${k}=${v}`)),
      ...(spec.stopGrace === '' ? {} : { StopTimeout: stopSeconds(spec) }),
      ...(spec.healthcheck ? { Healthcheck: healthRequest(spec.healthcheck) } : {}),
      ExposedPorts: Object.fromEntries(
        [...spec.ports.map((p) => `${p.target}/${p.protocol}`), ...spec.expose].map((p) => [p, {}]),
      ),
    },
    host: {
      ...spec.engine.host,
      ExtraHosts: spec.engine.host.ExtraHosts ?? [],
      ...(binds.length > 0 ? { Binds: binds } : {}),
      ...(mounts.length > 0 ? { Mounts: mounts } : {}),
      PortBindings: portBindings(spec),
      RestartPolicy: { Name: spec.restart.name, MaximumRetryCount: spec.restart.maximumRetryCount },
      NetworkMode: resolve(spec.networkMode, peers) || spec.networks[0]?.name || 'none',
      ...(spec.pidMode ? { PidMode: resolve(spec.pidMode, peers) } : {}),
      ...(spec.ipcMode ? { IpcMode: resolve(spec.ipcMode, peers) } : {}),
      ...(spec.volumesFrom.length > 0 ? { VolumesFrom: spec.volumesFrom.map((from) => volumesOf(from, peers)) } : {}),
      ...(linksOf(spec, peers).length > 0 ? { Links: linksOf(spec, peers) } : {}),
    },
  };
}

/** One attachment, in the form that is used both at creation and for a later connect. */
export function endpoint(
  spec: ServiceSpec,
  how: AttachmentSpec,
  peers: ReadonlyMap<string, Peer>,
): Record<string, unknown> {
  const links = linksOf(spec, peers);
  const addresses = {
    ...(how.ipv4 ? { IPv4Address: how.ipv4 } : {}),
    ...(how.ipv6 ? { IPv6Address: how.ipv6 } : {}),
    ...(how.linkLocal.length > 0 ? { LinkLocalIPs: how.linkLocal } : {}),
  };
  return {
    Aliases: [spec.containerName, spec.service, ...how.aliases],
    ...(links.length > 0 ? { Links: links } : {}),
    ...(how.bare ? {} : { IPAMConfig: addresses }),
    ...(how.mac ? { MacAddress: how.mac } : {}),
    ...(how.gatewayPriority ? { GwPriority: how.gatewayPriority } : {}),
    ...(Object.keys(how.driverOptions).length > 0 ? { DriverOpts: how.driverOptions } : {}),
  };
}

/** `service:web`, and `container:NAME` if there is one of that name, → `container:<id>`. */
export function resolve(mode: string, peers: ReadonlyMap<string, Peer>): string {
  if (mode.startsWith('container:')) return `container:${peers.get(mode)?.id ?? mode.slice('container:'.length)}`;
  if (!mode.startsWith('service:')) return mode;
  return `container:${peers.get(mode.slice('service:'.length))?.id ?? ''}`;
}

function volumesOf(from: string, peers: ReadonlyMap<string, Peer>): string {
  if (from.startsWith('container:')) return from.slice('container:'.length);
  const [service = '', ...mode] = from.split(':');
  return [peers.get(service)?.id ?? service, ...mode].join(':');
}

/** Each linked container with the names that `docker compose` gives it. */
function linksOf(spec: ServiceSpec, peers: ReadonlyMap<string, Peer>): string[] {
  const own = spec.links.flatMap(({ service, alias }) => {
    const name = peers.get(service)?.name;
    return name === undefined
      ? []
      : [alias, `${service}-${spec.number}`, `${spec.project}-${service}-${spec.number}`].map(
          (known) => `${name}:${known}`,
        );
  });
  const external = spec.externalLinks.map((link) => (link.includes(':') ? link : `${link}:${link}`));
  return [...own, ...external];
}

function labelsOf({ spec, hash, imageId, imageVolumes, fields }: RequestInput): Record<string, string> {
  const { preStart, postStart, preStop } = spec;
  const lists = { ...(preStart.length > 0 ? { preStart } : {}), postStart, preStop };
  const hooks: readonly (readonly HookSpec[])[] = Object.values(lists);
  return {
    ...spec.labels,
    [PROJECT]: spec.project,
    [SERVICE]: spec.service,
    [NUMBER]: String(spec.number),
    [ONEOFF]: 'False',
    'com.docker.compose.config-hash': hash,
    [DEPENDS_ON]: spec.dependsOn
      .map((d) => `${d.service}:${d.condition}:${d.restart}`)
      .sort()
      .join(','),
    'com.docker.compose.image': imageId,
    ...(imageVolumes ? { [IMAGE_VOLUMES]: imageVolumes } : {}),
    [WORKING_DIR]: spec.projectDir,
    'com.docker.compose.project.config_files': spec.configFiles.join(','),
    'com.docker.compose.version': COMPOSE_VERSION,
    [HASH]: hash,
    [FIELDS]: fields,
    ...(hooks.some((list) => list.length > 0) ? { [HOOKS]: JSON.stringify(lists) } : {}),
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

/** In whole seconds, as Docker requires. */
export const stopSeconds = ({ stopGrace }: ServiceSpec): number => Math.ceil(durationOf(stopGrace) / 1e9);

const healthRequest = (h: HealthcheckSpec) => ({
  ...(h.test.length > 0 ? { Test: h.test } : {}),
  Interval: durationOf(h.interval),
  Timeout: durationOf(h.timeout),
  StartPeriod: durationOf(h.startPeriod),
  ...(h.startInterval ? { StartInterval: durationOf(h.startInterval) } : {}),
  Retries: h.retries,
});
