/** Turns one service of a normalised project into its spec and its edges. Pure. */

import type { Desired, ResourceId } from '../../core/types.ts';
import type { ComposeAttachment, ComposeProject, ComposeService } from '../load/types.ts';
import { sharedWith } from '../spec/namespace.ts';
import { durationOf, writtenDuration } from '../spec/units.ts';
import { socketEnvironment, socketMounts } from './api-socket.ts';
import { engineConfig } from './engine-config.ts';
import { adoption, followed, judgementAt, mayBeEmpty, modeAt, settingsAt } from './fairlead.ts';
import { fileMounts, targetOf } from './file-mounts.ts';
import { networkId, serviceId } from './ids.ts';
import {
  type AttachmentSpec,
  type HealthcheckSpec,
  INTERFACE_NAME,
  type MountSpec,
  type PortSpec,
  type ServiceSpec,
} from './model.ts';
import { pullPolicy } from './pull-policy.ts';
import type { StackContext } from './resources.ts';
import { replicasOf, rollout } from './rollout.ts';
import { securityOptions } from './security.ts';
import { readMounts } from './service-mounts.ts';

export function serviceResource(context: StackContext, name: string): Desired<ServiceSpec> {
  const { input, fail } = context;
  const { project } = context.loaded;
  const service = project.services[name] as ComposeService;
  const idOf = (other: string) => serviceId(project.name, other);
  const id = idOf(name);
  const at = ['services', name];
  const after: ResourceId[] = [];
  const mounts = readMounts(context, name, service, id, after);
  // An entry of `volumes` with the same target wins.
  const more = [...fileMounts(context, name, service, id, after), ...socketMounts(context, name, service, id, after)];
  for (const mount of more) if (!mounts.some(({ target }) => target === mount.target)) mounts.push(mount);
  const networks = byPriority(service);
  after.push(...networks.map(([key]) => networkId(project.name, key)));
  const dependsOn = Object.entries(service.depends_on ?? {})
    .filter(([other]) => Object.hasOwn(project.services, other))
    .map(([other, { condition, restart, required }]) => ({
      service: other,
      condition,
      required,
      restart: restart ?? false,
      awaited: condition !== 'service_started' && replicasOf(project.services[other] as ComposeService) > 0,
    }));
  after.push(...dependsOn.map((d) => idOf(d.service)));
  after.push(...partners(service).map(idOf));
  const [restart = 'no', retries = '0'] = restartPolicy(service).split(':');
  if (!/^(no|always|unless-stopped|on-failure(:\d+)?)$/.test(restartPolicy(service)))
    fail(
      [...at, 'restart'],
      `\`restart\` must be no, always, unless-stopped or on-failure[:count], got \`${restartPolicy(service)}\``,
    );
  const { onChange } = settingsAt(context.loaded, at);
  const spec: ServiceSpec = {
    project: project.name,
    service: name,
    containerName: service.container_name ?? `${project.name}-${name}-1`,
    number: 1,
    ownName: service.container_name !== undefined,
    ...rollout(context, name, service),
    image: service.image ?? '',
    command: service.command,
    entrypoint: service.entrypoint,
    environment: { ...socketEnvironment(service), ...service.environment },
    ports: (service.ports ?? []).map(
      (port): PortSpec => ({
        target: port.target,
        protocol: (port.protocol ?? 'tcp') as PortSpec['protocol'],
        published: port.published ?? '',
        hostIp: port.host_ip ?? '',
      }),
    ),
    expose: service.expose ?? [],
    mounts,
    restart: { name: restart as ServiceSpec['restart']['name'], maximumRetryCount: Number(retries) },
    labels: service.labels ?? {},
    healthcheck: healthcheck(service),
    networkMode: service.network_mode ?? '',
    pidMode: service.pid ?? '',
    ipcMode: service.ipc ?? '',
    networks: attachments(context, name, service, networks),
    mac: networks.length > 0 ? '' : (service.mac_address ?? ''),
    links: (service.links ?? []).map((link) => {
      const [other = '', alias = other] = link.split(':');
      return { service: other, alias };
    }),
    externalLinks: service.external_links ?? [],
    volumesFrom: service.volumes_from ?? [],
    dependsOn,
    stopGrace: writtenDuration(service.stop_grace_period),
    engine: engineConfig(service, securityOptions(context, name, service)),
    platform: service.platform ?? '',
    pullPolicy: pullPolicy(context, name, service),
    projectDir: context.hostDir,
    configFiles: input.files.map((f) => `${input.treeRoot}/${f.path}`),
    adopt: adoption(context.loaded, at),
    ...(mayBeEmpty(context.loaded, at) ? { empty: 'allow' as const } : {}),
    ...(typeof onChange === 'object' ? { signal: String(onChange.signal) } : {}),
  };
  const binds = mounts.filter((m) => m.type === 'bind').map((m) => m.source);
  const { quiet, follows } = followed(onChange, binds);
  quiet.push(...quietFiles(context, service, mounts).filter((path) => !quiet.includes(path)));
  const notify = dependents(project, name).map(idOf);
  const optional = dependsOn.filter((d) => !d.required).map((d) => idOf(d.service));
  return context.resource(id, at, spec, {
    after: [...new Set(after)],
    notify,
    ...(optional.length > 0 ? { optional } : {}),
    ...modeAt(context.loaded, at),
    ...judgementAt(context.loaded, at),
    ...(follows.length > 0 ? { follows } : {}),
    ...(quiet.length > 0 ? { quiet } : {}),
  });
}

/** By priority, then by name: the first is what the container starts on. */
const byPriority = (service: ComposeService) =>
  Object.entries(service.networks ?? {}).sort(
    ([a, x], [b, y]) => (y?.priority ?? 0) - (x?.priority ?? 0) || (a < b ? -1 : 1),
  );

/** `mac_address` of the service is that of its first network. */
function attachments(
  { loaded: { project }, fail }: StackContext,
  name: string,
  { mac_address: mac }: ComposeService,
  networks: ReturnType<typeof byPriority>,
): AttachmentSpec[] {
  return networks.map(([key, how], i) => {
    const made = attachment(project.networks?.[key]?.name ?? key, how);
    if (i > 0 || mac === undefined) return made;
    if (made.mac !== '' && made.mac !== mac)
      fail(
        ['services', name, 'mac_address'],
        `\`mac_address\` is ${mac}, and network \`${key}\`, on which the service starts, says ${made.mac}; keep one of them`,
      );
    return { ...made, mac };
  });
}

const attachment = (name: string, how: ComposeAttachment | null): AttachmentSpec => ({
  name,
  bare: how === null,
  aliases: how?.aliases ?? [],
  ipv4: how?.ipv4_address ?? '',
  ipv6: how?.ipv6_address ?? '',
  linkLocal: how?.link_local_ips ?? [],
  mac: how?.mac_address ?? '',
  driverOptions: {
    ...(how?.driver_opts ?? {}),
    ...(how?.interface_name ? { [INTERFACE_NAME]: how.interface_name } : {}),
  },
  gatewayPriority: how?.gw_priority ?? 0,
});

/** Services whose namespaces or volumes a service uses. */
export function partners({ network_mode, pid, ipc, volumes_from, links }: ComposeService): string[] {
  const shared = [network_mode, pid, ipc].flatMap((mode) => sharedWith(mode) ?? []);
  const volumes = (volumes_from ?? []).filter((from) => !from.startsWith('container:'));
  return [...shared, ...[...volumes, ...(links ?? [])].map((entry) => entry.split(':')[0] ?? '')];
}

/** Services that follow when this one was recreated. */
const dependents = (project: ComposeProject, name: string): string[] =>
  Object.entries(project.services)
    .filter(
      ([, s]) =>
        s.depends_on?.[name]?.restart === true ||
        [s.network_mode, s.pid, s.ipc].some((mode) => sharedWith(mode) === name),
    )
    .map(([other]) => other);

const restartPolicy = (service: ComposeService): string => {
  const policy = service.deploy?.restart_policy;
  if (policy === undefined) return service.restart ?? 'no';
  const name = { none: 'no', any: 'always', '': 'always' }[policy.condition ?? ''] ?? policy.condition;
  return policy.max_attempts && name === 'on-failure' ? `${name}:${policy.max_attempts}` : `${name}`;
};

/** The configs and secrets among its mounts whose change is nobody's reason to restart. */
function quietFiles({ loaded }: StackContext, service: ComposeService, mounts: readonly MountSpec[]): string[] {
  return (['secrets', 'configs'] as const).flatMap((section) =>
    (service[section] ?? [])
      .filter(({ source }) => settingsAt(loaded, [section, source ?? '']).onChange === 'none')
      .flatMap((mount) => mounts.filter((m) => m.target === targetOf(section, mount)).map((m) => m.source)),
  );
}

/** An engine takes 0 for its own default. */
const duration = (text: string | undefined): string => (durationOf(text) === 0 ? '' : writtenDuration(text));

function healthcheck({ healthcheck: given }: ComposeService): HealthcheckSpec | null {
  if (given === undefined) return null;
  const none = given.disable || given.test?.[0] === 'NONE';
  return {
    test: none ? ['NONE'] : (given.test ?? []),
    interval: duration(given.interval),
    timeout: duration(given.timeout),
    startPeriod: duration(given.start_period),
    startInterval: duration(given.start_interval),
    retries: given.retries ?? 0,
  };
}
