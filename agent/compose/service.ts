/** One service of a normalised project → its spec and its edges. Pure. */
import type { Desired, ResourceId } from '../core/types.ts';
import type { HealthcheckSpec, MountSpec, PortSpec, ServiceSpec } from './model.ts';
import type { StackContext } from './resources.ts';
import type { ComposeMount, ComposeService } from './types.ts';
import { nanoseconds } from './units.ts';

export function serviceResource(context: StackContext, name: string): Desired<ServiceSpec> {
  const { input, fail } = context;
  const { project } = context.loaded;
  const service = project.services[name] as ComposeService;
  const id: ResourceId = `service:${project.name}/${name}`;
  const at = ['services', name];
  const after: ResourceId[] = [];
  const mounts = readMounts(context, name, service, id, after);
  const networks = Object.entries(service.networks ?? {});
  after.push(...networks.map(([key]): ResourceId => `network:${project.name}/${key}`));
  const dependsOn = Object.entries(service.depends_on ?? {})
    .filter(([other]) => Object.hasOwn(project.services, other))
    .map(([other, { condition }]) => ({ service: other, condition }));
  after.push(...dependsOn.map((d): ResourceId => `service:${project.name}/${d.service}`));
  const [restart = 'no', retries = '0'] = (service.restart ?? 'no').split(':');
  if (!/^(no|always|unless-stopped|on-failure(:\d+)?)$/.test(service.restart ?? 'no'))
    fail(
      [...at, 'restart'],
      `\`restart\` must be no, always, unless-stopped or on-failure[:count], got \`${service.restart}\``,
    );
  const spec: ServiceSpec = {
    project: project.name,
    service: name,
    containerName: service.container_name ?? `${project.name}-${name}-1`,
    image: service.image ?? '',
    command: service.command,
    entrypoint: service.entrypoint,
    environment: Object.fromEntries(
      Object.entries(service.environment ?? {}).flatMap(([key, value]) => (value === null ? [] : [[key, value]])),
    ),
    ports: (service.ports ?? []).map(
      (port): PortSpec => ({
        target: port.target,
        protocol: (port.protocol ?? 'tcp') as PortSpec['protocol'],
        published: port.published ?? '',
        hostIp: port.host_ip ?? '',
      }),
    ),
    expose: (service.expose ?? []).map((p) => (p.includes('/') ? p : `${p}/tcp`)),
    mounts,
    restart: { name: restart as ServiceSpec['restart']['name'], maximumRetryCount: Number(retries) },
    labels: service.labels ?? {},
    healthcheck: healthcheck(service),
    networkMode: service.network_mode ?? '',
    networks: networks.map(([key, how]) => ({
      name: project.networks?.[key]?.name ?? key,
      aliases: how?.aliases ?? [],
    })),
    dependsOn,
    hostname: service.hostname ?? '',
    user: service.user ?? '',
    workingDir: service.working_dir ?? '',
    readOnly: service.read_only ?? false,
    privileged: service.privileged ?? false,
    init: service.init ?? null,
    capAdd: service.cap_add ?? [],
    capDrop: service.cap_drop ?? [],
    extraHosts: (service.extra_hosts ?? []).map((h) => h.replace('=', ':')),
    stopSignal: service.stop_signal ?? '',
    stopGrace: service.stop_grace_period === undefined ? null : Math.ceil(durationOf(service.stop_grace_period) / 1e9),
    memory: Number(service.mem_limit ?? 0),
    nanoCpus: Math.round((service.cpus ?? 0) * 1e9),
    logging: service.logging
      ? { driver: service.logging.driver ?? 'json-file', options: service.logging.options ?? {} }
      : null,
    pullPolicy: pullPolicy(context, name, service),
    projectDir: `${input.treeRoot}/${input.dir}`,
    configFiles: input.files.map((f) => `${input.treeRoot}/${f.path}`),
  };
  return context.resource(id, at, spec, { after: [...new Set(after)] });
}

/** Nanoseconds. */
const durationOf = (text: string | undefined): number => Number(nanoseconds(text ?? '0') ?? 0n);

function pullPolicy(
  { fail }: StackContext,
  name: string,
  { pull_policy: policy }: ComposeService,
): ServiceSpec['pullPolicy'] {
  if (policy === 'always' || policy === 'never') return policy;
  if (policy !== undefined && policy !== 'missing')
    fail(
      ['services', name, 'pull_policy'],
      `\`pull_policy: ${policy}\` is read, but not carried out by this version yet; use always, missing or never`,
    );
  return 'missing';
}

function healthcheck({ healthcheck: given }: ComposeService): HealthcheckSpec | null {
  if (given === undefined) return null;
  const none = given.disable || given.test?.[0] === 'NONE';
  return {
    test: none ? ['NONE'] : (given.test ?? []),
    interval: durationOf(given.interval),
    timeout: durationOf(given.timeout),
    startPeriod: durationOf(given.start_period),
    retries: given.retries ?? 0,
  };
}

function readMounts(
  context: StackContext,
  name: string,
  service: ComposeService,
  id: ResourceId,
  after: ResourceId[],
): MountSpec[] {
  const tmpfs = (service.tmpfs ?? []).map(
    (entry): MountSpec => ({ type: 'tmpfs', source: '', target: entry.split(':')[0] ?? entry, readOnly: false }),
  );
  const mounts = (service.volumes ?? []).map((mount, i) =>
    readMount(context, mount, ['services', name, 'volumes', i], id, after),
  );
  return [...mounts, ...tmpfs];
}

function readMount(
  { loaded, trees }: StackContext,
  mount: ComposeMount,
  at: readonly (string | number)[],
  id: ResourceId,
  after: ResourceId[],
): MountSpec {
  const { project } = loaded;
  const spec: MountSpec = {
    type: mount.type as MountSpec['type'],
    source: mount.source ?? '',
    target: mount.target ?? '',
    readOnly: mount.read_only ?? false,
  };
  if (spec.type === 'volume' && spec.source !== '') {
    after.push(`volume:${project.name}/${spec.source}`);
    return { ...spec, source: project.volumes?.[spec.source]?.name ?? spec.source };
  }
  if (spec.type !== 'bind') return { ...spec, source: '' };
  const repo = loaded.repoPath([...at, 'source']);
  if (repo !== undefined) after.push(...trees.mount(repo, spec.source, id, at));
  // A managed file or directory that is mounted comes first.
  else after.push(`file:${spec.source.replace(/\/+$/, '')}`);
  return spec;
}
