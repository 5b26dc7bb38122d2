/** A fleet repository as a whole: its hosts, and the rendered state of each, by the agent's own code. */
import { createHash } from 'node:crypto';
import type { FleetSettings } from '../../manifests-schema/fleet.ts';
import { createPayload, type Payload } from '../core/payload/payload.ts';
import { createLayerCache, type LayerCache, readFleetSettings } from '../core/render/layers.ts';
import type { Checkout, Facts, Issue } from '../core/types.ts';
import { agentTooOld } from '../core/version/requires.ts';
import { type LoaderOptions, load } from '../engine/load/load.ts';
import type { Loaded } from '../engine/types.ts';
import { isLfsPointer, lfsPointer, type Refused } from '../git/store/layer-files.ts';
import { isWhole, locate, readView, type Shared, type View } from '../git/store/tree.ts';
import { entriesByName } from '../git/store/tree-entry.ts';
import { standInSecrets } from '../secrets/stand-in.ts';
import { type FleetHost, findHosts, type NoHost } from './find-hosts.ts';
import { type FleetTree, incomplete, withWords } from './tree.ts';

export type { FleetHost };

export interface Fleet {
  tree: FleetTree;
  settings: FleetSettings;
  hosts: readonly FleetHost[];
  /** Issues of the repository as a whole. */
  issues: readonly Issue[];
  /** Names of directories below roles/. */
  roles: readonly string[];
  cache: LayerCache;
  /** Trees and files that several hosts have in common. */
  shared: Shared;
}

/** Checks of kinds and their providers that need no host. */
export type OfflineKinds = Pick<LoaderOptions, 'kinds' | 'providers' | 'version'>;

export interface RenderDeps extends OfflineKinds {
  /** Facts of the rendered host; offline they are unknown. */
  facts?: Facts | undefined;
}

const HOST_NAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/;

/** Facts for templates without a host: plausible, and always the same. */
const SAMPLE_FACTS: Facts = {
  os: 'Debian 12',
  arch: 'x64',
  cpus: 2,
  memory: 4 * 1024 ** 3,
  machine_id: '00000000000000000000000000000000',
  ipv4: '192.0.2.1',
  ipv6: '2001:db8::1',
};

/**
 * @param version of this agent; left out, `requires` of fleet.yaml is not asked
 * @throws AgentError `NoRepository`, `InvalidRepository`
 */
export async function openFleet(tree: FleetTree, version?: string): Promise<Fleet> {
  const shared = createShared(tree);
  const cache = createLayerCache();
  const { files, refused } = await fleetFile(tree, shared);
  const { settings, issues: settingsIssues } = readFleetSettings(files, cache);
  const { hosts, others } = await withWords(tree.name, findHosts(shared, tree.root, settings.hosts));
  const roles = await roleNames(tree, shared);
  cache.roles = new Set(roles);
  const tooOld = version === undefined ? null : agentTooOld(files, version);
  const issues = [
    ...(tooOld ? [tooOld] : settingsIssues),
    ...refused.map(refusal),
    ...nameIssues(hosts),
    ...others.map(notAHost),
  ];
  if (hosts.length === 0) {
    const message = `no directory matches hosts: ${settings.hosts.join(', ')}; a host's directory is hosts/<host> unless fleet.yaml says otherwise`;
    issues.push({ file: 'fleet.yaml', line: 1, column: 1, key: 'hosts', severity: 'error', message });
  }
  return { tree, settings, hosts, issues, roles, cache, shared };
}

/** Remembers the requested directories, except those of hosts. */
function createShared({ objects }: FleetTree): Shared {
  const known = new Map<string, Promise<ReturnType<typeof entriesByName>>>();
  const list: Shared['list'] = (tree) => {
    const entries = known.get(tree) ?? objects.read(tree, 'tree').then(entriesByName);
    known.set(tree, entries);
    return entries;
  };
  return {
    list,
    find: async (tree, name) => (await list(tree)).get(name) ?? null,
    layers: new Map(),
    files: new Map(),
  };
}

interface FleetFile {
  files: ReadonlyMap<string, Uint8Array>;
  refused: readonly Refused[];
}

async function fleetFile(tree: FleetTree, shared: Shared): Promise<FleetFile> {
  const found = await withWords(tree.name, shared.find(tree.root, 'fleet.yaml'));
  // A reference to a missing file is reported for each host.
  if (found?.type !== 'file') return { files: new Map(), refused: [] };
  const bytes = await withWords(tree.name, tree.objects.read(found.oid, 'blob'));
  if (isLfsPointer(bytes))
    return { files: new Map(), refused: [{ file: 'fleet.yaml', message: lfsPointer('fleet.yaml') }] };
  return { files: new Map([['fleet.yaml', bytes]]), refused: [] };
}

async function roleNames(tree: FleetTree, shared: Shared): Promise<string[]> {
  const roles = await withWords(tree.name, shared.find(tree.root, 'roles'));
  if (roles?.type !== 'tree') return [];
  const entries = await withWords(tree.name, shared.list(roles.oid));
  return [...entries.values()].filter(({ type }) => type === 'tree').map(({ name }) => name);
}

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

const notAHost = ({ path, type }: NoHost): Issue =>
  refusal({
    file: path,
    message: `${path} is a ${type === 'link' ? 'symbolic link' : 'submodule'}, so no host can read it; put the files themselves into the repository`,
  });

export const refusal = ({ file, message }: Refused): Issue => ({
  file,
  line: 1,
  column: 1,
  key: '',
  severity: 'error',
  message,
});

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** The part of the repository that a host reads. @throws AgentError `NoRepository`, `InvalidRepository` */
export async function viewOf({ tree, shared }: Fleet, { path }: FleetHost): Promise<View> {
  const found = await withWords(tree.name, locate(tree.objects, tree.root, path, shared));
  if (!isWhole(found))
    throw incomplete(tree.name, [...found.trees, ...found.closures, ...found.files.keys()].join(', '));
  return found.view;
}

/** The files of a host's directory and of its roles. @throws AgentError `NoRepository`, `InvalidRepository` */
async function filesOf(fleet: Fleet, host: FleetHost): Promise<HostFiles> {
  const view = await viewOf(fleet, host);
  const { contents, executable, refused } = await withWords(
    fleet.tree.name,
    readView(fleet.tree.objects, view, fleet.shared),
  );
  return { files: createPayload(contents, { read: () => null, sha256, executable }), refused, view };
}

interface HostFiles {
  files: Payload;
  refused: readonly Refused[];
  view: View;
}

/** fleet.yaml, host.yaml and each role.yaml of a host: for who asks for settings alone, and not for payload that may be large. */
export async function settingsOf(fleet: Fleet, host: FleetHost): Promise<ReadonlyMap<string, Uint8Array>> {
  const { objects, name } = fleet.tree;
  const view = await viewOf(fleet, host);
  const files = new Map<string, Uint8Array>();
  const read = async (file: string, oid: string) => files.set(file, await withWords(name, objects.read(oid, 'blob')));
  if (view.fleet !== null) await read('fleet.yaml', view.fleet);
  for (const { path, entries } of view.layers)
    for (const { name: file, type, oid } of entries)
      if (type === 'file' && (file === `${path}/host.yaml` || file === `${path}/role.yaml`)) await read(file, oid);
  return files;
}

export type RenderedHost = Loaded & { files: Checkout['files']; refused: readonly Refused[] };

/**
 * The resources that the agent on this host would load, with stand-ins for secrets.
 * @throws AgentError `NoRepository`, `InvalidRepository`
 */
export async function renderFleetHost(fleet: Fleet, host: FleetHost, deps: RenderDeps): Promise<RenderedHost> {
  const { files, refused, view } = await filesOf(fleet, host);
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
      version: deps.version,
      kinds: deps.kinds,
      providers: deps.providers,
      cache: fleet.cache,
    },
    { info: NO_COMMIT, hostPath: host.path, hostExists: view.hostExists, files },
  );
  return { ...loaded, issues: [...refused.map(refusal), ...loaded.issues], files, refused };
}

const NO_COMMIT = { ref: '', commit: '', author: '', subject: '', committedAt: '' };
