/** The encrypted files of a checkout as `Secrets`: decrypted with the host's identity, or, offline, as stand-ins. */
import { encryptionIn, isNamedAge } from '../core/payload/encrypted.ts';
import type { Payload } from '../core/payload/payload.ts';
import type { Secrets } from '../core/render/secret-values.ts';
import { strictText } from '../core/strict-text.ts';
import { decryptAge, readAgeHeader } from './age.ts';
import { valuesIn } from './forms.ts';
import { decryptSops } from './sops.ts';
import { parseSops } from './sops-tree.ts';

type Files = Payload;

export interface Opened {
  names: string[];
  bytes: Uint8Array;
  values: Record<string, unknown>;
  /** Every secret in it, as text. */
  secrets: string[];
  /** The only value is the whole file; templates can use it only if it is text. */
  isWhole: boolean;
  /** Why it could not be decrypted; names are known all the same. */
  error: string | null;
}

/**
 * Decrypts every encrypted file below `dirs`. A file that cannot be decrypted is an error only when it is used.
 * @param found called with every secret string, so that it can be masked in messages
 */
export async function openSecrets(
  files: Files,
  dirs: readonly string[],
  secretKey: () => string,
  found: (secret: string) => void,
): Promise<Secrets> {
  const opened = new Map<string, Opened | Error>();
  for (const path of files.keys()) {
    if (!dirs.some((dir) => path.startsWith(`${dir}/`))) continue;
    const encryption = encryptionIn(files, path);
    if (encryption === null) continue;
    const bytes = files.get(path) ?? new Uint8Array();
    const one = await (encryption === 'age' ? openAge : openSops)(path, bytes, secretKey).catch(asError);
    opened.set(path, one);
    if (!(one instanceof Error)) for (const text of one.secrets) found(text);
  }
  return secretsOf(opened);
}

async function openAge(path: string, bytes: Uint8Array, secretKey: () => string): Promise<Opened> {
  const name = nameOf(path);
  // A file whose name does not match its content is an error wherever it is used.
  if (isNamedAge(path)) await readAgeHeader(bytes);
  try {
    const plainBytes = await decryptAge(bytes, secretKey());
    return { names: [name], bytes: plainBytes, ...wholeOf(name, plainBytes), isWhole: true, error: null };
  } catch (thrown) {
    return failed([name], asError(thrown));
  }
}

async function openSops(path: string, bytes: Uint8Array, secretKey: () => string): Promise<Opened> {
  const { tree, store } = parseSops(path, bytes);
  const isWhole = store === 'binary';
  const names = isWhole ? [nameOf(path)] : tree.items.map((item) => item.key);
  try {
    const { values, bytes: text, sealed } = await decryptSops(path, bytes, secretKey());
    if (!isWhole) return { names, bytes: text, values, secrets: sealed, isWhole, error: null };
    return { names, bytes: text, ...wholeOf(names[0] ?? '', text), isWhole, error: null };
  } catch (thrown) {
    return failed(names, asError(thrown));
  }
}

/** A file that is one secret, and may be a file of settings with several. */
function wholeOf(name: string, bytes: Uint8Array): Pick<Opened, 'values' | 'secrets'> {
  const text = oneLine(new TextDecoder().decode(bytes));
  return { values: { [name]: text }, secrets: [text, ...valuesIn(text)] };
}

const failed = (names: string[], { message }: Error): Opened => ({
  names,
  bytes: new Uint8Array(),
  values: {},
  secrets: [],
  isWhole: false,
  error: message,
});

export function secretsOf(opened: ReadonlyMap<string, Opened | Error>): Secrets {
  const get = (path: string): Opened => {
    const one = opened.get(path);
    if (one === undefined) throw new Error(`${path} is encrypted, and does not belong to this host's layers`);
    if (one instanceof Error) throw new Error(`${path} cannot be read: ${one.message}`);
    return one;
  };
  const readable = (path: string): Opened => {
    const one = get(path);
    if (one.error !== null) throw new Error(`${path} cannot be decrypted: ${one.error}`);
    return one;
  };
  return {
    file: (path) => readable(path).bytes,
    names: (path) => get(path).names,
    value(path, name) {
      const { isWhole, bytes, values } = readable(path);
      if (!isWhole) return values[name];
      try {
        return oneLine(strictText(bytes));
      } catch (thrown) {
        throw new Error(`${path}, once decrypted, is no text: ${asError(thrown).message}`);
      }
    },
  };
}

/** Name of a file with a single value: its name without the suffix. */
export const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1).replace(/\.(age|sops)$/, '');
/** Editors and `echo` end a file with a line break that is no part of the secret. */
const oneLine = (text: string): string => text.replace(/\r?\n$/, '');
export const asError = (thrown: unknown): Error => (thrown instanceof Error ? thrown : new Error(String(thrown)));
