/** The encrypted files of a checkout as `Secrets`: decrypted with the host's identity, or, offline, as stand-ins. */
import { isEncrypted } from '../core/layer-content.ts';
import type { Secrets } from '../core/secret-values.ts';
import { decryptAge } from './age.ts';
import { valuesIn } from './forms.ts';
import { decryptSops } from './sops.ts';
import { parseSops } from './sops-tree.ts';

type Files = ReadonlyMap<string, Uint8Array>;

export interface Opened {
  names: string[];
  bytes: Uint8Array;
  values: Record<string, unknown>;
  /** Every secret in it, as text. */
  secrets: string[];
  /** Why it could not be decrypted; names are known all the same. */
  error: string | null;
}

/**
 * Decrypts every encrypted file below `dirs`. What cannot be decrypted is no error until it is used.
 * @param found hears every secret string, so that it can be kept out of messages
 */
export async function openSecrets(
  files: Files,
  dirs: readonly string[],
  secretKey: () => string,
  found: (secret: string) => void,
): Promise<Secrets> {
  const opened = new Map<string, Opened | Error>();
  for (const path of files.keys()) {
    if (!isEncrypted(path) || !dirs.some((dir) => path.startsWith(`${dir}/`))) continue;
    const one = await openFile(path, files.get(path) ?? new Uint8Array(), secretKey).catch(asError);
    opened.set(path, one);
    if (!(one instanceof Error)) for (const text of one.secrets) found(text);
  }
  return secretsOf(opened);
}

async function openFile(path: string, bytes: Uint8Array, secretKey: () => string): Promise<Opened> {
  if (path.endsWith('.age')) {
    const name = nameOf(path, '.age');
    try {
      const plainBytes = await decryptAge(bytes, secretKey());
      const text = oneLine(plainBytes);
      return {
        names: [name],
        bytes: plainBytes,
        values: { [name]: text },
        secrets: [text, ...valuesIn(text)],
        error: null,
      };
    } catch (thrown) {
      return failed([name], asError(thrown));
    }
  }
  const { tree, store } = parseSops(path, bytes);
  const names = store === 'binary' ? [nameOf(path, '.sops')] : tree.items.map((item) => item.key);
  try {
    const { values, bytes: text, sealed } = await decryptSops(path, bytes, secretKey());
    return store === 'binary'
      ? {
          names,
          bytes: text,
          values: { [names[0] ?? '']: oneLine(text) },
          secrets: [...sealed, ...valuesIn(oneLine(text))],
          error: null,
        }
      : { names, bytes: text, values, secrets: sealed, error: null };
  } catch (thrown) {
    return failed(names, asError(thrown));
  }
}

const failed = (names: string[], { message }: Error): Opened => ({
  names,
  bytes: new Uint8Array(),
  values: {},
  secrets: [],
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
    value: (path, name) => readable(path).values[name],
  };
}

export const nameOf = (path: string, ending: string): string => path.slice(path.lastIndexOf('/') + 1, -ending.length);
const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
/** Editors and `echo` end a file with a line break that is no part of the secret. */
const oneLine = (bytes: Uint8Array): string => decode(bytes).replace(/\r?\n$/, '');
export const asError = (thrown: unknown): Error => (thrown instanceof Error ? thrown : new Error(String(thrown)));
