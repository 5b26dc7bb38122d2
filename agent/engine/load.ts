/** A checkout → resources or issues: manifests, then stacks, then what can only be said of the whole. Pure, given the hash. */
import { loadStack } from '../compose/index.ts';
import { findCycle, kindOf } from '../core/graph.ts';
import { claimIssues } from '../core/plan.ts';
import type { Provider } from '../core/provider.ts';
import { checkReferences, renderHost } from '../core/render.ts';
import type { Checkout, Desired, Issue, Kind } from '../core/types.ts';
import type { Loaded } from './types.ts';

export interface LoaderOptions {
  host: string;
  fleet: string;
  labels: Record<string, string>;
  /** Where files that containers mount by relative path are kept, e.g. /var/lib/fairlead/tree. */
  treeRoot: string;
  sha256(bytes: Uint8Array): string;
  providers: ReadonlyMap<Kind, Provider>;
}

/** Loads checkouts; remembers the last one, since most runs see the same commit again. */
export function createLoader(options: LoaderOptions): (checkout: Checkout) => Loaded {
  let last: { commit: string; loaded: Loaded } | null = null;
  return (checkout) => {
    if (last?.commit !== checkout.info.commit) last = { commit: checkout.info.commit, loaded: load(options, checkout) };
    return last.loaded;
  };
}

function load(options: LoaderOptions, checkout: Checkout): Loaded {
  const { host, fleet, labels, sha256, treeRoot } = options;
  const rendered = renderHost({ checkout, host, fleet, labels, sha256 });
  const vars = { ...stringVars(rendered.host.vars), FAIRLEAD_HOST: host, FAIRLEAD_FLEET: fleet };
  const stacks = rendered.stacks.map((stack) =>
    loadStack({ ...stack, vars, payload: checkout.files, treeRoot, sha256 }),
  );
  const resources = [...rendered.resources, ...stacks.flatMap((s) => s.resources)];
  const issues = [...rendered.issues, ...stacks.flatMap((s) => s.issues)];
  issues.push(...duplicates(resources), ...unmanaged(resources, options.providers));
  if (!issues.some((i) => i.severity === 'error')) {
    issues.push(
      ...checkReferences(rendered.resources, resources),
      ...claimIssues(resources, options.providers),
      ...cycleIssues(resources),
    );
  }
  return { resources, issues, host: rendered.host };
}

const stringVars = (vars: Record<string, unknown> | undefined): Record<string, string> =>
  Object.fromEntries(
    Object.entries(vars ?? {})
      .filter(([, v]) => v !== null && typeof v !== 'object')
      .map(([k, v]) => [k, String(v)]),
  );

function duplicates(resources: readonly Desired[]): Issue[] {
  const first = new Map<string, Desired>();
  const issues: Issue[] = [];
  for (const resource of resources) {
    const other = first.get(resource.id);
    if (other === undefined) first.set(resource.id, resource);
    else if (!(resource.id.startsWith('file:') && other.hash === resource.hash)) {
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
      message: `${r.id}: a run with --root manages files only; remove it, or run the agent without --root`,
    }));
}

function cycleIssues(resources: readonly Desired[]): Issue[] {
  const cycle = findCycle(resources);
  const first = cycle && resources.find((r) => r.id === cycle[0]);
  if (!cycle || !first) return [];
  return [
    { ...at(first), message: `the order goes round in a circle: ${cycle.join(' → ')}; remove one of these edges` },
  ];
}

const at = (resource: Desired): Omit<Issue, 'message'> => ({
  file: resource.origin.file,
  line: resource.origin.line,
  column: 1,
  key: resource.id,
  severity: 'error',
});
