/** A checkout → the host's resources: reads, merges, prepares and renders the layers. Pure; compose/ reads the stacks. */

import { issueAt, nearest } from '../../../manifests-schema/check.ts';
import type { HostSettings } from '../../../manifests-schema/host.ts';
import { SECTIONS, type Section } from '../../../manifests-schema/kinds/index.ts';
import {
  declaredBy,
  definitionOf,
  idOfEntry,
  type KindDefinition,
  type KindTable,
  type RenderContext,
} from '../kind.ts';
import { canonicalHash, type Sha256 } from '../payload/hash.ts';
import type { Checkout, Desired, Facts, Issue } from '../types.ts';
import { readLayer } from './layer-content.ts';
import { type Chain, createLayerCache, type LayerCache, readChain, type Var } from './layers.ts';
import { attributeOrigins, type Merged, mergeEntries, originOf, viewOf } from './merge-entries.ts';
import { type PrepareContext, type Prepared, prepareEntry } from './prepare-entry.ts';
import { noSecrets, type Secrets, secretValues } from './secret-values.ts';
import { joinStacks, type StackSource } from './stack-sources.ts';
import { createTemplates } from './template.ts';

export type { HostSettings, StackSource };

export interface Rendered {
  resources: Desired[];
  issues: Issue[];
  host: HostSettings;
  /** Merged from all layers, each with its origin. */
  vars: ReadonlyMap<string, Var>;
  /** The agent's labels, overridden by host.yaml's. */
  labels: Record<string, string>;
  stacks: StackSource[];
  /** Encrypted files that went into a resource. */
  secrets: string[];
  /** Layers of the host, lowest first. */
  layers: string[];
  unread: Unread;
}

/** Ids that invalid files may declare: a reference to one of these ids must not be reported as unknown. */
export interface Unread {
  /** A whole file or section could not be read. */
  anything: boolean;
  /** Ids of entries that could not be rendered. */
  ids: readonly string[];
}

export interface RenderInput {
  kinds: KindTable;
  checkout: Checkout;
  host: string;
  fleet: string;
  labels: Record<string, string>;
  facts: Facts;
  sha256: Sha256;
  /** A digest with a key of this host, for secret data. */
  keyedHash: Sha256;
  secrets?: Secrets | undefined;
  /** Passed by callers that render several hosts of one commit. */
  cache?: LayerCache;
  /** The host's layers, if they were read before. */
  chain?: Chain;
}

export function renderHost(input: RenderInput): Rendered {
  const { checkout, kinds, secrets = noSecrets } = input;
  const { hostPath, files } = checkout;
  const cache = input.cache ?? createLayerCache();
  const chain = input.chain ?? readChain(files, hostPath, cache);
  const contents = chain.layers.map((layer) => readLayer(kinds, files, layer, cache));
  const labels = { ...input.labels, ...chain.host.labels };
  const { merged, issues: mergeIssues } = mergeEntries(kinds, contents);
  const stacks = joinStacks(contents, chain.vars);
  const named = secretValues(contents, secrets);
  const issues = [
    ...chain.issues,
    ...contents.flatMap((c) => c.issues),
    ...mergeIssues,
    ...stacks.issues,
    ...named.issues,
  ];

  const templates = createTemplates(
    files,
    {
      host: { name: input.host, fleet: input.fleet, labels },
      vars: Object.fromEntries([...chain.vars].map(([name, { value }]) => [name, value])),
      facts: input.facts,
      secrets: named.values,
    },
    cache.engines,
  );
  const prepare: PrepareContext = { kinds, payload: files, templates, decrypt: secrets.file };
  const wrong = new Set(contents.flatMap((c) => c.wrong));
  const right = merged.filter(({ section, last }) => !wrong.has(`${section} ${last.id}`));
  const rendered = right.map((entry) => renderEntry(input, prepare, entry));
  const resources = highestLayer(
    rendered.flatMap((r) => r.resources),
    chain,
  );
  return {
    resources: underHolders(kinds, resources),
    issues: [...issues, ...rendered.flatMap((r) => r.issues)],
    host: chain.host,
    vars: chain.vars,
    labels,
    stacks: stacks.sources,
    secrets: [...new Set(rendered.flatMap((r) => r.secrets))].sort(),
    layers: chain.layers.map((l) => l.dir),
    unread: {
      anything: [...chain.issues, ...contents.flatMap((c) => c.issues)].some(hidesMore),
      ids: [
        ...[...wrong].map((entry) => idOfEntry(kinds, ...(entry.split(/ (.*)/s) as [Section, string]))),
        ...right
          .filter((_, i) => rendered[i]?.issues.some(isError))
          .map(({ section, last }) => idOfEntry(kinds, section, last.id)),
      ],
    },
  };
}

const isError = ({ severity }: Pick<Issue, 'severity'>): boolean => severity === 'error';
/** Whether an error hides more than one entry, unlike an issue of `files./etc/x.mode`. */
const hidesMore = (issue: Issue): boolean => isError(issue) && !SECTIONS.some((s) => issue.key.startsWith(`${s}.`));

interface RenderedEntry {
  resources: Desired[];
  issues: Issue[];
  secrets: string[];
}

function renderEntry(input: RenderInput, prepare: PrepareContext, merged: Merged): RenderedEntry {
  const { keyedHash } = input;
  const prepared = prepareEntry(prepare, merged);
  const { secrets } = prepared;
  if (prepared.issues.length > 0) return { resources: [], issues: prepared.issues, secrets };
  const { kind, declared } = declaredBy(input.kinds, merged.section);
  const { resources, issues } = declared.render(prepared.value, contextOf(input, kind, merged, prepared));
  const told = merged.value['x-fairlead'] as { mode?: 'observe' | 'enforce' } | undefined;
  const mode: Pick<Desired, 'mode'> = told?.mode === 'observe' ? { mode: told.mode } : {};
  const origins = { origin: originOf(merged.last), attributes: attributeOrigins(merged), ...mode };
  const bared = prepared.secretLines.flatMap((line) => declared.secretLine?.(line) ?? []);
  // One issue is enough to know what to do; an error takes precedence over a warning.
  const worst = bared.find(isError) ?? bared[0];
  const view = issueAt(viewOf(merged), [merged.section, merged.key], worst?.message ?? '');
  return {
    issues: worst ? [...issues, { ...view, severity: worst.severity }] : issues,
    secrets,
    resources: resources.map((resource) => {
      const placed = { ...resource, ...origins };
      if (secrets.length === 0) return placed;
      const isSecret = prepared.holdsSecret || !declared.tellsSecrets;
      const spec = isSecret ? (declared.withSecret?.(resource.spec, merged.value) ?? resource.spec) : resource.spec;
      return { ...placed, spec, hash: canonicalHash(spec, keyedHash) };
    }),
  };
}

function contextOf(
  { sha256 }: RenderInput,
  kind: KindDefinition,
  merged: Merged,
  { value, payload }: Prepared,
): RenderContext {
  const { section, key, last } = merged;
  const parsed = viewOf(merged);
  const { after = [], notify = [], reload } = value as Partial<Pick<Desired, 'after' | 'notify' | 'reload'>>;
  return {
    key,
    file: parsed.file,
    root: last.layer.dir,
    payload,
    issue: (at, message) => issueAt(parsed, [section, key, ...at], message),
    declare: (locator, spec) => ({
      id: `${kind.name}:${locator}`,
      spec,
      hash: canonicalHash(spec, sha256),
      after,
      notify,
      ...(reload ? { reload } : {}),
      origin: originOf(last),
    }),
  };
}

/** Keeps the highest layer if several declare one path: a tree may contain a path that another layer declares. */
function highestLayer(resources: readonly Desired[], chain: Chain): Desired[] {
  const rank = new Map(chain.layers.map((layer, i) => [layer.dir, i]));
  const rankOf = (r: Desired) => rank.get(r.origin.layer) ?? 0;
  const top = new Map<string, number>();
  for (const r of resources) top.set(r.id, Math.max(top.get(r.id) ?? 0, rankOf(r)));
  return resources.filter((r) => rankOf(r) === top.get(r.id));
}

/** Makes a resource inside of another declared resource come after it. */
function underHolders(kinds: KindTable, resources: readonly Desired[]): Desired[] {
  const ids = new Set(resources.map((r) => r.id));
  /** Id → the declared resources on the path to it, the outermost first. */
  const known = new Map<Desired['id'] | null, readonly Desired['id'][]>([[null, []]]);
  const declaredUpTo = (id: Desired['id'] | null): readonly Desired['id'][] => {
    const before = known.get(id);
    if (before !== undefined || id === null) return before ?? [];
    const outer = declaredUpTo(definitionOf(kinds, id).holder?.(id) ?? null);
    const found = ids.has(id) ? [...outer, id] : outer;
    known.set(id, found);
    return found;
  };
  return resources.map((resource) => {
    const holder = definitionOf(kinds, resource.id).holder?.(resource.id) ?? null;
    const declared = declaredUpTo(holder).filter((id) => !resource.after.includes(id));
    return declared.length > 0 ? { ...resource, after: [...resource.after, ...declared] } : resource;
  });
}

/** Whether `id` is one of those, or lies in a tree that is one. */
export const isUnread = ({ anything, ids }: Unread, id: string): boolean =>
  anything || ids.some((one) => id === one || id.startsWith(`${one}/`));

/** With more resources than this, no similar name is suggested: a repository may have as many wrong names. */
const SEARCHED = 2_000;

/**
 * Issues for `after` and `notify` that name nothing. To be called once all resources, those of stacks included, are known.
 * @param hidden ids that may be declared although they are missing
 */
export function checkReferences(
  resources: readonly Desired[],
  all: readonly Desired[],
  hidden: (id: Desired['id']) => boolean,
): Issue[] {
  const known = new Set(all.map((r) => r.id));
  return resources.flatMap((resource) =>
    (['after', 'notify', 'reload'] as const).flatMap((key) =>
      (resource[key] ?? [])
        .filter((id) => !known.has(id) && !hidden(id))
        .map((id): Issue => {
          const { file, line } = resource.origin;
          const near = known.size > SEARCHED ? undefined : nearest(id, [...known]);
          return {
            file,
            line,
            column: 1,
            key: resource.id,
            severity: 'error',
            message: `${resource.id}: \`${key}\` names ${id}, which this host does not declare${near === undefined ? '' : `; did you mean ${near}?`}`,
          };
        }),
    ),
  );
}
