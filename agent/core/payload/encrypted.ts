/** Which files are encrypted: by their content, and by names that promise it. Pure. */
import type { Payload } from './payload.ts';

export type Encryption = 'age' | 'sops';

const AGE_HEADER = 'age-encryption.org/v1\n';
const AGE_ARMOR = '-----BEGIN AGE ENCRYPTED FILE-----';
/** Prefix of each encrypted value of a SOPS file, and of its MAC. */
const SEAL = 'ENC[AES256_GCM,';
/** Maximum number of blank characters before an armor. */
const MAX_BLANK = 64;

/** File names that promise encryption: such a file is never treated as plain, whatever it contains. */
const PROMISED = /(^|\/)[^/]+\.(age|sops|sops\.(ya?ml|json|env|ini))$/;
export const isNamedEncrypted = (file: string): boolean => PROMISED.test(file);
export const isNamedAge = (file: string): boolean => file.endsWith('.age');

/** null: the file is plain. Of a large file on disk, only the beginning and the end are read. */
export function encryptionIn(payload: Payload, file: string): Encryption | null {
  const ends = payload.ends?.(file) ?? payload.get(file);
  const found = ends === undefined ? null : encryptionOf(file, ends);
  if (found !== null || !isNamedEncrypted(file)) return found;
  return isNamedAge(file) ? 'age' : 'sops';
}

/** Decides by content alone. @param bytes the file, or its beginning and end */
export function encryptionOf(file: string, bytes: Uint8Array): Encryption | null {
  const head = latin1(bytes.subarray(0, MAX_BLANK + AGE_ARMOR.length));
  if (head.startsWith(AGE_HEADER) || head.trimStart().startsWith(AGE_ARMOR)) return 'age';
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return all.includes(SEAL) && isSops(file, latin1(bytes)) ? 'sops' : null;
}

/** SOPS puts its metadata, with a MAC, at the end: of a mapping, as lines `sops_…=`, or as a separate section. */
function isSops(file: string, text: string): boolean {
  const name = file.slice(file.lastIndexOf('/') + 1);
  if (/^\s*\{/.test(text)) return /"sops"\s*:\s*\{/.test(text) && /"mac"\s*:\s*"ENC\[/.test(text);
  if (/^sops_mac=/m.test(text)) return /\.env$|^\.env/.test(name) || onlyLines(text, /^(\s*$|#|[^\s=][^=]*=)/);
  if (/^\[sops\][ \t\r]*$/m.test(text) && /^mac[ \t]*=[ \t]*ENC\[/m.test(text))
    return name.endsWith('.ini') || onlyLines(text, /^(\s|$|[#;[]|[^=]+=)/);
  if (!/^["']?sops["']?\s*:/m.test(text) || !/^[ \t]+["']?mac["']?[ \t]*:[ \t]*["']?ENC\[/m.test(text)) return false;
  return /\.ya?ml$/.test(name) || onlyLines(text, /^(\s|$|#|---|\.\.\.|- |["']?[^\s:#"']+["']?\s*:(\s|$))/);
}

/** A text that only quotes such a file has other lines as well. */
const onlyLines = (text: string, line: RegExp): boolean => text.split('\n').every((one) => line.test(one));

const latin1 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');

/** fairlead must be able to read its own files without a key, because everybody who validates the repository reads them. */
export const notReadable = (file: string, what: string): string =>
  `${file} is encrypted, but ${what}; keep it plain, and put its secret values into an encrypted file of their own`;
