/** What decryption made available, and the names under which templates find it. Pure. */
import { isNamedEncrypted } from './encrypted.ts';
import { isObject, type LayerContent } from './layer-content.ts';
import type { SecretValue } from './template.ts';
import type { Issue } from './types.ts';

/** The encrypted files of a checkout, decrypted beforehand. Both throw Error with a sentence where a file could not be. */
export interface Secrets {
  /** Plain bytes of an encrypted file. */
  file(path: string): Uint8Array;
  /** Top-level names of an encrypted file; known even where the values are not. */
  names(path: string): string[];
  value(path: string, name: string): unknown;
  /**
   * Where nobody has the keys: the same with other stand-ins in files of variables. What is wrong with all of them is wrong
   * whatever the values are.
   */
  otherwise?(): readonly Secrets[];
  /** Where nobody has the keys: not even the names in it are known. */
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

/** `secrets` of templates: names of a later layer stand above those of an earlier one; twice in one layer is an error. */
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
        // What promises nothing by its name may be for another program: it is refused where it is used.
        issues.push({ ...at(file, '', message), severity: isNamedEncrypted(file) ? 'error' : 'warning' });
      }
      for (const name of names) {
        const other = own.get(name);
        const twice = `secret \`${name}\` is in ${other} too; keep one of them`;
        own.set(name, file);
        // An .env may well have the same names as what a service reads: wrong only for who asks by the name.
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

/** Templates see plain data only. */
const frozen = (value: unknown): unknown => (isObject(value) || Array.isArray(value) ? structuredClone(value) : value);

const at = (file: string, key: string, message: string): Issue => ({
  file,
  line: 1,
  column: 1,
  key,
  severity: 'error',
  message,
});
