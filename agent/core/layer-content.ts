/** What one layer's directory says: its manifests' entries, its stacks, its secrets. Pure. */
import { check, issueAt } from '../../manifests-schema/check.ts';
import { ENTRIES, SECTIONS, type Section } from '../../manifests-schema/kinds/index.ts';
import { COMPOSE_KEYS, type Manifest, manifest } from '../../manifests-schema/manifest.ts';
import { type Parsed, parseYaml } from '../../manifests-schema/yaml.ts';
import { type Declared, declaredBy, type KindTable } from './kind.ts';
import { COMPOSE_NAMES, findStacks, OVERRIDE_NAMES, type StackDir } from './layer-stacks.ts';
import type { Layer, LayerCache } from './layers.ts';
import type { Issue } from './types.ts';

export interface Entry {
  section: Section;
  /** As written; `id` is the locator that it stands for, without a directory's trailing / for example. */
  key: string;
  id: string;
  /** null takes an inherited entry out. */
  value: Record<string, unknown> | null;
  parsed: Parsed;
  layer: Layer;
}

export interface LayerContent {
  layer: Layer;
  entries: Entry[];
  stacks: StackDir[];
  /** Encrypted files in the layer's own directory, whose values are `secrets` in templates. */
  secrets: string[];
  /** `section id` of entries that are wrong in themselves: nothing more can be said of them, in any layer. */
  wrong: string[];
  issues: Issue[];
}

const isManifest = (name: string): boolean =>
  /^[^.].*\.ya?ml$/.test(name) &&
  !isEncrypted(name) &&
  !['host.yaml', 'role.yaml', ...COMPOSE_NAMES, ...OVERRIDE_NAMES].includes(name);

/** By its name: `*.sops.yaml|yml|json|env`, `*.sops` (binary) and `*.age`. */
export const isEncrypted = (name: string): boolean => /(^|\/)[^/]+\.(age|sops|sops\.(ya?ml|json|env))$/.test(name);

type Files = ReadonlyMap<string, Uint8Array>;

/** Reads a layer; a role is read once for all hosts. */
export function readLayer(kinds: KindTable, files: Files, layer: Layer, cache: LayerCache): LayerContent {
  const known = layer.kind === 'role' ? cache.contents.get(layer.dir) : undefined;
  const content = (known as LayerContent | undefined) ?? read(kinds, files, layer);
  if (layer.kind === 'role') cache.contents.set(layer.dir, content);
  return content;
}

function read(kinds: KindTable, files: Files, layer: Layer): LayerContent {
  const prefix = `${layer.dir}/`;
  const text = (path: string) => new TextDecoder().decode(files.get(path));
  const own = [...files.keys()].filter((f) => f.startsWith(prefix)).sort();
  const top = own.map((f) => f.slice(prefix.length)).filter((name) => !name.includes('/'));
  const issues: Issue[] = [];
  const wrong = layer.kind === 'role' ? 'host.yaml' : 'role.yaml';
  if (top.includes(wrong)) issues.push(misplaced(prefix + wrong, layer));

  const entries: Entry[] = [];
  const spoilt: string[] = [];
  const withStack: { parsed: Parsed; text: string }[] = [];
  for (const name of top.filter(isManifest)) {
    const body = text(prefix + name);
    const found = readManifest(kinds, prefix + name, body);
    issues.push(...found.issues);
    if (found.hasStack) withStack.push({ parsed: found.parsed, text: body });
    if (found.manifest !== null) entries.push(...entriesOf(kinds, found.parsed, found.manifest, layer));
    spoilt.push(...found.wrong);
  }
  issues.push(...repeated(entries));
  const stacks = findStacks(layer.dir, own, text, withStack);
  issues.push(...stacks.flatMap((s) => s.issues));
  return {
    layer,
    entries,
    stacks,
    secrets: top.filter(isEncrypted).map((name) => prefix + name),
    wrong: spoilt,
    issues,
  };
}

const misplaced = (file: string, layer: Layer): Issue => ({
  file,
  line: 1,
  column: 1,
  key: '',
  severity: 'error',
  message: `this file has no place in a ${layer.kind}'s directory; its settings are ${layer.dir}/${layer.kind}.yaml`,
});

function entriesOf(kinds: KindTable, parsed: Parsed, found: Manifest, layer: Layer): Entry[] {
  return SECTIONS.flatMap((section) => {
    const { declared } = declaredBy(kinds, section);
    return Object.entries(found[section] ?? {}).map(([key, value]): Entry => {
      return { section, key, id: declared.locator(key), value: attributesOf(declared, value), parsed, layer };
    });
  });
}

const attributesOf = ({ plain }: Declared, value: unknown): Entry['value'] =>
  plain === undefined || value === null ? (value as Entry['value']) : { [plain]: value };

/** The same id twice in one layer. */
function repeated(entries: readonly Entry[]): Issue[] {
  const first = new Map<string, Entry>();
  return entries.flatMap((entry) => {
    const id = `${entry.section} ${entry.id}`;
    const other = first.get(id);
    if (other === undefined) {
      first.set(id, entry);
      return [];
    }
    const at = `${other.parsed.file}:${other.parsed.locate([other.section, other.key]).line}`;
    return [
      issueAt(
        entry.parsed,
        [entry.section, entry.key],
        `\`${entry.key}\` is declared twice in ${entry.layer.dir}: here and at ${at}; keep one of them`,
      ),
    ];
  });
}

interface ReadManifest {
  parsed: Parsed;
  manifest: Manifest | null;
  hasStack: boolean;
  /** See `LayerContent.wrong`. */
  wrong: string[];
  issues: Issue[];
}

function readManifest(kinds: KindTable, file: string, text: string): ReadManifest {
  const parsed = parseYaml(file, text);
  const nothing = (issues: Issue[]): ReadManifest => ({ parsed, manifest: null, hasStack: false, wrong: [], issues });
  if (parsed.issues.length > 0) return nothing(parsed.issues);
  if (parsed.value === null || parsed.value === undefined) return nothing([]);
  if (!isObject(parsed.value))
    return nothing([issueAt(parsed, [], 'a manifest is a mapping with keys such as `files`, `units` or `services`')]);
  const own = Object.fromEntries(Object.entries(parsed.value).filter(([key]) => !key.startsWith('x-')));
  const hasStack = COMPOSE_KEYS.some((key) => Object.hasOwn(own, key));
  const checked = check(manifest, parsed, own);
  if (checked.ok) return { parsed, manifest: checked.value as Manifest, hasStack, wrong: [], issues: [] };
  return { parsed, hasStack, issues: checked.issues, ...sorted(kinds, own) };
}

/** Separates valid entries from invalid ones, so that all errors of a commit are reported together. */
function sorted(kinds: KindTable, own: Record<string, unknown>): Pick<ReadManifest, 'manifest' | 'wrong'> {
  const right: Record<string, Record<string, unknown>> = {};
  const wrong: string[] = [];
  for (const section of SECTIONS) {
    const entries = own[section];
    if (!isObject(entries)) continue;
    right[section] = {};
    for (const [key, value] of Object.entries(entries))
      if (value === null || ENTRIES[section].safeParse(value).success) right[section][key] = value;
      else wrong.push(`${section} ${declaredBy(kinds, section).declared.locator(key)}`);
  }
  return { manifest: right as Manifest, wrong };
}

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
