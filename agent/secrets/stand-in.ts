/** The encrypted files of a repository where nobody has the keys: names as they are, values replaced by stand-ins. */
import { createHash } from 'node:crypto';
import { encryptionIn } from '../core/payload/encrypted.ts';
import type { Payload } from '../core/payload/payload.ts';
import type { Secrets } from '../core/render/secret-values.ts';
import { readAgeHeader } from './age.ts';
import { asError, nameOf, type Opened, secretsOf } from './open.ts';
import { isSealed, write } from './sops.ts';
import { parseSops, plain, type TreeNode } from './sops-tree.ts';

type Guess = (digest: string) => string;

/**
 * A variable may stand for a port, a tag, a size, a path, a duration, a name, an address or a switch; of what it stands for
 * nobody can tell here. The first of these fits most places.
 */
const GUESSES: readonly Guess[] = [
  (digest) => String(10_000 + (Number.parseInt(digest.slice(0, 6), 16) % 50_000)),
  (digest) => `/secret/${digest}`,
  (digest) => `secret-${digest}`,
  () => '10s',
  () => 'true',
  () => '192.0.2.1',
  () => '192.0.2.0/24',
];

interface Sealed {
  path: string;
  bytes: Uint8Array;
  encryption: 'age' | 'sops';
}

/** Every stand-in changes with its ciphertext, but for those of `otherwise`. */
export async function standInSecrets(files: Payload, dirs: readonly string[]): Promise<Secrets> {
  const sealed: Sealed[] = [];
  for (const path of files.keys()) {
    if (!dirs.some((dir) => path.startsWith(`${dir}/`))) continue;
    const encryption = encryptionIn(files, path);
    if (encryption !== null) sealed.push({ path, encryption, bytes: files.get(path) ?? new Uint8Array() });
  }
  const [first, ...others] = GUESSES;
  const headers = new Map<string, Error | null>();
  for (const { path, bytes, encryption } of sealed)
    if (encryption === 'age') headers.set(path, await readAgeHeader(bytes).then(() => null, asError));
  const isOpaque = (path: string) => sealed.some((file) => file.path === path && isOneValue(file));
  const secrets = (guess: Guess): Secrets =>
    secretsOf(new Map(sealed.map((file) => [file.path, headers.get(file.path) ?? standIn(file, guess)])));
  return { ...secrets(first ?? mask), otherwise: () => others.map(secrets), isOpaque };
}

function isOneValue({ path, bytes, encryption }: Sealed): boolean {
  try {
    return encryption === 'age' || parseSops(path, bytes).store === 'binary';
  } catch {
    return false;
  }
}

function standIn({ path, bytes, encryption }: Sealed, guess: Guess): Opened | Error {
  try {
    const { tree, store } = encryption === 'age' ? WHOLE : parseSops(path, bytes);
    if (store === 'binary') {
      const name = nameOf(path);
      // The text is a valid line of an env file and of a unit alike.
      const whole = new TextEncoder().encode(`secret=${mask(digestOf(bytes))}`);
      return { names: [name], bytes: whole, values: { [name]: mask(digestOf(bytes)) }, ...OPEN };
    }
    const replaced = masked(tree, store === 'env' ? guess : mask);
    const values = plain(replaced) as Record<string, unknown>;
    return { names: Object.keys(values), bytes: write(store, replaced, values), values, ...OPEN };
  } catch (thrown) {
    return asError(thrown);
  }
}

const OPEN = { secrets: [], isWhole: false, error: null };
const WHOLE = { store: 'binary', tree: { kind: 'map', items: [] } } as const;

function masked(node: TreeNode, guess: Guess): TreeNode {
  if (node.kind === 'map')
    return { kind: 'map', items: node.items.map((i) => ({ key: i.key, value: masked(i.value, guess) })) };
  if (node.kind === 'list') return { kind: 'list', items: node.items.map((item) => masked(item, guess)) };
  if (!isSealed(node.value)) return node;
  const type = /type:([a-z]+)\]$/.exec(node.value)?.[1];
  const text = guess(digestOf(new TextEncoder().encode(node.value)));
  const value = type === 'bool' ? true : type === 'int' || type === 'float' ? 1 : text;
  return { kind: 'leaf', value, text: String(value) };
}

const digestOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex').slice(0, 12);
const mask: Guess = (digest) => `(secret ${digest})`;
