/** The content of one layer's directory: entries of manifests, stacks, secrets. Pure. */
import { check, issueAt } from '../../../manifests-schema/check.ts';
import { ENTRIES, SECTIONS, type Section } from '../../../manifests-schema/kinds/index.ts';
import { COMPOSE_KEYS, type Manifest, manifest } from '../../../manifests-schema/manifest.ts';
import { type Parsed, parseYaml } from '../../../manifests-schema/yaml.ts';
import { type Declared, declaredBy, type KindTable } from '../kind.ts';
import { encryptionIn, isNamedEncrypted, notReadable } from '../payload/encrypted.ts';
import type { Payload } from '../payload/payload.ts';
import { textOrIssue } from '../strict-text.ts';
import type { Issue } from '../types.ts';
import { decryptProblem } from './kept.ts';
import { COMPOSE_NAMES, filesNamed, findStacks, OVERRIDE_NAMES, type StackDir } from './layer-stacks.ts';
import type { Layer, LayerCache } from './layers.ts';

export interface Entry {
  section: Section;
  /** `key` is as written; `id` is its locator, for example without the trailing / of a directory. */
  key: string;
  id: string;
  /** null removes an inherited entry. */
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
  /** `section id` of invalid entries: nothing more is reported about them, in any layer. */
  wrong: string[];
  issues: Issue[];
}

const isManifestName = (name: string): boolean =>
  /^[^.].*\.ya?ml$/.test(name) && !['host.yaml', 'role.yaml', ...COMPOSE_NAMES, ...OVERRIDE_NAMES].includes(name);

/** Whether fairlead reads a file because of its name: settings of a host or role, and compose files. */
const isRead = (name: string): boolean =>
  ['host.yaml', 'role.yaml', ...COMPOSE_NAMES, ...OVERRIDE_NAMES].includes(name);

type Files = Payload;

/** Reads a layer; a role is read once for all hosts. */
export function readLayer(kinds: KindTable, files: Files, layer: Layer, cache: LayerCache): LayerContent {
  const known = layer.kind === 'role' ? cache.contents.get(layer.dir) : undefined;
  const content = (known as LayerContent | undefined) ?? read(kinds, files, layer);
  if (layer.kind === 'role') cache.contents.set(layer.dir, content);
  return content;
}

function read(kinds: KindTable, files: Files, layer: Layer): LayerContent {
  const prefix = `${layer.dir}/`;
  const own = [...files.keys()].filter((f) => f.startsWith(prefix)).sort();
  const top = own.map((f) => f.slice(prefix.length)).filter((name) => !name.includes('/'));
  const issues: Issue[] = [];
  const sealed = (path: string) => encryptionIn(files, path);
  const text = (path: string): string => {
    const found = textOrIssue(path, files.get(path) ?? new Uint8Array());
    if (found.issue) issues.push(found.issue);
    return found.text ?? '';
  };
  const encrypted = top.filter((name) => sealed(prefix + name) !== null && !isRead(name));
  const wrong = layer.kind === 'role' ? 'host.yaml' : 'role.yaml';
  if (top.includes(wrong)) issues.push(misplaced(prefix + wrong, layer));

  const entries: Entry[] = [];
  const spoilt: string[] = [];
  const withStack: { parsed: Parsed; text: string }[] = [];
  for (const name of encrypted.filter((one) => isManifestName(one) && !isNamedEncrypted(one))) {
    const section = declaredIn(prefix + name, files);
    if (section !== null)
      issues.push(sealedIssue(prefix + name, `it declares \`${section}\`, and manifests are read without a key`));
  }
  const main = COMPOSE_NAMES.find((name) => top.includes(name));
  const named = main === undefined ? [] : filesNamed(prefix + main, plainText(files, prefix + main));
  for (const name of top.filter((one) => isManifestName(one) && !encrypted.includes(one) && !named.includes(one))) {
    const body = text(prefix + name);
    const found = readManifest(kinds, prefix + name, body);
    issues.push(...found.issues);
    if (found.hasStack) withStack.push({ parsed: found.parsed, text: body });
    if (found.manifest !== null) entries.push(...entriesOf(kinds, found.parsed, found.manifest, layer));
    spoilt.push(...found.wrong);
  }
  issues.push(...repeated(entries));
  const stacks = findStacks({
    layerDir: layer.dir,
    files: own,
    withStack,
    text(path) {
      if (sealed(path) === null) return text(path);
      issues.push(sealedIssue(path, 'compose files are read without a key'));
      return '';
    },
    env: (path) => (sealed(path) === null ? text(path) : null),
  });
  issues.push(...stacks.flatMap((s) => s.issues));
  return {
    layer,
    entries,
    stacks,
    secrets: encrypted.map((name) => prefix + name),
    wrong: spoilt,
    issues,
  };
}

/** The text, or '' if it is invalid: the issue is reported where the file is parsed for its purpose. */
const plainText = (files: Files, path: string): string =>
  textOrIssue(path, files.get(path) ?? new Uint8Array()).text ?? '';

const sealedIssue = (file: string, what: string): Issue => ({
  file,
  line: 1,
  column: 1,
  key: '',
  severity: 'error',
  message: notReadable(file, what),
});

/** The section that a SOPS file would declare if it were plain: SOPS encrypts values, but not keys. null: it is no manifest. */
function declaredIn(file: string, files: Files): string | null {
  const { text } = textOrIssue(file, files.get(file) ?? new Uint8Array());
  const { value } = parseYaml(file, text ?? '');
  if (!isObject(value)) return null;
  const keys = Object.keys(value).filter((key) => key !== 'sops' && !key.startsWith('x-'));
  const known: readonly string[] = [...SECTIONS, ...COMPOSE_KEYS];
  if (!keys.every((key) => known.includes(key))) return null;
  return keys.find((key) => [...SECTIONS, 'services'].includes(key) && isObject(value[key])) ?? null;
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

/** Issues for an id that occurs twice in one layer. */
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
  const told = hasStack ? null : fairleadProblem(parsed);
  if (told !== null) return { ...nothing([told]) };
  const checked = check(manifest, parsed, own);
  if (checked.ok) return { parsed, manifest: checked.value as Manifest, hasStack, wrong: [], issues: [] };
  return { parsed, hasStack, issues: checked.issues, ...sorted(kinds, own) };
}

/** Problems of `x-fairlead` in a manifest without a stack; with a stack, the stack's reader checks it. */
function fairleadProblem(parsed: Parsed): Issue | null {
  const said = isObject(parsed.value) ? parsed.value['x-fairlead'] : undefined;
  if (said === undefined || said === null) return null;
  if (!isObject(said)) return issueAt(parsed, ['x-fairlead'], '`x-fairlead` must be a mapping');
  const other = Object.keys(said).find((key) => key !== 'decrypt');
  if (other !== undefined)
    return issueAt(parsed, ['x-fairlead', other], `unknown key \`${other}\` of x-fairlead; valid here: decrypt`);
  const problem = decryptProblem(said.decrypt);
  return problem === null ? null : issueAt(parsed, ['x-fairlead', 'decrypt'], `\`decrypt\` ${problem}`);
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
