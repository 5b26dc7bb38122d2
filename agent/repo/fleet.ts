/** A fleet repository seen whole: its hosts, and what each of them comes to, by the agent's own code. */
import { createHash } from 'node:crypto';
import type { FleetSettings } from '../../manifests-schema/fleet.ts';
import { createLayerCache, type LayerCache, readFleetSettings } from '../core/layers.ts';
import type { Checkout, Facts, Issue } from '../core/types.ts';
import { union } from '../core/union.ts';
import { type LoaderOptions, load } from '../engine/load/load.ts';
import type { Loaded } from '../engine/types.ts';
import { standInSecrets } from '../secrets/stand-in.ts';
import { type FleetTree, withModes } from './tree.ts';

export interface FleetHost {
  /** The last part of its directory's name. */
  name: string;
  /** Its directory in the repository. */
  path: string;
}

export interface Fleet {
  tree: FleetTree;
  settings: FleetSettings;
  hosts: readonly FleetHost[];
  /** Of the repository as a whole. */
  issues: readonly Issue[];
  /** fleet.yaml and roles/. */
  shared: ReadonlyMap<string, Uint8Array>;
  cache: LayerCache;
}

/** What kinds and their providers say of a declaration alone. */
export type OfflineKinds = Pick<LoaderOptions, 'kinds' | 'providers'>;

export interface RenderDeps extends OfflineKinds {
  /** Of the host that is rendered; offline nobody knows them. */
  facts?: Facts | undefined;
}

const HOST_NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/;

/** For templates that use facts where no host is at hand: plausible, and always the same. */
const SAMPLE_FACTS: Facts = {
  os: 'Debian 12',
  arch: 'x64',
  cpus: 2,
  memory: 4 * 1024 ** 3,
  machine_id: '00000000000000000000000000000000',
  ipv4: '192.0.2.1',
  ipv6: '2001:db8::1',
};

export async function openFleet(tree: FleetTree): Promise<Fleet> {
  const sharedPaths = tree.paths.filter((p) => p === 'fleet.yaml' || p.startsWith('roles/'));
  const shared = await tree.read(sharedPaths);
  const cache = createLayerCache();
  const { settings, issues: settingsIssues } = readFleetSettings(shared, cache);
  const hosts = findHosts(tree.paths, settings.hosts);
  const issues = [...settingsIssues, ...tree.refused(sharedPaths), ...nameIssues(hosts)];
  if (hosts.length === 0) {
    const message = `no directory matches hosts: ${settings.hosts.join(', ')}; a host's directory is hosts/<host> unless fleet.yaml says otherwise`;
    issues.push({ file: 'fleet.yaml', line: 1, column: 1, key: 'hosts', severity: 'error', message });
  }
  return { tree, settings, hosts, issues, shared, cache };
}

/** Directories that a glob names and that hold at least one file. */
function findHosts(paths: readonly string[], globs: readonly string[]): FleetHost[] {
  const dirs = new Set<string>();
  for (const file of paths)
    for (let at = file.indexOf('/'); at !== -1; at = file.indexOf('/', at + 1)) dirs.add(file.slice(0, at));
  const patterns = globs.map(globPattern);
  return [...dirs]
    .filter((dir) => patterns.some((p) => p.test(dir)))
    .sort()
    .map((path) => ({ path, name: path.slice(path.lastIndexOf('/') + 1) }));
}

/** `*` within one name, `**` over any number of them, `?` one character, `{a,b}` either; all else is itself. */
function globPattern(glob: string): RegExp {
  const body = glob
    .replace(/^\/+|\/+$/g, '')
    .split('/')
    .map((part) => (part === '**' ? '(?:[^/]+/)*' : `${segment(part)}/`))
    .join('');
  return new RegExp(`^${body.replace(/\/$/, '')}$`.replace(/\(\?:\[\^\/\]\+\/\)\*\$$/, '[^/]+(?:/[^/]+)*$'));
}

const segment = (part: string): string =>
  part
    .replace(/[.+^$()|[\]\\]/g, '\\$&')
    .replace(/\*+/g, '[^/]*')
    .replaceAll('?', '[^/]')
    .replace(/\{([^{}]*)\}/g, (_, list: string) => `(?:${list.split(',').join('|')})`)
    .replace(/[{}]/g, '\\$&');

function nameIssues(hosts: readonly FleetHost[]): Issue[] {
  const first = new Map<string, FleetHost>();
  return hosts.flatMap((host): Issue[] => {
    const at = { file: host.path, line: 1, column: 1, key: '', severity: 'error' as const };
    if (!HOST_NAME.test(host.name))
      return [{ ...at, message: `\`${host.name}\` is not a host name: lower case letters, digits and - (RFC 1123)` }];
    const other = first.get(host.name);
    first.set(host.name, host);
    return other ? [{ ...at, message: `${other.path} has the same name, and host names are unique in a fleet` }] : [];
  });
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** The files of a host's own directory. */
export function ownPaths(fleet: Fleet, host: FleetHost): string[] {
  const { paths } = fleet.tree;
  const prefix = `${host.path}/`;
  const own: string[] = [];
  for (let i = lowerBound(paths, prefix); i < paths.length && (paths[i] ?? '').startsWith(prefix); i++)
    own.push(paths[i] ?? '');
  return own;
}

function lowerBound(sorted: readonly string[], wanted: string): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] ?? '') < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}

export type RenderedHost = Loaded & { files: Checkout['files'] };

/**
 * What the agent on this host would load, secrets replaced by stand-ins.
 * @param read files of the host's own directory, where they were read before
 */
export async function renderFleetHost(
  fleet: Fleet,
  host: FleetHost,
  deps: RenderDeps,
  read?: ReadonlyMap<string, Uint8Array>,
): Promise<RenderedHost> {
  const own = ownPaths(fleet, host);
  const files = withModes(union(read ?? (await fleet.tree.read(own)), fleet.shared), fleet.tree);
  const loaded = await load(
    {
      host: host.name,
      fleet: fleet.settings.name ?? 'default',
      labels: {},
      facts: deps.facts ?? SAMPLE_FACTS,
      treeRoot: '/var/lib/fairlead/tree',
      sha256,
      keyedHash: sha256,
      decrypt: standInSecrets,
      kinds: deps.kinds,
      providers: deps.providers,
      cache: fleet.cache,
    },
    { info: NO_COMMIT, hostPath: host.path, hostExists: true, files },
  );
  return { ...loaded, issues: [...fleet.tree.refused(own), ...loaded.issues], files };
}

const NO_COMMIT = { ref: '', commit: '', author: '', subject: '', committedAt: '' };
