/** A checkout → resources or issues: manifests, then stacks, then what can only be said of the whole. Pure, given the hash. */
import type { Stack } from '../../compose/index.ts';
import { withImpliedEdges } from '../../core/edges.ts';
import { findCycle, inOrder } from '../../core/graph.ts';
import { canonicalHash } from '../../core/hash.ts';
import { kindOf } from '../../core/id.ts';
import { definitionOf, type KindTable, traitsOf } from '../../core/kind.ts';
import { createLayerCache, type LayerCache, readChain, type Var } from '../../core/layers.ts';
import type { Payload } from '../../core/payload.ts';
import { claimIssues } from '../../core/plan.ts';
import type { Directories, Provider } from '../../core/provider.ts';
import { checkReferences, isUnread, renderHost } from '../../core/render.ts';
import { agentTooOld } from '../../core/requires.ts';
import { noSecrets, type Secrets } from '../../core/secret-values.ts';
import type { Checkout, Desired, Facts, Issue, Kind, ResourceId } from '../../core/types.ts';
import type { Loaded } from '../types.ts';
import { agentIssues } from './agent-issues.ts';
import { keyedWhereTelling } from './credential-hash.ts';
import { loadWithSecrets, type StackWithSecrets } from './stack-secrets.ts';

export interface LoaderOptions {
  /** Of this agent. Left out: whatever `requires` says is fulfilled. */
  version?: string | undefined;
  host: string;
  fleet: string;
  labels: Record<string, string>;
  facts: Facts;
  /** Where files that containers mount by relative path are kept, e.g. /var/lib/fairlead/tree. */
  treeRoot: string;
  sha256(bytes: Uint8Array): string;
  /** Keyed by the host: for all that is secret. */
  keyedHash(bytes: Uint8Array): string;
  /** Decrypts the encrypted files below these directories of a checkout; what fails, fails when it is used. */
  decrypt?(files: Payload, dirs: readonly string[], commit: string): Promise<Secrets>;
  /** Hears what looks like a credential in what a commit declares, so that it can be kept out of messages. */
  found?(credentials: readonly string[], commit: string): void;
  /** A client's config.json with the logins of this host; asked only where a service is to have it. Left out: nobody's. */
  logins?(): Promise<string>;
  /** Variables of this host alone: the same map as long as nothing changed. Left out: there are none. */
  localVars?(): ReadonlyMap<string, Var>;
  kinds: KindTable;
  /** Of the kinds that this run manages. */
  providers: ReadonlyMap<Kind, Pick<Provider, 'claims' | 'diff'>>;
  /** Asks the host where stacks lie that somebody else started; left out where no host is asked. */
  directories?(): Promise<Directories | null>;
  /** Shared by loaders of several hosts that read one commit. */
  cache?: LayerCache;
}

type LocalVars = ReadonlyMap<string, Var> | undefined;

/** Loads checkouts; remembers the last one, since most runs see the same commit again. */
export function createLoader(options: LoaderOptions): (checkout: Checkout) => Promise<Loaded> {
  let last: { commit: string; hostPath: string; local: LocalVars; loaded: Loaded } | null = null;
  return async (checkout) => {
    const { hostPath } = checkout;
    const { commit } = checkout.info;
    // The commit that was accepted may be kept as another directory of it, until agent.yaml's own is accepted.
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
    // A directory that is no commit may be another one next time.
    if (commit === '') return loaded;
    // A key may come, a recipient may be mended on the host: what failed is tried again.
    last = loaded.issues.some((i) => i.severity === 'error') || !isSure ? null : { commit, hostPath, local, loaded };
    return loaded;
  };
}

/** Everything that can be said of a checkout without looking at the host. */
export async function load(options: LoaderOptions, checkout: Checkout): Promise<Loaded> {
  const { version } = options;
  const tooOld = version === undefined ? null : agentTooOld(checkout.files, version);
  if (tooOld === null) return loadFiles(options, checkout);
  // Nothing else can be said of files that are written for another agent.
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
  // What another stack includes belongs to that one.
  const included = new Set(read.flatMap((stack) => stack.included));
  const stacks = read.filter((_, i) => !included.has(rendered.stacks[i]?.files[0]?.path ?? ''));
  const declared = [...rendered.resources, ...stacks.flatMap((s) => s.resources)];
  const { keyed, credentials } = keyedWhereTelling(declared, keyedHash);
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
  // Of what is not whole, these would say what follows from other errors.
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
    ...asAWhole({ kinds: options.kinds, resources, host: rendered.host }, sha256),
  };
}

/** Whether a service is to have the logins shows only when the stacks are read. */
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

/** What is said of all resources together, made when it is first asked for: most who load ask for neither, a daemon at every run. */
export function asAWhole(
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
    // What is judged otherwise is worth another try.
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

/** A file that is read twice, as a manifest and as part of a stack, complains once. */
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

/** A kind that this run does not manage is an error, never silently left out. */
function unmanaged(resources: readonly Desired[], providers: LoaderOptions['providers']): Issue[] {
  return resources
    .filter((r) => !providers.has(kindOf(r.id)))
    .map((r) => ({
      ...at(r),
      message: `${r.id}: a run with --root manages what lies in files only; remove it, or run the agent without --root`,
    }));
}

function cycleIssues(resources: readonly Desired[]): Issue[] {
  const cycle = findCycle(resources);
  const first = cycle && resources.find((r) => r.id === cycle[0]);
  if (!cycle || !first) return [];
  return [{ ...at(first), message: `dependency cycle: ${cycle.join(' → ')}; remove one of these edges` }];
}

const at = (resource: Desired): Omit<Issue, 'message'> => ({
  file: resource.origin.file,
  line: resource.origin.line,
  column: 1,
  key: resource.id,
  severity: 'error',
});

/** Where stacks lie that run already, of whoever knows it; null where nobody does. */
export async function askDirectories(
  providers: ReadonlyMap<Kind, Pick<Provider, 'directories'>>,
): Promise<Directories | null> {
  for (const provider of providers.values()) if (provider.directories) return provider.directories();
  return null;
}
