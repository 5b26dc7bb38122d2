/** What decryption made available, and the names under which templates find it. Pure. */
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
        issues.push(at(file, '', thrown instanceof Error ? thrown.message : String(thrown)));
      }
      for (const name of names) {
        const other = own.get(name);
        if (other) issues.push(at(file, name, `secret \`${name}\` is in ${other} too; keep one of them`));
        own.set(name, file);
        values.set(name, { file, read: () => frozen(secrets.value(file, name)) });
      }
    }
  }
  return { values, issues };
}

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
