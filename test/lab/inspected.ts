/** `docker inspect` of two hosts, made comparable: names, times and numbers that are specific to one host are left out. */
import type { LabHost } from './lab.ts';

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** The only fields that may differ. `*` in a path is any one step. */
export const ALLOWED: readonly RegExp[] = [
  // Ids, times, and paths that contain them.
  // (A healthcheck is an exec while it runs.)
  /^ExecIDs(\..*)?$/,
  /^(Id|Created|CreatedAt|ResolvConfPath|HostnamePath|HostsPath|LogPath|GraphDriver\..*)$/,
  /^State\.(Pid|StartedAt|FinishedAt|Health\..*)$/,
  /^NetworkSettings\.(SandboxID|SandboxKey|Bridge|EndpointID)$/,
  // Addresses that the Docker engine chose.
  /^NetworkSettings\.(Gateway|IPAddress|MacAddress|IPPrefixLen)$/,
  /^NetworkSettings\.Networks\.[^.]*(\.[^.]*)?\.(NetworkID|EndpointID|Gateway|IPAddress|IPPrefixLen|MacAddress)$/,
  /^NetworkSettings\.Ports\..*\.HostPort$/,
  // Labels of fairlead, and those of docker compose about itself.
  /^Config\.Labels\.dev\.fairlead\..*$/,
  /^(Config\.)?Labels\.com\.docker\.compose\.(config-hash|project\.config_files|project\.working_dir|version)$/,
  // The form in which a mount was requested, which `mounts` unifies; the path of a mounted image.
  /^Mounts\.\d+\.Mode$/,
  // What docker compose records about a mounted image only from a later version on.
  /^Config\.Labels\.com\.docker\.compose\.image-volume-digest$/,
  // The members of a network, by id.
  /^Containers\..*$/,
];

/** Objects by name; ids replaced by names. */
export type Inspected = Map<string, Json>;

export async function inspectAll(host: LabHost): Promise<Inspected> {
  const script = `for kind in container network volume; do
  case $kind in container) ids=$(docker ps -aq --no-trunc);; network) ids=$(docker network ls -q --no-trunc --filter type=custom);; volume) ids=$(docker volume ls -q);; esac
  docker inspect --type $kind $ids
  printf '\\n#@\\n'
done`;
  const [containers, networks, volumes] = (await host.sh(script)).stdout
    .split('#@\n')
    .slice(0, 3)
    .map((t) => JSON.parse(t)) as [Json[], Json[], Json[]];
  const names = new Map<string, string>();
  for (const one of containers) names.set(at(one, 'Id'), `<${at(one, 'Name').slice(1)}>`);
  for (const one of networks) names.set(at(one, 'Id'), at(one, 'Name'));
  const found: Inspected = new Map();
  for (const [kind, all] of Object.entries({ container: containers, network: networks, volume: volumes }))
    for (const one of all) {
      const name = at(one, 'Name')
        .replace(/^\//, '')
        // There are several, distinguished by their origin.
        .replace(/^[0-9a-f]{64}$/, `anonymous ${JSON.stringify((one as Record<string, Json>).Labels)}`);
      found.set(`${kind} ${name}`, withNames(kind === 'container' ? mountsInOneForm(one) : one, names, host.name));
    }
  return found;
}

/** docker compose requests the same mount as a text (`Binds`) or as an object (`Mounts`), depending on its version. */
function mountsInOneForm(container: Json): Json {
  const { HostConfig, ...rest } = container as Record<string, Json>;
  const { Binds, Mounts, ...host } = HostConfig as Record<string, Json>;
  const asked = [
    ...((Binds as string[] | null) ?? []).map(mountOfText),
    ...((Mounts as Mount[]) ?? []).map(normalizedMount),
  ];
  const mounts = Object.fromEntries(asked.map(({ Target, ...mount }) => [String(Target).replaceAll('.', '·'), mount]));
  return { ...rest, HostConfig: host, mounts } as Json;
}

type Mount = Record<string, Json>;
const PROPAGATION = /^r?(shared|slave|private)$/;

/** `SOURCE:TARGET[:OPTION,…]`; the source of a volume is a name. */
function mountOfText(text: string): Mount {
  const [Source = '', Target = '', options = ''] = text.split(':');
  const said = options.split(',');
  const Propagation = said.find((option) => PROPAGATION.test(option));
  const labels = said.filter((option) => /^z$/i.test(option));
  return normalizedMount({
    ...{ Type: Source.startsWith('/') ? 'bind' : 'volume', Source, Target, ReadOnly: said.includes('ro') },
    BindOptions: { ...(Propagation && { Propagation }), ...(Source.startsWith('/') && { CreateMountpoint: true }) },
    VolumeOptions: said.includes('nocopy') ? { NoCopy: true } : {},
    ...(labels.length > 0 && { labels }),
  });
}

/** Without empty values. */
function normalizedMount(mount: Mount): Mount {
  const says = (value: Json): boolean =>
    value !== false && !(typeof value === 'object' && value !== null && Object.keys(value).length === 0);
  return Object.fromEntries(Object.entries(mount).filter(([, value]) => says(value)));
}

const at = (value: Json, key: string): string => String((value as Record<string, Json>)[key]);

/**
 * Ids as names; names of anonymous volumes, the host's own name and addresses from the engine's own pool (see projects.ts) as one
 * word.
 */
function withNames(value: Json, names: ReadonlyMap<string, string>, host: string): Json {
  let text = JSON.stringify(value);
  for (const [id, name] of names) text = text.replaceAll(id, name).replaceAll(id.slice(0, 12), name);
  text = text
    .replaceAll(/"[0-9a-f]{64}"/g, '"<anonymous>"')
    .replaceAll(/volumes\/[0-9a-f]{64}\//g, 'volumes/<anonymous>/');
  text = text.replaceAll(`"Hostname":"${host}"`, '"Hostname":"<host>"');
  text = text.replaceAll(/"10\.200\.\d+\.\d+(\/\d+)?"/g, '"<chosen>"');
  // Both names of a capability are accepted.
  text = text.replaceAll('"CAP_', '"');
  text = text.replaceAll(/overlay2\/[0-9a-f]{64}\/merged/g, 'overlay2/<layer>/merged');
  // The tool writes these in the random order of its map.
  text = text.replaceAll(
    /("com\.docker\.compose\.depends_on":")([^"]*)"/g,
    (_, key: string, list: string) => `${key}${list.split(',').sort().join(',')}"`,
  );
  return JSON.parse(text) as Json;
}

/** Leaves by path, unordered lists sorted, ignored fields left out. */
export function leaves(value: Json): Map<string, string> {
  const found = new Map<string, string>();
  const walk = (item: Json, path: string) => {
    if (ALLOWED.some((allowed) => allowed.test(path))) return;
    if (item !== null && typeof item === 'object' && Object.keys(item).length > 0) {
      const list = Array.isArray(item)
        ? [...item].sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
        : item;
      for (const [key, inner] of Object.entries(list)) walk(inner as Json, path === '' ? key : `${path}.${key}`);
    } else found.set(path, JSON.stringify(item));
  };
  walk(value, '');
  return found;
}

/** One line for each difference: path, theirs, ours. */
export function differing(theirs: Json, ours: Json): string[] {
  const [a, b] = [leaves(theirs), leaves(ours)];
  return [...new Set([...a.keys(), ...b.keys()])]
    .filter((path) => a.get(path) !== b.get(path))
    .map((path) => `${path}: ${a.get(path) ?? 'missing'} ≠ ${b.get(path) ?? 'missing'}`);
}

/** The value once for each of its leaves, with that leaf changed. */
export function mutants(value: Json): { path: string; mutant: Json }[] {
  const found: { path: string; mutant: Json }[] = [];
  const walk = (item: Json, path: (string | number)[]) => {
    if (item !== null && typeof item === 'object' && Object.keys(item).length > 0)
      for (const key of Object.keys(item)) walk((item as Record<string, Json>)[key] as Json, [...path, key]);
    else {
      const mutant = structuredClone(value);
      let owner = mutant as Record<string, Json>;
      for (const step of path.slice(0, -1)) owner = owner[step] as Record<string, Json>;
      owner[String(path.at(-1))] =
        typeof item === 'number' ? item + 1 : typeof item === 'boolean' ? !item : `${item}-other`;
      found.push({ path: path.join('.'), mutant });
    }
  };
  walk(value, []);
  return found;
}
