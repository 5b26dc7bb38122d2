/** SOPS files of every store as one ordered tree: values with their paths, and the metadata. No keys are needed here. */
import { isAlias, isMap, isScalar, isSeq, type Node, parseDocument, type Scalar } from 'yaml';
import { parseYaml } from '../../manifests-schema/yaml.ts';
import { strictText } from '../core/strict-text.ts';
import { createFlat, iniLines } from './sops-flat.ts';

export type Store = 'yaml' | 'json' | 'env' | 'ini' | 'binary';
export type Leaf = string | number | boolean | null;

/** In file order, because the MAC depends on it. */
export type TreeNode =
  | { kind: 'map'; items: { key: string; value: TreeNode }[] }
  | { kind: 'list'; items: TreeNode[] }
  | { kind: 'leaf'; value: Leaf; text: string };

export interface SopsMetadata {
  /** With the armored data key for each. */
  age: { recipient: string; enc: string }[];
  mac: string;
  lastModified: string;
  macOnlyEncrypted: boolean;
}

export interface SopsFile {
  store: Store;
  tree: Extract<TreeNode, { kind: 'map' }>;
  metadata: SopsMetadata;
}

/** Decided by the file's content; its name decides if the content is ambiguous, as in `sops` itself. */
function storeOf(path: string, text: string): Store {
  if (/^sops_mac=/m.test(text)) return 'env';
  if (/^\[sops\][ \t\r]*$/m.test(text)) return 'ini';
  if (/\.ya?ml$/.test(path)) return 'yaml';
  if (/^\s*\{/.test(text)) return path.endsWith('.json') ? 'json' : 'binary';
  if (path.endsWith('.json')) return 'json';
  if (path.endsWith('.env')) return 'env';
  return path.endsWith('.ini') ? 'ini' : 'yaml';
}

/** @throws Error with a sentence */
export function parseSops(path: string, bytes: Uint8Array): SopsFile {
  const text = strictText(bytes);
  const store = storeOf(path, text);
  const { tree, sops } =
    (store === 'binary' ? parseBinary(text) : null) ??
    (store === 'env' ? parseDotenv(text) : store === 'ini' ? parseIni(text) : parseDocumentStore(path, text, store));
  const keys = tree.items.map((item) => item.key);
  // A file that was no structured text before encryption has one value; only its other keys tell it from a document.
  const kind = store === 'binary' && !(keys.length === 1 && keys[0] === 'data') ? 'json' : store;
  return { store: kind, tree, metadata: metadataOf(sops) };
}

/** Avoids building a tree for one value that may be very long. null if the file is a document, or cannot be read. */
function parseBinary(text: string) {
  try {
    const { data, sops, ...rest } = JSON.parse(text) as Record<string, unknown>;
    if (typeof data !== 'string' || Object.keys(rest).length > 0) return null;
    const value: TreeNode = { kind: 'leaf', value: data, text: data };
    return { tree: { kind: 'map' as const, items: [{ key: 'data', value }] }, sops };
  } catch {
    return null;
  }
}

function parseDocumentStore(path: string, text: string, store: Store) {
  // SOPS indents JSON with tabs, which YAML takes in no indentation; no JSON string holds a line break.
  const source = store === 'yaml' ? text : text.replace(/^\t+/gm, '');
  const checked = parseYaml(path, source);
  const wrong = checked.issues[0];
  if (wrong) throw new Error(`line ${wrong.line}: it ${wrong.message}`);
  // The library compares each key with each, and that they are unique has just been seen.
  const document = parseDocument(source, { uniqueKeys: false, prettyErrors: false });
  const all = toTree(document.contents as Node | null);
  if (all.kind !== 'map') throw new Error('it is not a mapping');
  const sops = all.items.find((item) => item.key === 'sops')?.value;
  return {
    tree: { kind: 'map' as const, items: all.items.filter((item) => item.key !== 'sops') },
    sops: sops && plain(sops),
  };
}

function toTree(node: Node | null | undefined): TreeNode {
  if (isMap(node)) {
    const items = node.items.map(({ key, value }) => {
      if (!isScalar(key)) throw new Error('it has a key that is not a plain word');
      return { key: String(key.value), value: toTree(value as Node | null) };
    });
    return { kind: 'map', items };
  }
  if (isSeq(node)) return { kind: 'list', items: node.items.map((item) => toTree(item as Node)) };
  if (isAlias(node)) throw new Error('it has a YAML alias, which SOPS does not keep; write the value out');
  if (!isScalar(node)) return { kind: 'leaf', value: null, text: '' };
  return { kind: 'leaf', ...leafOf(node) };
}

/** A value, and its text as SOPS hashes it: `True`, decimal numbers without an exponent. */
function leafOf({ value, source }: Scalar): { value: Leaf; text: string } {
  if (value === null || value === undefined) return { value: null, text: '' };
  if (typeof value === 'boolean') return { value, text: value ? 'True' : 'False' };
  if (typeof value === 'number') return { value, text: decimal(value, source) };
  return { value: String(value), text: String(value) };
}

function decimal(value: number, source: string | undefined): string {
  if (source !== undefined && /^[-+]?\d+$/.test(source)) return BigInt(source.replace(/^\+/, '')).toString();
  const text = String(value);
  const match = /^(-?)(\d)(?:\.(\d+))?e([+-]\d+)$/.exec(text);
  if (!match) return text;
  const [, sign = '', first = '', rest = '', exponent = '0'] = match;
  const digits = first + rest;
  const point = 1 + Number(exponent);
  if (point <= 0) return `${sign}0.${'0'.repeat(-point)}${digits}`;
  return point >= digits.length
    ? sign + digits.padEnd(point, '0')
    : `${sign}${digits.slice(0, point)}.${digits.slice(point)}`;
}

/** Plain data of a tree; names such as `__proto__` stay what they are. */
export function plain(node: TreeNode): unknown {
  if (node.kind === 'leaf') return node.value;
  if (node.kind === 'list') return node.items.map(plain);
  return Object.fromEntries(node.items.map(({ key, value }) => [key, plain(value)]));
}

/** KEY=value lines; metadata are keys that begin with sops_. */
function parseDotenv(text: string) {
  const items: { key: string; value: TreeNode }[] = [];
  const flat = createFlat();
  for (const [i, line] of text.split('\n').entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const at = line.indexOf('=');
    if (at === -1) throw new Error(`line ${i + 1}: it is no KEY=value line`);
    const key = line.slice(0, at);
    const value = line.slice(at + 1).replaceAll('\\n', '\n');
    if (key.startsWith('sops_')) flat.add(key.slice('sops_'.length), value);
    else items.push({ key, value: { kind: 'leaf', value, text: value } });
  }
  return { tree: { kind: 'map' as const, items }, sops: flat.metadata() };
}

/** Sections of `key = value` lines; the metadata are a section of their own. Keys before all sections belong to `DEFAULT`. */
function parseIni(text: string) {
  const sections = new Map<string, { key: string; value: TreeNode }[]>([['DEFAULT', []]]);
  const flat = createFlat();
  for (const { section, key, value, line } of iniLines(text)) {
    if (key === null) sections.set(section, sections.get(section) ?? []);
    else if (key === '') throw new Error(`line ${line}: it is no key = value line`);
    else if (section === 'sops') flat.add(key, value.replaceAll('\\n', '\n'));
    else sections.get(section)?.push({ key, value: { kind: 'leaf', value, text: value } });
  }
  sections.delete('sops');
  const items = [...sections].map(([key, own]) => ({ key, value: { kind: 'map' as const, items: own } }));
  return { tree: { kind: 'map' as const, items }, sops: flat.metadata() };
}

function metadataOf(sops: unknown): SopsMetadata {
  const map = record(sops);
  if (!map) throw new Error('it has no `sops` section, so it is not encrypted; encrypt it with `sops --encrypt`');
  if (map.shamir_threshold && Number(map.shamir_threshold) > 1)
    throw new Error('its key is split (shamir_threshold), which fairlead does not read; use one key group');
  const groups = Array.isArray(map.key_groups) ? map.key_groups : [];
  const age = [map.age, ...groups.map((g) => record(g)?.age)]
    .flatMap((list) => (Array.isArray(list) ? list : []))
    .map((entry) => ({ recipient: String(record(entry)?.recipient ?? ''), enc: String(record(entry)?.enc ?? '') }));
  if (age.length === 0) throw new Error('it has no age recipients; fairlead decrypts with age alone');
  return {
    age,
    mac: String(map.mac ?? ''),
    lastModified: String(map.lastmodified ?? ''),
    macOnlyEncrypted: String(map.mac_only_encrypted) === 'true',
  };
}

const record = (value: unknown): Record<string, unknown> | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
