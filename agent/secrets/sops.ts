/**
 * Decrypts SOPS files: values are AES-256-GCM under a data key, bound to their path; the MAC is the SHA-512 of all
 * values in file order, sealed with the time of the last change. Written after the format of getsops/sops, 3.x.
 */
import { createDecipheriv, createHash, timingSafeEqual } from 'node:crypto';
import { stringify } from 'yaml';
import { strictText } from '../core/strict-text.ts';
import { decryptAge } from './age.ts';
import { type Leaf, parseSops, plain, type SopsFile, type TreeNode } from './sops-tree.ts';

const SEALED = /^ENC\[AES256_GCM,data:([A-Za-z0-9+/=]*),iv:([A-Za-z0-9+/=]+),tag:([A-Za-z0-9+/=]+),type:([a-z]+)\]$/;
export const isSealed = (value: Leaf): value is string => typeof value === 'string' && SEALED.test(value);

export interface Decrypted {
  /** Plain data. */
  values: Record<string, unknown>;
  /** The values that were encrypted, as text. */
  sealed: string[];
  /** The file as `sops --decrypt` would write it, comments apart. */
  bytes: Uint8Array;
}

/** @throws Error with a sentence: not for this host, altered, or not a SOPS file */
export async function decryptSops(path: string, bytes: Uint8Array, secretKey: string): Promise<Decrypted> {
  const file = parseSops(path, bytes);
  const key = await dataKey(file, secretKey);
  const sealed: string[] = [];
  const hash = createHash('sha512');
  if (file.metadata.macOnlyEncrypted) hash.update(createHash('sha256').update('sops').digest());
  /** For the binary store, whose only value is arbitrary bytes. */
  let whole = new Uint8Array();
  const isBinary = file.store === 'binary';
  const opened = open(file.tree, [], { key, isBinary }, (value, wasSealed) => {
    if (wasSealed) sealed.push(new TextDecoder().decode(value));
    if (isBinary) whole = new Uint8Array(value);
    if (wasSealed || !file.metadata.macOnlyEncrypted) hash.update(value);
  });
  verifyMac(file, key, hash.digest('hex').toUpperCase());
  const values = plain(opened) as Record<string, unknown>;
  return { values, sealed, bytes: isBinary ? whole : write(file.store, opened, values) };
}

async function dataKey({ metadata }: SopsFile, secretKey: string): Promise<Uint8Array> {
  const { identityToRecipient } = await import('age-encryption');
  const recipient = await identityToRecipient(secretKey);
  const own = metadata.age.filter((entry) => entry.recipient === recipient);
  if (own.length === 0) {
    throw new Error(
      `it is not encrypted to this host (${recipient}); put that recipient into host.yaml (\`age:\`) and .sops.yaml, and run \`sops updatekeys\` on the file`,
    );
  }
  const key = await decryptAge(new TextEncoder().encode(own[0]?.enc), secretKey);
  if (key.length !== 32) throw new Error('it is damaged: its data key has the wrong length');
  return key;
}

interface How {
  /** The data key. */
  key: Uint8Array;
  /** The value may be no text. */
  isBinary: boolean;
}

type Visit = (value: Uint8Array, sealed: boolean) => void;

/** List items have their list's path: SOPS counts no positions. */
function open<T extends TreeNode>(node: T, path: readonly string[], how: How, visit: Visit): T;
function open(node: TreeNode, path: readonly string[], how: How, visit: Visit): TreeNode {
  const { key, isBinary } = how;
  if (node.kind === 'map')
    return {
      kind: 'map',
      items: node.items.map((item) => ({ key: item.key, value: open(item.value, [...path, item.key], how, visit) })),
    };
  if (node.kind === 'list') return { kind: 'list', items: node.items.map((item) => open(item, path, how, visit)) };
  if (node.value === null) return node;
  if (!isSealed(node.value)) {
    visit(new TextEncoder().encode(node.text), false);
    return node;
  }
  const { bytes, type } = unseal(node.value, key, `${path.join(':')}:`, path.join('.'));
  visit(bytes, true);
  const text = isBinary ? new TextDecoder().decode(bytes) : textOf(bytes, path.join('.'));
  return { kind: 'leaf', value: typed(text, type), text };
}

function textOf(bytes: Uint8Array, where: string): string {
  try {
    return strictText(bytes);
  } catch {
    throw new Error(
      `\`${where}\` is not UTF-8 once it is decrypted; encrypt such bytes as a file of their own (\`sops --input-type binary\`)`,
    );
  }
}

function unseal(sealed: string, key: Uint8Array, aad: string, where: string): { bytes: Uint8Array; type: string } {
  const [, data = '', iv = '', tag = '', type = ''] = SEALED.exec(sealed) ?? [];
  const seal = Buffer.from(tag, 'base64');
  try {
    if (seal.length !== 16) throw new Error('short tag');
    const decipher = createDecipheriv('aes-256-gcm', key, Buffer.from(iv, 'base64'), { authTagLength: 16 });
    decipher.setAAD(Buffer.from(aad));
    decipher.setAuthTag(seal);
    return { bytes: Buffer.concat([decipher.update(Buffer.from(data, 'base64')), decipher.final()]), type };
  } catch {
    throw new Error(`\`${where}\` was altered after it was encrypted; restore it from a good commit`);
  }
}

function typed(text: string, type: string): Leaf {
  if (type === 'bool') return /^true$/i.test(text);
  if (type === 'int' || type === 'float') return Number(text);
  return text;
}

function verifyMac({ metadata }: SopsFile, key: Uint8Array, computed: string): void {
  const altered = 'its MAC does not fit its values: something was added, removed or altered without `sops`';
  if (!isSealed(metadata.mac)) throw new Error('it has no MAC, so nobody can tell whether it was altered');
  let stored: string;
  try {
    stored = new TextDecoder().decode(unseal(metadata.mac, key, rfc3339(metadata.lastModified), 'sops.mac').bytes);
  } catch {
    throw new Error(altered);
  }
  const a = Buffer.from(stored);
  const b = Buffer.from(computed);
  if (a.length !== b.length || !timingSafeEqual(a, b)) throw new Error(altered);
}

/** The format of Go's time: without fractions of a second. */
const rfc3339 = (time: string): string => time.replace(/\.\d+(?=Z|[+-])/, '');

/** All stores but the binary one. */
export function write(store: SopsFile['store'], tree: TreeNode, values: Record<string, unknown>): Uint8Array {
  const text = (): string => {
    if (store === 'json') return `${jsonText(tree, '')}\n`;
    if (store === 'env')
      return Object.entries(values)
        .map(([key, value]) => `${key}=${String(value).replaceAll('\n', '\\n')}\n`)
        .join('');
    if (store === 'ini') return iniText(tree);
    return stringify(ordered(tree), { lineWidth: 0 });
  };
  return new TextEncoder().encode(text());
}

function iniText(tree: TreeNode): string {
  if (tree.kind !== 'map') return '';
  return tree.items
    .filter(({ key, value }) => key !== 'DEFAULT' || (value.kind === 'map' && value.items.length > 0))
    .map(({ key, value }) => {
      const lines = value.kind === 'map' ? value.items.map((item) => `${item.key} = ${iniValue(item.value)}\n`) : [];
      return `${key === 'DEFAULT' ? '' : `[${key}]\n`}${lines.join('')}`;
    })
    .join('\n');
}

/** In the quotes that gopkg.in/ini.v1 writes where a value needs some. */
function iniValue(node: TreeNode): string {
  const text = node.kind === 'leaf' ? node.text : '';
  if (/[\n`]/.test(text)) return `"""${text}"""`;
  if (/[#;]/.test(text)) return `\`${text}\``;
  return text.trim() === text ? text : `"${text}"`;
}

/** Keys in file order, which JSON.stringify does not keep for names that look like numbers. */
function jsonText(node: TreeNode, indent: string): string {
  const inner = `${indent}\t`;
  if (node.kind === 'leaf') return JSON.stringify(node.value);
  const items =
    node.kind === 'map'
      ? node.items.map(({ key, value }) => `${JSON.stringify(key)}: ${jsonText(value, inner)}`)
      : node.items.map((item) => jsonText(item, inner));
  const [open, close] = node.kind === 'map' ? '{}' : '[]';
  return items.length === 0 ? `${open}${close}` : `${open}\n${inner}${items.join(`,\n${inner}`)}\n${indent}${close}`;
}

/** A Map keeps the order of keys. */
function ordered(node: TreeNode): unknown {
  if (node.kind === 'leaf') return node.value;
  if (node.kind === 'list') return node.items.map(ordered);
  return new Map(node.items.map(({ key, value }) => [key, ordered(value)]));
}
