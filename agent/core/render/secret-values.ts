/** The decrypted values, and the names under which templates find them. Pure. */
import { isNamedEncrypted } from '../payload/encrypted.ts';
import type { Issue } from '../types.ts';
import { isObject, type LayerContent } from './layer-content.ts';
import type { SecretValue } from './template.ts';

/**
 * The encrypted files of a checkout, decrypted beforehand. Both throw Error with a sentence if a file could not be decrypted.
 */
export interface Secrets {
  /** Plain bytes of an encrypted file. */
  file(path: string): Uint8Array;
  /** Top-level names of an encrypted file; known even if the values are not. */
  names(path: string): string[];
  value(path: string, name: string): unknown;
  /**
   * Without keys: the same secrets with other stand-in values. An issue that occurs with every stand-in does not depend on the
   * values.
   */
  otherwise?(): readonly Secrets[];
  /** Without keys: whether even the names in the file are unknown. */
  isOpaque?(path: string): boolean;
}

export const noSecrets: Secrets = {
  file(path) {
    throw new Error(`${path} is encrypted, and this run decrypts nothing`);
  },
  names: () => [],
  value(path) {
    throw new Error(`${path} is encrypted, and this run decrypts nothing`);
  },
};

/** `secrets` of templates: names of a later layer override those of an earlier one; a name twice in one layer is an error. */
export function secretValues(
  contents: readonly LayerContent[],
  secrets: Secrets,
): { values: ReadonlyMap<string, SecretValue>; issues: Issue[] } {
  const values = new Map<string, SecretValue>();
  const issues: Issue[] = [];
  for (const content of contents) {
    const own = new Map<string, string>();
    for (const file of content.secrets) {
      let names: string[] = [];
      try {
        names = secrets.names(file);
      } catch (thrown) {
        const message = thrown instanceof Error ? thrown.message : String(thrown);
        // A file whose name does not promise encryption may be for another program: it is refused only if it is used.
        issues.push({ ...at(file, '', message), severity: isNamedEncrypted(file) ? 'error' : 'warning' });
      }
      for (const name of names) {
        const other = own.get(name);
        const twice = `secret \`${name}\` is in ${other} too; keep one of them`;
        own.set(name, file);
        // A .env may well repeat the names that a service reads, so that is wrong only if a template uses the name.
        const isWrong = other !== undefined && isNamedEncrypted(file) && isNamedEncrypted(other);
        if (isWrong) issues.push(at(file, name, twice));
        const isDoubtful = other !== undefined && !isWrong;
        values.set(name, {
          file,
          read: () => (isDoubtful ? refuse(`${file}: ${twice}`) : frozen(secrets.value(file, name))),
        });
      }
    }
  }
  return { values, issues };
}

const refuse = (message: string): never => {
  throw new Error(message);
};

/** A deep copy, because templates should see only plain data. */
const frozen = (value: unknown): unknown => (isObject(value) || Array.isArray(value) ? structuredClone(value) : value);

const at = (file: string, key: string, message: string): Issue => ({
  file,
  line: 1,
  column: 1,
  key,
  severity: 'error',
  message,
});
