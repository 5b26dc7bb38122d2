/** The differences between a container and its declaration, field by field, in the terms of the compose file. Pure. */
import { createHash } from 'node:crypto';
import { durationText } from '../../compose/spec/units.ts';
import type { ServiceSpec } from '../../compose/stack/model.ts';
import { difference } from '../../core/credentials/credentials.ts';
import type { Reason } from '../../core/types.ts';
import type { ContainerInfo, ImageConfig } from '../../system/docker/docker.ts';
import { FIELDS } from '../docker/labels.ts';
import { isDiscarded } from './discards.ts';
import type { ServiceFact } from './fact.ts';
import { APART, ENGINES_CHOICE, NAMES, NAMESPACES, OF_THE_IMAGE, PLAIN, SETS, VISIBLE } from './fields.ts';
import { mountsAsked, mountsOf } from './mounts.ts';
import { asked, type Peer, resolve } from './request.ts';

type Fields = Record<string, unknown>;

/** Digest of every requested field, so that a field which a later declaration leaves out can be named. */
export function digests(spec: ServiceSpec, peers: ReadonlyMap<string, Peer>): string {
  const { config, host } = asked(spec, peers);
  const fields: Fields = { ...config, ...host, Labels: Object.keys(spec.labels).sort() };
  // Only the names of variables: their values are compared with the container's.
  fields.Env = Object.keys(spec.environment).sort();
  fields.mac_address = Object.fromEntries(
    [...spec.networks, { name: '', mac: spec.mac }].flatMap(({ name, mac }) => (mac ? [[name, mac]] : [])),
  );
  fields.pre_start = spec.preStart;
  fields.post_start = spec.postStart;
  fields.pre_stop = spec.preStop;
  const short = (value: unknown) => createHash('sha256').update(stable(value)).digest('hex').slice(0, 10);
  return JSON.stringify(
    Object.fromEntries(
      Object.entries(fields)
        .filter(([, value]) => !isEmpty(value))
        .map(([key, value]) => [key, PLAIN.includes(key) ? value : short(value)]),
    ),
  );
}

/** The request that the container was created with, or null if fairlead did not create it. */
export function remembered(info: ContainerInfo): Fields | null {
  try {
    return JSON.parse(info.Config.Labels?.[FIELDS] ?? 'null') as Fields | null;
  } catch {
    return null;
  }
}

/** @param image null if it is unknown: then only declared fields are compared */
export function differences(
  spec: ServiceSpec,
  info: ContainerInfo,
  image: ImageConfig | null,
  { peers, discards }: Pick<ServiceFact, 'peers' | 'discards'>,
): Reason[] {
  const why: Reason[] = [];
  const { config, host } = asked(spec, peers);
  const has: Fields = { ...info.HostConfig, ...info.Config };
  const compare = (field: string, from: unknown, to: unknown) => {
    if (stable(from) !== stable(to)) why.push(difference(field, { from, to }, short));
  };
  compare('image', info.Config.Image, spec.image);
  why.push(...environment(spec, info, image), ...labels(spec, info, image));
  compare('volumes', mountsOf(info), mountsAsked(spec));
  compare('ports', bindingList(info.HostConfig.PortBindings), bindingList(host.PortBindings));
  compare('restart', policy(info.HostConfig.RestartPolicy), policy(host.RestartPolicy as Policy));
  compare('security_opt', unmasked(info.HostConfig.MaskedPaths), unmasked(host.MaskedPaths));
  compare('links', linksOf(info), [...new Set((host.Links ?? []) as string[])].sort());
  if (spec.networkMode) compare('network_mode', resolve(info.HostConfig.NetworkMode ?? '', peers), host.NetworkMode);
  const exposed = { ...(image?.ExposedPorts ?? {}), ...(config.ExposedPorts as object) };
  if (image) compare('expose', portsOf(info.Config.ExposedPorts), portsOf(exposed));
  const wanted: Fields = { ...host, ...config };
  for (const key of Object.keys(NAMES)) {
    if (APART.includes(key) || isDiscarded(key, has[key], discards)) continue;
    const to = plain(key, wanted[key]);
    if (isEmpty(to) && (ENGINES_CHOICE.includes(key) || (OF_THE_IMAGE.includes(key) && !image))) continue;
    const expected = isEmpty(to) ? plain(key, fallback(key, info, spec, image)) : to;
    const from = plain(key, NAMESPACES.includes(key) ? resolve(String(has[key] ?? ''), peers) : stated(key, info, has));
    if (key === 'Healthcheck' && !isEmpty(to)) compareHealth(compare, from as Fields, to as Fields);
    else if (!(isEmpty(from) && isEmpty(expected))) compare(NAMES[key] ?? key, from, expected);
  }
  why.push(...forgotten(spec, info, peers, why));
  return why;
}

/** Fields of the original request that changed or were dropped since, and whose current value does not show it. */
function forgotten(
  spec: ServiceSpec,
  info: ContainerInfo,
  peers: ReadonlyMap<string, Peer>,
  known: readonly Reason[],
): Reason[] {
  const before = remembered(info);
  if (before === null) return otherMacs(spec, info);
  const now = JSON.parse(digests(spec, peers)) as Fields;
  const why: Reason[] = [];
  const macs = (before.mac_address ?? {}) as Record<string, string>;
  for (const { name, mac } of spec.networks)
    if (Object.hasOwn(macs, name) ? macs[name] !== mac : mac !== '' && Object.hasOwn(attachedTo(info), name))
      why.push({ field: 'mac_address', from: macs[name] ?? 'any', to: mac || 'any' });
  for (const key of new Set([...Object.keys(before), ...Object.keys(now)])) {
    if (VISIBLE.includes(key) || stable(before[key]) === stable(now[key])) continue;
    const field = NAMES[key] ?? key;
    if (known.some((r) => r.field.split('.')[0] === field) || why.some((r) => r.field === field)) continue;
    const shown = (value: unknown) => (value === undefined ? 'not declared' : 'declared');
    const from = shown(before[key]);
    const to = shown(now[key]);
    why.push({ field, from, to: to === from ? 'declared otherwise' : to });
  }
  return why;
}

/** Attachments with other hardware addresses than declared; before its first start a container has none. */
function otherMacs(spec: ServiceSpec, info: ContainerInfo): Reason[] {
  const has = attachedTo(info) as Record<string, { MacAddress?: string }>;
  return spec.networks.flatMap(({ name, mac }) => {
    const actual = has[name]?.MacAddress ?? '';
    return mac === '' || actual === '' || actual.toLowerCase() === mac.toLowerCase()
      ? []
      : [{ field: 'mac_address', from: actual, to: mac }];
  });
}

function environment(spec: ServiceSpec, info: ContainerInfo, image: ImageConfig | null): Reason[] {
  const has = variables(info.Config.Env);
  const should = new Map<string, string | null>([...variables(image?.Env), ...Object.entries(spec.environment)]);
  // Without the image, the variables that fairlead declared earlier are known by name.
  const ours = (remembered(info)?.Env ?? []) as string[];
  const said = [
    ['added', [...should.keys()].filter((k) => !has.has(k))],
    ['changed', [...should].filter(([k, v]) => has.has(k) && has.get(k) !== v).map(([k]) => k)],
    ['removed', [...has.keys()].filter((k) => !should.has(k) && (image !== null || ours.includes(k)))],
  ] as const;
  // Names only, because values are often secret.
  const parts = said.filter(([, names]) => names.length > 0).map(([what, names]) => `${names.join(', ')} ${what}`);
  return parts.length === 0 ? [] : [{ field: 'environment', to: parts.join('; ') }];
}

/** `NAME` alone takes its value from the image. */
const variables = (env: readonly string[] | null | undefined) =>
  new Map(
    (env ?? []).map((entry): [string, string | null] => {
      const at = entry.indexOf('=');
      return at < 0 ? [entry, null] : [entry.slice(0, at), entry.slice(at + 1)];
    }),
  );

function labels(spec: ServiceSpec, info: ContainerInfo, image: ImageConfig | null): Reason[] {
  const own = /^(com\.docker\.compose|dev\.fairlead)\./;
  const has = Object.entries(info.Config.Labels ?? {}).filter(([key]) => !own.test(key));
  const should: Record<string, string> = { ...(image?.Labels ?? {}), ...spec.labels };
  const ours = (remembered(info)?.Labels ?? []) as string[];
  const gone = has.filter(([key]) => !Object.hasOwn(should, key) && (image !== null || ours.includes(key)));
  const changed = Object.entries(should).filter(
    ([key, value]) => !own.test(key) && info.Config.Labels?.[key] !== value,
  );
  return [
    ...changed.map(([key, value]) =>
      difference(`labels.${key}`, { from: info.Config.Labels?.[key] ?? '', to: value }, short),
    ),
    ...gone.map(([key, value]) => difference(`labels.${key}`, { from: value, to: 'not declared' }, short)),
  ];
}

const attachedTo = (info: ContainerInfo): object => info.NetworkSettings.Networks ?? {};

/** A field without Docker's additions: it adds no labels in namespaces of the host. */
function stated(key: string, { HostConfig }: ContainerInfo, has: Fields): unknown {
  const { Privileged, PidMode, IpcMode } = HostConfig;
  if (key !== 'SecurityOpt' || !(Privileged || PidMode === 'host' || IpcMode === 'host')) return has[key];
  return ((has[key] ?? []) as string[]).filter((option) => option !== 'label=disable');
}

/** An empty list was requested; a missing one is Docker's default. */
const unmasked = (paths: unknown): string =>
  Array.isArray(paths) && paths.length === 0 ? 'systempaths=unconfined' : 'systempaths';

/** On user-defined networks, links are settings of the attachment. */
function linksOf(info: ContainerInfo): string[] {
  const networks = Object.values(info.NetworkSettings.Networks ?? {}) as { Links?: string[] | null }[];
  return [...new Set([...(info.HostConfig.Links ?? []), ...networks.flatMap((n) => n.Links ?? [])])].sort();
}

/** `80` means `80/tcp`. */
const portsOf = (exposed: object | null | undefined): string[] =>
  [...new Set(Object.keys(exposed ?? {}).map((p) => (p.includes('/') ? p : `${p}/tcp`)))].sort();

/** The default of a field that is not declared. */
function fallback(key: string, info: ContainerInfo, spec: ServiceSpec, image: ImageConfig | null): unknown {
  // A declared entrypoint disables the image's command.
  if (key === 'Cmd' && spec.entrypoint) return null;
  if (OF_THE_IMAGE.includes(key)) return (image as Fields | null)?.[key];
  const has = (info.HostConfig as unknown as Fields)[key];
  if (
    key === 'Hostname' &&
    (info.Config.Hostname === info.Id.slice(0, 12) ||
      spec.networkMode !== '' ||
      /^(host|container:)/.test(info.HostConfig.NetworkMode ?? ''))
  )
    return info.Config.Hostname;
  if (key === 'ShmSize') return 67_108_864;
  if (key === 'IpcMode' && ['private', 'shareable'].includes(String(has))) return has;
  // Docker derived its default from the original memory limit, which may have been changed since.
  const limits = [info.HostConfig.Memory, spec.engine.host.Memory].map(Number);
  if (key === 'MemorySwap' && limits.includes(Number(has) / 2)) return has;
  return undefined;
}

/** Fields of the Docker engine's HealthConfig that are in nanoseconds. */
const DURATIONS = ['Interval', 'Timeout', 'StartPeriod', 'StartInterval'];

function compareHealth(compare: (f: string, a: unknown, b: unknown) => void, from: Fields, to: Fields): void {
  for (const [key, value] of Object.entries(to)) {
    const name = key.replace(/(?<=[a-z])[A-Z]/, (letter) => `_${letter}`).toLowerCase();
    if (value !== 0) compare(`healthcheck.${name}`, from?.[key], value);
  }
}

/** @param value nanoseconds */
const spanText = (value: number): string => durationText(BigInt(value));

type Policy = { Name?: string; MaximumRetryCount?: number | undefined } | undefined;
const policy = (p: Policy): string => `${p?.Name || 'no'}${p?.MaximumRetryCount ? `:${p.MaximumRetryCount}` : ''}`;

const bindingList = (bindings: unknown): string[] =>
  Object.entries((bindings ?? {}) as Record<string, { HostIp?: string; HostPort?: string }[] | null>)
    .flatMap(([port, list]) => (list ?? []).map((b) => `${b.HostIp ? `${b.HostIp}:` : ''}${b.HostPort ?? ''}:${port}`))
    .sort();

function plain(key: string, value: unknown): unknown {
  // A grace period of 0 is not Docker's default.
  if (key === 'StopTimeout' && typeof value === 'number') return spanText(value * 1e9);
  if (key === 'Healthcheck' && typeof value === 'object' && value !== null)
    return Object.fromEntries(
      Object.entries(value).map(([k, v]) => [k, DURATIONS.includes(k) && v ? spanText(Number(v)) : v]),
    );
  // Docker stores "no limit" as a missing value.
  if (key === 'PidsLimit' && Number(value) < 0) return undefined;
  if (!SETS.includes(key) || !Array.isArray(value)) return value;
  return value
    .map((v) => (typeof v === 'string' && key.startsWith('Cap') ? v.replace(/^CAP_/, '') : v))
    .sort((a, b) => (stable(a) < stable(b) ? -1 : 1));
}
const isEmpty = (value: unknown): boolean =>
  value === undefined ||
  value === null ||
  value === '' ||
  value === 0 ||
  value === false ||
  (typeof value === 'object' && Object.keys(value).length === 0);
/** JSON with sorted keys. */
const stable = (value: unknown): string =>
  JSON.stringify(value ?? null, (_, v: unknown) =>
    typeof v === 'object' && v !== null && !Array.isArray(v)
      ? Object.fromEntries(Object.entries(v).sort(([a], [b]) => (a < b ? -1 : 1)))
      : v,
  );
const short = (value: unknown): string => {
  if (isEmpty(value)) return 'none';
  if (Array.isArray(value) && value.every((v) => typeof v !== 'object')) return value.join(' ').slice(0, 200);
  return (typeof value === 'object' ? stable(value) : String(value)).slice(0, 200);
};
