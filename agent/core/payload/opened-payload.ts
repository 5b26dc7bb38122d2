/** The files of a checkout for whoever delivers or parses them: encrypted files are decrypted or refused. Pure. */
import { type Encryption, encryptionIn } from './encrypted.ts';
import type { Payload } from './payload.ts';

export interface Opening {
  /** Plain bytes of encrypted files; a file that cannot be decrypted is empty and listed in `failures`. */
  payload: Payload;
  /** Encrypted files that were read. */
  used: ReadonlySet<string>;
  /** File → why it could not be decrypted. */
  failures: ReadonlyMap<string, string>;
}

export interface OpeningOptions {
  payload: Payload;
  /** Plain bytes of an encrypted file. Throws Error with a sentence. */
  decrypt(file: string): Uint8Array;
  /** Whether a file is delivered encrypted, because the repository says so. */
  isKept?(file: string): boolean;
}

export function openPayload({ payload, decrypt, isKept = () => false }: OpeningOptions): Opening {
  const used = new Set<string>();
  const failures = new Map<string, string>();
  const opened = new Map<string, Uint8Array>();
  const known = new Map<string, Encryption | null>();
  const isSealed = (file: string): boolean => {
    if (!payload.has(file) || isKept(file)) return false;
    const found = known.has(file) ? known.get(file) : encryptionIn(payload, file);
    known.set(file, found ?? null);
    return found !== null && found !== undefined;
  };
  const open = (file: string): Uint8Array => {
    used.add(file);
    const before = opened.get(file);
    if (before) return before;
    let bytes = new Uint8Array();
    try {
      bytes = new Uint8Array(decrypt(file));
    } catch (thrown) {
      failures.set(file, thrown instanceof Error ? thrown.message : String(thrown));
    }
    opened.set(file, bytes);
    return bytes;
  };
  const get = (file: string): Uint8Array | undefined => (isSealed(file) ? open(file) : payload.get(file));
  function* entries(): MapIterator<[string, Uint8Array]> {
    for (const file of payload.keys()) yield [file, get(file) ?? new Uint8Array()];
  }
  function* values(): MapIterator<Uint8Array> {
    for (const [, bytes] of entries()) yield bytes;
  }
  const view: Payload = {
    get,
    has: (file) => payload.has(file),
    get size() {
      return payload.size;
    },
    keys: () => payload.keys(),
    entries,
    values,
    [Symbol.iterator]: entries,
    forEach(callback) {
      for (const [file, bytes] of entries()) callback(bytes, file, view as Map<string, Uint8Array>);
    },
    stored: (file) => (isSealed(file) ? undefined : payload.stored?.(file)),
    executable: (file) => payload.executable?.(file) ?? false,
    secret: isSealed,
  };
  return { payload: view, used, failures };
}
