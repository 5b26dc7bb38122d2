/** The encrypted files of a repository where nobody has the keys: names as they are, values replaced by stand-ins. */
import { createHash } from 'node:crypto';
import { isEncrypted } from '../core/layer-content.ts';
import type { Secrets } from '../core/secret-values.ts';
import { readAgeHeader } from './age.ts';
import { asError, nameOf, type Opened, secretsOf } from './open.ts';
import { isSealed } from './sops.ts';
import { parseSops, plain, type TreeNode } from './sops-tree.ts';

type Files = ReadonlyMap<string, Uint8Array>;

/** Every stand-in changes with its ciphertext. */
export async function standInSecrets(files: Files, dirs: readonly string[]): Promise<Secrets> {
  const opened = new Map<string, Opened | Error>();
  for (const path of files.keys()) {
    if (!isEncrypted(path) || !dirs.some((dir) => path.startsWith(`${dir}/`))) continue;
    opened.set(path, await standIn(path, files.get(path) ?? new Uint8Array()).catch(asError));
  }
  return secretsOf(opened);
}

async function standIn(path: string, bytes: Uint8Array): Promise<Opened> {
  const whole = new TextEncoder().encode(mask(bytes));
  if (path.endsWith('.age')) {
    await readAgeHeader(bytes);
    const name = nameOf(path, '.age');
    return { names: [name], bytes: whole, values: { [name]: mask(bytes) }, secrets: [], error: null };
  }
  const { tree, store } = parseSops(path, bytes);
  if (store === 'binary') {
    const name = nameOf(path, '.sops');
    return { names: [name], bytes: whole, values: { [name]: mask(bytes) }, secrets: [], error: null };
  }
  const values = plain(masked(tree)) as Record<string, unknown>;
  return { names: Object.keys(values), bytes: whole, values, secrets: [], error: null };
}

function masked(node: TreeNode): TreeNode {
  if (node.kind === 'map')
    return { kind: 'map', items: node.items.map((i) => ({ key: i.key, value: masked(i.value) })) };
  if (node.kind === 'list') return { kind: 'list', items: node.items.map(masked) };
  if (!isSealed(node.value)) return node;
  const type = /type:([a-z]+)\]$/.exec(node.value)?.[1];
  const text = mask(new TextEncoder().encode(node.value));
  const value = type === 'bool' ? true : type === 'int' || type === 'float' ? 1 : text;
  return { kind: 'leaf', value, text: String(value) };
}

const mask = (bytes: Uint8Array): string => `(secret ${createHash('sha256').update(bytes).digest('hex').slice(0, 12)})`;
