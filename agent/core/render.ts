/** A checkout → the host's resources: layers read, merged, made ready, rendered. Pure; stacks are read by compose/. */

import type { HostSettings } from '../../manifests-schema/host.ts';
import type { CheckEntry } from '../../manifests-schema/kinds/check.ts';
import type { FileEntry } from '../../manifests-schema/kinds/file.ts';
import { SECTIONS, type Section } from '../../manifests-schema/kinds/index.ts';
import type { JobEntry } from '../../manifests-schema/kinds/job.ts';
import type { UnitEntry } from '../../manifests-schema/kinds/unit.ts';
import type { Parsed } from '../../manifests-schema/yaml.ts';
import { canonicalHash, type Sha256 } from './hash.ts';
import { readLayer } from './layer-content.ts';
import { type Chain, createLayerCache, type LayerCache, readChain, type Var } from './layers.ts';
import { attributeOrigins, type Merged, mergeEntries, originOf, viewOf } from './merge-entries.ts';
import { type PrepareContext, prepareEntry } from './prepare-entry.ts';
import { renderCheck } from './render-check.ts';
import { type LayerContext, renderFile } from './render-file.ts';
import { renderJob } from './render-job.ts';
import { renderUnit } from './render-unit.ts';
import { noSecrets, type Secrets, secretValues } from './secret-values.ts';
import { joinStacks, type StackSource } from './stack-sources.ts';
import { createTemplates } from './template.ts';
import type { Checkout, Desired, Facts, Issue } from './types.ts';

export type { HostSettings, StackSource };

export interface Rendered {
  resources: Desired[];
  issues: Issue[];
  host: HostSettings;
  /** Merged from all layers, each with its place. */
  vars: ReadonlyMap<string, Var>;
  /** The agent's labels with host.yaml's above them. */
  labels: Record<string, string>;
  stacks: StackSource[];
  /** Encrypted files that reached a resource. */
  secrets: string[];
  /** Layers of the host, lowest first. */
  layers: string[];
  unread: Unread;
}

/** What is wrong hides what it declares: that a name stands for nothing cannot be said of these. */
export interface Unread {
  /** A whole file or section could not be read. */
  anything: boolean;
  /** Entries that became no resources. */
  ids: readonly string[];
}

export interface RenderInput {
  checkout: Checkout;
  host: string;
  fleet: string;
  labels: Record<string, string>;
  facts: Facts;
  sha256: Sha256;
  /** Keyed by the host: the digest of all that is secret. */
  keyedHash: Sha256;
  secrets?: Secrets | undefined;
  /** Given by whoever renders several hosts of one commit. */
  cache?: LayerCache;
  /** The host's layers, where they were read before. */
  chain?: Chain;
}

type Render = (
  context: LayerContext,
  parsed: Parsed,
  key: string,
  entry: never,
) => { resources: Desired[]; issues: Issue[] };

/** A section's entries become resources here. */
const RENDER: Record<Section, Render> = {
  files: (context, parsed, key, entry: FileEntry) => renderFile(context, parsed, key, entry),
  units: (context, parsed, key, entry: UnitEntry) => renderUnit(context, parsed, key, entry),
  jobs: (context, parsed, key, entry: JobEntry) => renderJob(context, parsed, key, entry),
  checks: (context, parsed, key, entry: CheckEntry) => renderCheck(context, parsed, key, entry),
};

export function renderHost(input: RenderInput): Rendered {
  const { checkout, secrets = noSecrets } = input;
  const { hostPath, files } = checkout;
  const cache = input.cache ?? createLayerCache();
  const chain = input.chain ?? readChain(files, hostPath, cache);
  const contents = chain.layers.map((layer) => readLayer(files, layer, cache));
  const labels = { ...input.labels, ...chain.host.labels };
  const { merged, issues: mergeIssues } = mergeEntries(contents);
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
  const prepare: PrepareContext = { payload: files, templates, decrypt: secrets.file };
  const wrong = new Set(contents.flatMap((c) => c.wrong));
  const right = merged.filter(({ section, last }) => !wrong.has(`${section} ${last.id}`));
  const rendered = right.map((entry) => renderEntry(input, prepare, entry));
  const resources = highestLayer(
    rendered.flatMap((r) => r.resources),
    chain,
  );
  return {
    resources: underParents(resources),
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
        ...[...wrong].map((entry) => idOf(...(entry.split(/ (.*)/s) as [Section, string]))),
        ...right.filter((_, i) => rendered[i]?.issues.some(isError)).map(({ section, last }) => idOf(section, last.id)),
      ],
    },
  };
}

const isError = ({ severity }: Issue): boolean => severity === 'error';
/** Not about one entry, as `files./etc/x.mode` is. */
const hidesMore = (issue: Issue): boolean => isError(issue) && !SECTIONS.some((s) => issue.key.startsWith(`${s}.`));
const idOf = (section: Section, name: string): string => `${section.slice(0, -1)}:${name}`;

interface RenderedEntry {
  resources: Desired[];
  issues: Issue[];
  secrets: string[];
}

function renderEntry(input: RenderInput, prepare: PrepareContext, merged: Merged): RenderedEntry {
  const { sha256, keyedHash } = input;
  const prepared = prepareEntry(prepare, merged);
  const { secrets } = prepared;
  if (prepared.issues.length > 0) return { resources: [], issues: prepared.issues, secrets };
  const { dir } = merged.last.layer;
  const context: LayerContext = { layer: dir, root: dir, payload: prepared.payload, sha256 };
  const { resources, issues } = RENDER[merged.section](context, viewOf(merged), merged.key, prepared.value as never);
  const told = merged.value['x-fairlead'] as { mode?: 'observe' | 'enforce' } | undefined;
  const mode: Pick<Desired, 'mode'> = told?.mode === 'observe' ? { mode: told.mode } : {};
  const origins = { origin: originOf(merged.last), attributes: attributeOrigins(merged), ...mode };
  return {
    issues,
    secrets,
    resources: resources.map((resource) => {
      const placed = { ...resource, ...origins };
      if (secrets.length === 0) return placed;
      const spec = secretSpec(resource.spec, merged);
      return { ...placed, spec, hash: canonicalHash(spec, keyedHash) };
    }),
  };
}

/** Nobody else's to read, unless the entry says so. */
function secretSpec(spec: unknown, merged: Merged): object {
  const isFile = (spec as { type?: unknown }).type === 'file';
  return { ...(spec as object), secret: true, ...(isFile && merged.value.mode === undefined ? { mode: 0o600 } : {}) };
}

/** A tree may bring a path that another layer declares too: the later layer's stands. */
function highestLayer(resources: readonly Desired[], chain: Chain): Desired[] {
  const rank = new Map(chain.layers.map((layer, i) => [layer.dir, i]));
  const rankOf = (r: Desired) => rank.get(r.origin.layer) ?? 0;
  const top = new Map<string, number>();
  for (const r of resources) top.set(r.id, Math.max(top.get(r.id) ?? 0, rankOf(r)));
  return resources.filter((r) => rankOf(r) === top.get(r.id));
}

/** A declared directory comes before what is declared in it. */
function underParents(resources: readonly Desired[]): Desired[] {
  const paths = new Set<string>(resources.map((r) => r.id));
  /** Directory → those that are declared on the way to what lies in it. */
  const known = new Map<string, Desired['id'][]>();
  const parentsOf = (id: string) => {
    const directory = id.slice(0, id.lastIndexOf('/'));
    const before = known.get(directory);
    if (before !== undefined) return before;
    const all = ancestors(id.slice('file:'.length)).map((p): Desired['id'] => `file:${p}`);
    const found = all.filter((p) => paths.has(p));
    known.set(directory, found);
    return found;
  };
  return resources.map((resource) => {
    if (!resource.id.startsWith('file:/')) return resource;
    const declared = parentsOf(resource.id).filter((p) => !resource.after.includes(p));
    return declared.length > 0 ? { ...resource, after: [...resource.after, ...declared] } : resource;
  });
}

function ancestors(path: string): string[] {
  const parts = path.split('/').slice(1, -1);
  return parts.map((_, i) => `/${parts.slice(0, i + 1).join('/')}`);
}

/** Whether `id` may be one of those, or lie in a tree that is one. */
export const isUnread = ({ anything, ids }: Unread, id: string): boolean =>
  anything || ids.some((one) => id === one || (one.startsWith('file:') && id.startsWith(`${one}/`)));

/**
 * `after` and `notify` that name nothing. To be asked once all resources, stacks included, are known.
 * @param hidden what may be declared although it is not among them
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
          return {
            file,
            line,
            column: 1,
            key: resource.id,
            severity: 'error',
            message: `${resource.id}: \`${key}\` names ${id}, which this host does not declare`,
          };
        }),
    ),
  );
}
