/** One service: every short form read, every default explicit. Pure. */
import type { Desired, ResourceId } from '../core/types.ts';
import { parseEnv } from './interpolate.ts';
import { listToMap, toMap } from './merge.ts';
import type { HealthcheckSpec, MountSpec, PortSpec, ServiceSpec } from './model.ts';
import type { StackContext } from './normalise.ts';
import type { ServiceEntry } from './schema.ts';
import { resolve } from './trees.ts';
import { bytes, mount, nanoseconds, ports, words } from './values.ts';

export function normaliseService(
  context: StackContext,
  name: string,
  entry: ServiceEntry,
): Desired<ServiceSpec> | null {
  const { project, input } = context;
  const at = ['services', name];
  const id: ResourceId = `service:${project}/${name}`;
  if (!/^[a-zA-Z0-9._-]+$/.test(name)) {
    context.fail(at, `\`${name}\` is not a service name; use letters, digits, . _ -`);
    return null;
  }
  const after: ResourceId[] = [];
  const networks = Object.entries(entry.networks ? listToMap(entry.networks) : { default: null });
  const dependsOn = readDependsOn(context, name, entry, after);
  const mounts = readMounts(context, name, entry, id, after);
  const networkMode = entry.network_mode === 'bridge' ? 'bridge' : (entry.network_mode ?? '');
  if (networkMode === '') after.push(...networks.map(([key]): ResourceId => `network:${project}/${key}`));
  else if (entry.networks)
    context.fail([...at, 'network_mode'], '`network_mode` and `networks` exclude each other; keep one');
  const [restart = 'no', retries = '0'] = (entry.restart ?? 'no').split(':');
  const duration = (key: string, text: string | undefined): number => {
    const value = text === undefined ? 0 : nanoseconds(text);
    if (value === null) context.fail([...at, key], `\`${text}\` is not a duration such as 1m30s`);
    return value ?? 0;
  };
  const memory = entry.mem_limit === undefined ? 0 : bytes(entry.mem_limit);
  if (memory === null) context.fail([...at, 'mem_limit'], `\`${entry.mem_limit}\` is not a size such as 512m`);
  const spec: ServiceSpec = {
    project,
    service: name,
    containerName: entry.container_name ?? `${project}-${name}-1`,
    image: entry.image,
    command: readCommand(context, [...at, 'command'], entry.command),
    entrypoint: readCommand(context, [...at, 'entrypoint'], entry.entrypoint),
    environment: readEnvironment(context, name, entry),
    ports: readPorts(context, name, entry),
    expose: (entry.expose ?? []).map((p) => (String(p).includes('/') ? String(p) : `${p}/tcp`)),
    mounts,
    restart: { name: restart as ServiceSpec['restart']['name'], maximumRetryCount: Number(retries) },
    labels: Object.fromEntries(Object.entries(toMap(entry.labels)).map(([k, v]) => [k, v === null ? '' : String(v)])),
    healthcheck: readHealthcheck(context, name, entry, duration),
    networkMode,
    networks:
      networkMode === ''
        ? networks.map(([key, how]) => ({
            name: context.networkName(key),
            aliases: (how as { aliases?: string[] } | null)?.aliases ?? [],
          }))
        : [],
    dependsOn,
    hostname: entry.hostname ?? '',
    user: String(entry.user ?? ''),
    workingDir: entry.working_dir ?? '',
    readOnly: entry.read_only ?? false,
    privileged: entry.privileged ?? false,
    init: entry.init ?? null,
    capAdd: entry.cap_add ?? [],
    capDrop: entry.cap_drop ?? [],
    extraHosts: Array.isArray(entry.extra_hosts)
      ? entry.extra_hosts.map((h) => h.replace('=', ':'))
      : Object.entries(entry.extra_hosts ?? {}).map(([h, a]) => `${h}:${a}`),
    stopSignal: entry.stop_signal ?? '',
    stopGrace:
      entry.stop_grace_period === undefined
        ? null
        : Math.ceil(duration('stop_grace_period', entry.stop_grace_period) / 1e9),
    memory: memory ?? 0,
    nanoCpus: Math.round(Number(entry.cpus ?? 0) * 1e9),
    logging: entry.logging
      ? {
          driver: entry.logging.driver ?? 'json-file',
          options: Object.fromEntries(Object.entries(entry.logging.options ?? {}).map(([k, v]) => [k, String(v)])),
        }
      : null,
    pullPolicy: entry.pull_policy === 'if_not_present' ? 'missing' : (entry.pull_policy ?? 'missing'),
    projectDir: `${input.treeRoot}/${input.dir}`,
    configFiles: input.files.map((f) => `${input.treeRoot}/${f.path}`),
  };
  return context.resource(id, at, spec, { after: [...new Set(after)] });
}

function readCommand(context: StackContext, at: readonly string[], value: ServiceEntry['command']): string[] | null {
  if (value === undefined || value === null) return null;
  if (Array.isArray(value)) return value.map(String);
  const split = words(value);
  if (split === null) context.fail(at, 'a quote is not closed');
  return split;
}

function readEnvironment(context: StackContext, name: string, entry: ServiceEntry): Record<string, string> {
  const { input, vars } = context;
  const environment: Record<string, string> = {};
  for (const file of [entry.env_file ?? []].flat()) {
    const inRepo = resolve(input.dir, file);
    const content = inRepo === null ? undefined : input.payload.get(inRepo);
    if (content === undefined)
      context.fail(['services', name, 'env_file'], `\`${file}\` is not in the repository beside the compose file`);
    else Object.assign(environment, Object.fromEntries(parseEnv(new TextDecoder().decode(content), vars)));
  }
  for (const [key, value] of Object.entries(toMap(entry.environment))) {
    // A bare name takes its value from the variables, and is left out where there is none.
    const given = value === null ? vars.get(key) : String(value);
    if (given !== undefined) environment[key] = given;
  }
  return environment;
}

function readPorts(context: StackContext, name: string, entry: ServiceEntry): PortSpec[] {
  return (entry.ports ?? []).flatMap((port, i) => {
    const short =
      typeof port === 'object'
        ? `${port.host_ip ? `${port.host_ip}:` : ''}${port.published ?? ''}${port.published !== undefined || port.host_ip ? ':' : ''}${port.target}/${port.protocol ?? 'tcp'}`
        : port;
    const read = ports(short);
    if (read === null)
      context.fail(
        ['services', name, 'ports', i],
        `\`${typeof port === 'object' ? JSON.stringify(port) : port}\` is not a port mapping such as "8080:80"`,
      );
    return read ?? [];
  });
}

function readMounts(
  context: StackContext,
  name: string,
  entry: ServiceEntry,
  id: ResourceId,
  after: ResourceId[],
): MountSpec[] {
  const { project, file } = context;
  const tmpfs = [entry.tmpfs ?? []]
    .flat()
    .map(
      (target): MountSpec => ({ type: 'tmpfs', source: '', target: target.split(':')[0] ?? target, readOnly: false }),
    );
  const mounts = (entry.volumes ?? []).flatMap((volume, i): MountSpec[] => {
    const at = ['services', name, 'volumes', i];
    const long =
      typeof volume === 'object'
        ? { type: volume.type, source: volume.source ?? '', target: volume.target, readOnly: volume.read_only ?? false }
        : null;
    const read = long
      ? { ...long, relative: long.type === 'bind' && !long.source.startsWith('/') }
      : mount(String(volume));
    if (read === null) {
      context.fail(at, `\`${String(volume)}\` is not a mount such as ./conf:/etc/app:ro`);
      return [];
    }
    const { relative, ...spec } = read;
    if (relative) {
      const tree = spec.source.startsWith('~') ? null : context.trees.mount(spec.source, id, at);
      if (tree === null)
        context.fail(at, `\`${spec.source}\` leaves the stack's directory; use a path below it, or an absolute one`);
      else after.push(...tree.after);
      return tree === null ? [] : [{ ...spec, source: tree.path }];
    }
    if (spec.type === 'volume' && spec.source !== '') {
      if (file.volumes?.[spec.source] === undefined && !Object.hasOwn(file.volumes ?? {}, spec.source)) {
        context.fail(at, `volume \`${spec.source}\` is not declared under \`volumes\``);
      }
      after.push(`volume:${project}/${spec.source}`);
      return [{ ...spec, source: context.volumeName(spec.source) }];
    }
    // A managed file or directory that is mounted comes first.
    if (spec.type === 'bind') after.push(`file:${spec.source.replace(/\/+$/, '')}`);
    return [spec];
  });
  return [...mounts, ...tmpfs];
}

function readDependsOn(
  context: StackContext,
  name: string,
  entry: ServiceEntry,
  after: ResourceId[],
): ServiceSpec['dependsOn'] {
  return Object.entries(listToMap(entry.depends_on)).map(([service, how]) => {
    if (!Object.hasOwn(context.file.services ?? {}, service))
      context.fail(
        ['services', name, 'depends_on', service],
        `depends on \`${service}\`, which this stack does not have`,
      );
    after.push(`service:${context.project}/${service}`);
    return {
      service,
      condition:
        (how as { condition?: ServiceSpec['dependsOn'][number]['condition'] } | null)?.condition ?? 'service_started',
    };
  });
}

function readHealthcheck(
  context: StackContext,
  name: string,
  entry: ServiceEntry,
  duration: (key: string, text: string | undefined) => number,
): HealthcheckSpec | null {
  const given = entry.healthcheck;
  if (given === undefined) return null;
  const none = given.disable || (Array.isArray(given.test) && given.test[0] === 'NONE');
  const test = none ? ['NONE'] : typeof given.test === 'string' ? ['CMD-SHELL', given.test] : (given.test ?? []);
  if (!none && test.length > 0 && !['CMD', 'CMD-SHELL'].includes(test[0] ?? '')) {
    context.fail(['services', name, 'healthcheck', 'test'], 'a list begins with CMD, CMD-SHELL or NONE');
  }
  return {
    test,
    interval: duration('healthcheck', given.interval),
    timeout: duration('healthcheck', given.timeout),
    startPeriod: duration('healthcheck', given.start_period),
    retries: Number(given.retries ?? 0),
  };
}
