/** A checkout → resources or issues: manifests, then stacks, then checks of the whole. Pure, given the hash. */
import type { Stack } from '../../compose/index.ts';
import { kindOf } from '../../core/id.ts';
import { definitionOf, type KindTable, traitsOf } from '../../core/kind.ts';
import { withImpliedEdges } from '../../core/order/edges.ts';
import { findCycle, inOrder } from '../../core/order/graph.ts';
import { canonicalHash } from '../../core/payload/hash.ts';
import type { Payload } from '../../core/payload/payload.ts';
import { claimIssues } from '../../core/plan/plan.ts';
import type { Directories, Provider } from '../../core/provider.ts';
import { createLayerCache, type LayerCache, readChain, type Var } from '../../core/render/layers.ts';
import { checkReferences, isUnread, renderHost } from '../../core/render/render.ts';
import { noSecrets, type Secrets } from '../../core/render/secret-values.ts';
import type { Checkout, Desired, Facts, Issue, Kind, ResourceId } from '../../core/types.ts';
import { agentTooOld } from '../../core/version/requires.ts';
import type { Loaded } from '../types.ts';
import { agentIssues } from './agent-issues.ts';
import { keyedForCredentials } from './credential-hash.ts';
import { loadWithSecrets, type StackWithSecrets } from './stack-secrets.ts';

export interface LoaderOptions {
  /** Version of this agent. Missing: `requires` is not checked. */
  version?: string | undefined;
  host: string;
  fleet: string;
  labels: Record<string, string>;
  facts: Facts;
  /** Directory for files that containers mount by relative path, e.g. /var/lib/fairlead/tree. */
  treeRoot: string;
  sha256(bytes: Uint8Array): string;
  /** A hash with a key of this host, for all that is secret. */
  keyedHash(bytes: Uint8Array): string;
  /** Decrypts the encrypted files below these directories of a checkout. An error is reported when the file is used. */
  decrypt?(files: Payload, dirs: readonly string[], commit: string): Promise<Secrets>;
  /** Receives everything in a commit's declarations that looks like a credential, so that messages can mask it. */
  found?(credentials: readonly string[], commit: string): void;
  /** A Docker client's config.json with this host's logins; called only if a service uses it. Missing: there are no logins. */
  logins?(): Promise<string>;
  /** Variables of this host: the same map as long as nothing changed. Missing: there are none. */
  localVars?(): ReadonlyMap<string, Var>;
  kinds: KindTable;
  /** Providers of the kinds that this run manages. */
  providers: ReadonlyMap<Kind, Pick<Provider, 'claims' | 'diff'>>;
  /** Asks the host for the directories of stacks that somebody else started; missing if no host is asked. */
  directories?(): Promise<Directories | null>;
  /** Shared by the loaders of several hosts that read one commit. */
  cache?: LayerCache;
}

type LocalVars = ReadonlyMap<string, Var> | undefined;

/** Loads checkouts. Caches the last one, because most runs see the same commit again. */
export function createLoader(options: LoaderOptions): (checkout: Checkout) => Promise<Loaded> {
  let last: { commit: string; hostPath: string; local: LocalVars; loaded: Loaded } | null = null;
  return async (checkout) => {
    const { hostPath } = checkout;
    const { commit } = checkout.info;
    // The same commit may be kept with another host directory, until the directory of agent.yaml is accepted.
    const local = options.localVars?.();
    if (commit !== '' && last?.commit === commit && last.hostPath === hostPath && last.local === local)
      return last.loaded;
    let isSure = true;
    const directories = async () => {
      const found = (await options.directories?.()) ?? null;
      isSure = found?.isSure ?? true;
      return found;
    };
    const loaded = await load({ ...options, directories }, checkout);
    // A directory without a commit may change at any time.
    if (commit === '') return loaded;
    // A failed load is not cached: a key or a recipient may be fixed on the host.
    last = loaded.issues.some((i) => i.severity === 'error') || !isSure ? null : { commit, hostPath, local, loaded };
    return loaded;
  };
}

/** Everything that can be derived from a checkout without observing the host. */
export async function load(options: LoaderOptions, checkout: Checkout): Promise<Loaded> {
  const { version } = options;
  const tooOld = version === undefined ? null : agentTooOld(checkout.files, version);
  if (tooOld === null) return loadFiles(options, checkout);
  // Files written for a newer agent cannot be checked any further.
  const nothing = await loadFiles({ ...options, cache: createLayerCache() }, { ...checkout, files: new Map() });
  return { ...nothing, issues: [tooOld] };
}

async function loadFiles(options: LoaderOptions, checkout: Checkout): Promise<Loaded> {
  const { host, fleet, labels, facts, sha256, keyedHash, treeRoot } = options;
  const cache = options.cache ?? createLayerCache();
  const chain = readChain(checkout.files, checkout.hostPath, cache, options.localVars?.());
  const dirs = chain.layers.map((l) => l.dir);
  const secrets = await options.decrypt?.(checkout.files, dirs, checkout.info.commit);
  const rendered = renderHost({
    kinds: options.kinds,
    checkout,
    host,
    fleet,
    labels,
    facts,
    sha256,
    keyedHash,
    secrets,
    cache,
    chain,
  });
  const vars = { FAIRLEAD_HOST: host, FAIRLEAD_FLEET: fleet, ...stringVars(rendered.vars) };
  const adopted = rendered.stacks.length > 0 ? await options.directories?.() : null;
  const given = { vars, payload: checkout.files, treeRoot, sha256, keyedHash, secrets: secrets ?? noSecrets };
  const readAll = (logins?: () => string) =>
    rendered.stacks.map((stack) =>
      loadWithSecrets({
        ...stack,
        ...given,
        ...(adopted ? { adopted: adopted.of } : {}),
        ...(logins ? { logins } : {}),
      }),
    );
  const read = await withLogins(options, readAll);
  // A stack that another stack includes belongs to that one.
  const included = new Set(read.flatMap((stack) => stack.included));
  const stacks = read.filter((_, i) => !included.has(rendered.stacks[i]?.files[0]?.path ?? ''));
  const declared = [...rendered.resources, ...stacks.flatMap((s) => s.resources)];
  const { keyed, credentials } = keyedForCredentials(declared, keyedHash);
  options.found?.(credentials, checkout.info.commit);
  const { resources, dropped } = withImpliedEdges(keyed, {
    kinds: options.kinds,
    sha256,
  });
  const issues = distinct([...rendered.issues, ...stacks.flatMap((s) => s.issues)]);
  const twice = duplicates(options.kinds, resources);
  issues.push(...twice, ...unmanaged(resources, options.providers));
  if (chain.saysAgent) issues.push(...agentIssues(checkout, cache, sha256));
  const broken = read.some((stack) => stack.issues.some((i) => i.severity === 'error'));
  const hidden = (id: ResourceId) =>
    isUnread(rendered.unread, id) || (broken && definitionOf(options.kinds, id).declared === null);
  issues.push(...checkReferences(rendered.resources, resources, hidden));
  // With errors before, these checks would only report what follows from those errors.
  if (twice.length === 0 && !broken && !rendered.unread.anything)
    issues.push(...claimIssues(resources, options.providers), ...cycleIssues(resources));
  return {
    resources,
    issues,
    host: rendered.host,
    labels: rendered.labels,
    vars: rendered.vars,
    layers: rendered.layers,
    secrets: [...new Set([...rendered.secrets, ...stacks.flatMap((s) => s.secrets)])].sort(),
    compose: configs(stacks),
    ...(dropped.length > 0 ? { dropped } : {}),
    ...derivedFrom({ kinds: options.kinds, resources, host: rendered.host }, sha256),
  };
}

/** Only reading the stacks shows whether a service uses the logins, so they are read again with the logins if so. */
async function withLogins(
  { logins }: LoaderOptions,
  read: (logins?: () => string) => StackWithSecrets[],
): Promise<StackWithSecrets[]> {
  let asked = false;
  const first = read(() => {
    asked = true;
    return '';
  });
  if (!asked) return first;
  if (logins === undefined) return read();
  const [found] = await Promise.allSettled([logins()]);
  return read(() => {
    if (found.status === 'rejected') throw found.reason;
    return found.value;
  });
}

/** Derived data of all resources together, computed on first use: most callers need none of it, the daemon in every run. */
export function derivedFrom(
  { kinds, resources, host }: Pick<Loaded, 'resources' | 'host'> & { kinds: KindTable },
  sha256: LoaderOptions['sha256'],
): Pick<Loaded, 'content' | 'byId' | 'ordered'> {
  let content: string | null = null;
  let byId: ReadonlyMap<ResourceId, Desired> | null = null;
  let ordered: readonly Desired[] | null = null;
  return {
    byId() {
      byId ??= new Map(resources.map((r) => [r.id, r]));
      return byId;
    },
    content() {
      content ??= contentOf(resources, host, sha256);
      return content;
    },
    ordered() {
      ordered ??= inOrder(kinds, resources);
      return ordered;
    },
  };
}

function contentOf(resources: readonly Desired[], host: Loaded['host'], sha256: LoaderOptions['sha256']): string {
  const rows = resources.map(({ id, hash, after, notify, reload, mode, rollback, patienceMs }) => [
    ...[id, hash, after, notify, reload ?? []],
    ...(mode ? [mode] : []),
    // Other rules of judgement give the commit another try.
    ...(rollback || patienceMs ? [{ rollback, patienceMs }] : []),
  ]);
  return canonicalHash([rows, host], sha256);
}

function configs(stacks: readonly Stack[]): Record<string, unknown> | null {
  if (stacks.some((s) => s.config === undefined)) return null;
  return Object.fromEntries(stacks.map((s) => [s.config?.name, s.config]));
}

const stringVars = (vars: ReadonlyMap<string, Var>): Record<string, string> =>
  Object.fromEntries(
    [...vars]
      .filter(([, { value }]) => value !== null && typeof value !== 'object')
      .map(([name, { value }]) => [name, String(value)]),
  );

/** A file that is read twice, as a manifest and as part of a stack, reports an issue once. */
function distinct(issues: readonly Issue[]): Issue[] {
  const seen = new Set<string>();
  return issues.filter((i) => {
    const key = JSON.stringify([i.file, i.line, i.column, i.message]);
    return !seen.has(key) && seen.add(key) !== undefined;
  });
}

function duplicates(kinds: KindTable, resources: readonly Desired[]): Issue[] {
  const first = new Map<string, Desired>();
  const issues: Issue[] = [];
  for (const resource of resources) {
    const other = first.get(resource.id);
    if (other === undefined) first.set(resource.id, resource);
    else if (!(traitsOf(kinds, resource.id).mayRepeat && other.hash === resource.hash)) {
      const message = `${resource.id} is declared twice: here and at ${other.origin.file}:${other.origin.line}; keep one of them`;
      issues.push({ ...at(resource), message });
    }
  }
  return issues;
}

/** Errors for kinds that this run does not manage; they are never left out silently. */
function unmanaged(resources: readonly Desired[], providers: LoaderOptions['providers']): Issue[] {
  return resources
    .filter((r) => !providers.has(kindOf(r.id)))
    .map((r) => ({
      ...at(r),
      message: `${r.id}: a run with --root manages files only; remove it, or run the agent without --root`,
    }));
}

function cycleIssues(resources: readonly Desired[]): Issue[] {
  const cycle = findCycle(resources);
  const first = cycle && resources.find((r) => r.id === cycle[0]);
  if (!cycle || !first) return [];
  return [{ ...at(first), message: `dependency cycle: ${cycle.join(' → ')}; remove one \`after\` or \`notify\`` }];
}

const at = (resource: Desired): Omit<Issue, 'message'> => ({
  file: resource.origin.file,
  line: resource.origin.line,
  column: 1,
  key: resource.id,
  severity: 'error',
});

/** The directories of running stacks, from the provider that knows them; null if none does. */
export async function askDirectories(
  providers: ReadonlyMap<Kind, Pick<Provider, 'directories'>>,
): Promise<Directories | null> {
  for (const provider of providers.values()) if (provider.directories) return provider.directories();
  return null;
}
