/** A checkout → the host's resources. Pure: manifests to files and units; stacks are named here and read by compose/. */
import { check, issueAt } from '../../manifests-schema/check.ts';
import { HOST_NOT_YET, type HostSettings, hostSettings } from '../../manifests-schema/host.ts';
import { COMPOSE_KEYS, type Manifest, manifest, NOT_YET } from '../../manifests-schema/manifest.ts';
import { type Parsed, parseYaml } from '../../manifests-schema/yaml.ts';
import type { Sha256 } from './hash.ts';
import { type LayerContext, renderFile } from './render-file.ts';
import { renderUnit } from './render-unit.ts';
import type { Checkout, Desired, Issue } from './types.ts';

export type { HostSettings };

/** What compose/ needs to load one stack. */
export interface StackSource {
  /** Directory in the repository. */
  dir: string;
  layer: string;
  /** In the order in which they are merged. */
  files: { path: string; text: string }[];
  env: { path: string; text: string } | null;
}

export interface Rendered {
  resources: Desired[];
  issues: Issue[];
  host: HostSettings;
  stacks: StackSource[];
}

export interface RenderInput {
  checkout: Checkout;
  host: string;
  fleet: string;
  labels: Record<string, string>;
  sha256: Sha256;
}

const COMPOSE_NAMES = ['compose.yaml', 'compose.yml', 'docker-compose.yaml', 'docker-compose.yml'];
const OVERRIDE_NAMES = [
  'compose.override.yaml',
  'compose.override.yml',
  'docker-compose.override.yaml',
  'docker-compose.override.yml',
];
const isYaml = (name: string) => /\.ya?ml$/.test(name);

export function renderHost({ checkout, sha256 }: RenderInput): Rendered {
  const { hostPath, files } = checkout;
  const text = (path: string) => new TextDecoder().decode(files.get(path));
  const issues: Issue[] = [];
  const host = readHost(hostPath, files, text, issues);
  const context: LayerContext = { layer: hostPath, root: hostPath, payload: files, sha256 };

  const top = [...files.keys()]
    .filter((f) => f.startsWith(`${hostPath}/`) && !f.slice(hostPath.length + 1).includes('/'))
    .sort();
  const manifests = top.filter((f) => {
    const name = f.slice(hostPath.length + 1);
    return isYaml(name) && name !== 'host.yaml' && !COMPOSE_NAMES.includes(name) && !OVERRIDE_NAMES.includes(name);
  });
  const resources: Desired[] = [];
  const withStack: string[] = [];
  for (const file of manifests) {
    const read = readManifest(file, text(file));
    issues.push(...read.issues);
    if (read.hasStack) withStack.push(file);
    if (read.manifest === null) continue;
    for (const [key, entry] of Object.entries(read.manifest.files ?? {})) {
      const rendered = renderFile(context, read.parsed, key, entry);
      resources.push(...rendered.resources);
      issues.push(...rendered.issues);
    }
    for (const [name, entry] of Object.entries(read.manifest.units ?? {})) {
      const rendered = renderUnit(context, read.parsed, name, entry);
      resources.push(...rendered.resources);
      issues.push(...rendered.issues);
    }
  }
  return { resources: underParents(resources), issues, host, stacks: findStacks(checkout, withStack, text) };
}

function readHost(
  hostPath: string,
  files: Checkout['files'],
  text: (path: string) => string,
  issues: Issue[],
): HostSettings {
  const file = `${hostPath}/host.yaml`;
  const defaults = hostSettings.parse({});
  for (const notYet of ['fleet.yaml']) {
    if (files.has(notYet))
      issues.push({
        file: notYet,
        line: 1,
        column: 1,
        key: '',
        severity: 'warning',
        message: 'fleet.yaml is not read by this version',
      });
  }
  if (!files.has(file)) return defaults;
  const parsed = parseYaml(file, text(file));
  issues.push(...parsed.issues);
  if (parsed.issues.length > 0) return defaults;
  const early = HOST_NOT_YET.filter((key) => isObject(parsed.value) && Object.hasOwn(parsed.value, key));
  issues.push(
    ...early.map((key) => issueAt(parsed, [key], `\`${key}\` is not supported by this version yet; remove it`)),
  );
  if (early.length > 0) return defaults;
  const checked = check(hostSettings, parsed, parsed.value ?? {});
  if (checked.ok) return checked.value;
  issues.push(...checked.issues);
  return defaults;
}

interface ReadManifest {
  parsed: Parsed;
  manifest: Manifest | null;
  hasStack: boolean;
  issues: Issue[];
}

function readManifest(file: string, text: string): ReadManifest {
  const parsed = parseYaml(file, text);
  if (parsed.issues.length > 0) return { parsed, manifest: null, hasStack: false, issues: parsed.issues };
  if (parsed.value === null || parsed.value === undefined) return { parsed, manifest: {}, hasStack: false, issues: [] };
  if (!isObject(parsed.value)) {
    return {
      parsed,
      manifest: null,
      hasStack: false,
      issues: [issueAt(parsed, [], 'a manifest is a mapping with keys such as `files`, `units` or `services`')],
    };
  }
  const early = notYetIn(parsed.value);
  if (early.length > 0) {
    const issues = early.map((path) =>
      issueAt(parsed, path, `${NOT_YET[String(path.at(-1))]} are not supported by this version yet`),
    );
    return { parsed, manifest: null, hasStack: false, issues };
  }
  const own = Object.fromEntries(Object.entries(parsed.value).filter(([key]) => !key.startsWith('x-')));
  const hasStack = COMPOSE_KEYS.some((key) => Object.hasOwn(own, key));
  const checked = check(manifest, parsed, own);
  return checked.ok
    ? { parsed, manifest: checked.value as Manifest, hasStack, issues: [] }
    : { parsed, manifest: null, hasStack, issues: checked.issues };
}

/** Paths of keys that the product has and this version does not. */
function notYetIn(value: Record<string, unknown>): string[][] {
  const top = ['jobs', 'checks'].filter((key) => Object.hasOwn(value, key)).map((key) => [key]);
  const inner = ['files', 'units'].flatMap((section) => {
    const entries = value[section];
    if (!isObject(entries)) return [];
    return Object.entries(entries).flatMap(([id, entry]) =>
      isObject(entry)
        ? Object.keys(NOT_YET)
            .filter((key) => Object.hasOwn(entry, key))
            .map((key) => [section, id, key])
        : [],
    );
  });
  return [...top, ...inner];
}

/** The host's own directory and every directory below it with a compose file. */
function findStacks(
  { hostPath, files }: Checkout,
  withStack: readonly string[],
  text: (path: string) => string,
): StackSource[] {
  const dirs = new Map<string, { base: string[]; override: string[] }>();
  for (const file of files.keys()) {
    if (!file.startsWith(`${hostPath}/`)) continue;
    const dir = file.slice(0, file.lastIndexOf('/'));
    const name = file.slice(dir.length + 1);
    const found = dirs.get(dir) ?? { base: [], override: [] };
    if (COMPOSE_NAMES.includes(name)) found.base.push(file);
    else if (OVERRIDE_NAMES.includes(name)) found.override.push(file);
    else continue;
    dirs.set(dir, found);
  }
  if (withStack.length > 0 && !dirs.has(hostPath)) dirs.set(hostPath, { base: [], override: [] });
  const rank = (file: string) => COMPOSE_NAMES.indexOf(file.slice(file.lastIndexOf('/') + 1));
  return [...dirs]
    .filter(([dir, { base }]) => base.length > 0 || dir === hostPath)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([dir, { base, override }]) => {
      // Of several names Compose reads the first it prefers; its override beside it.
      const chosen = [...base].sort((a, b) => rank(a) - rank(b)).slice(0, 1);
      const merged = [...chosen, ...override.sort().slice(0, 1), ...(dir === hostPath ? withStack : [])];
      const env = `${dir}/.env`;
      return {
        dir,
        layer: hostPath,
        files: merged.map((path) => ({ path, text: text(path) })),
        env: files.has(env) ? { path: env, text: text(env) } : null,
      };
    });
}

/** A declared directory comes before what is declared in it. */
function underParents(resources: readonly Desired[]): Desired[] {
  const paths = new Set<string>(resources.map((r) => r.id));
  return resources.map((resource) => {
    if (!resource.id.startsWith('file:/')) return resource;
    const parents = ancestors(resource.id.slice('file:'.length)).map((p): Desired['id'] => `file:${p}`);
    const declared = parents.filter((p) => paths.has(p) && !resource.after.includes(p));
    return declared.length > 0 ? { ...resource, after: [...resource.after, ...declared] } : resource;
  });
}

function ancestors(path: string): string[] {
  const parts = path.split('/').slice(1, -1);
  return parts.map((_, i) => `/${parts.slice(0, i + 1).join('/')}`);
}

/** `after` and `notify` that name nothing. To be asked once all resources, stacks included, are known. */
export function checkReferences(resources: readonly Desired[], all: readonly Desired[]): Issue[] {
  const known = new Set(all.map((r) => r.id));
  return resources.flatMap((resource) =>
    (['after', 'notify'] as const).flatMap((key) =>
      resource[key]
        .filter((id) => !known.has(id))
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

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
