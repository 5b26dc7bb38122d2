/** Writes SOPS files in the format of the real tool, from its description alone: the tests are about the reader. */
import { createCipheriv, createHash, randomBytes } from 'node:crypto';
import { armor, Encrypter } from 'age-encryption';

type Value = string | number | boolean | null | Value[] | { [key: string]: Value };

function seal(plain: string | Uint8Array, key: Uint8Array, aad: string, type: string): string {
  if (plain.length === 0) return '';
  const iv = randomBytes(32);
  const cipher = createCipheriv('aes-256-gcm', key, iv);
  cipher.setAAD(Buffer.from(aad));
  const data = Buffer.concat([cipher.update(plain), cipher.final()]).toString('base64');
  return `ENC[AES256_GCM,data:${data},iv:${iv.toString('base64')},tag:${cipher.getAuthTag().toString('base64')},type:${type}]`;
}

export interface SopsOptions {
  recipients: readonly string[];
  macOnlyEncrypted?: boolean;
  /** JSON and dotenv do not distinguish integers. */
  store?: 'yaml' | 'json' | 'env' | 'binary';
}

export interface SopsDocument extends Record<string, unknown> {
  sops: Record<string, unknown> & { age: { recipient: string; enc: string }[]; mac: string; lastmodified: string };
}

/** The document with its `sops` section, as plain data; keys that end in _unencrypted stay readable. */
export async function sopsDocument(value: { [key: string]: Value }, options: SopsOptions): Promise<SopsDocument> {
  const key = randomBytes(32);
  const hash = createHash('sha512');
  if (options.macOnlyEncrypted) hash.update(createHash('sha256').update('sops').digest());
  const walk = (node: Value, path: string[]): Value => {
    if ((node as unknown) instanceof Uint8Array) {
      hash.update(node as unknown as Uint8Array);
      return seal(node as unknown as Uint8Array, key, `${path.join(':')}:`, 'str');
    }
    if (Array.isArray(node)) return node.map((item) => walk(item, path));
    if (typeof node === 'object' && node !== null)
      return Object.fromEntries(Object.entries(node).map(([k, v]) => [k, walk(v, [...path, k])]));
    if (node === null) return null;
    const text = typeof node === 'boolean' ? (node ? 'True' : 'False') : String(node);
    const isOpen = path.some((part) => part.endsWith('_unencrypted'));
    if (!isOpen || !options.macOnlyEncrypted) hash.update(text);
    const number = options.store === 'json' || !Number.isInteger(node) ? 'float' : 'int';
    const type = typeof node === 'boolean' ? 'bool' : typeof node === 'number' ? number : 'str';
    return isOpen ? node : seal(text, key, `${path.join(':')}:`, type);
  };
  const sealed = walk(value, []) as Record<string, Value>;
  const lastmodified = '2026-11-01T10:00:00Z';
  const age = await Promise.all(
    options.recipients.map(async (recipient) => {
      const encrypter = new Encrypter();
      encrypter.addRecipient(recipient);
      return { recipient, enc: armor.encode(await encrypter.encrypt(key)) };
    }),
  );
  const mac = seal(hash.digest('hex').toUpperCase(), key, lastmodified, 'str');
  const only = options.macOnlyEncrypted ? { mac_only_encrypted: true } : {};
  return {
    ...sealed,
    sops: {
      kms: [],
      gcp_kms: [],
      age,
      lastmodified,
      mac,
      pgp: [],
      unencrypted_suffix: '_unencrypted',
      ...only,
      version: '3.9.0',
    },
  };
}

/** The same as a dotenv file. */
export async function sopsDotenv(value: Record<string, string>, options: SopsOptions): Promise<string> {
  const { sops, ...values } = await sopsDocument(value, options);
  const lines = Object.entries(values).map(([k, v]) => `${k}=${v}`);
  const flat = sops.age.flatMap(({ recipient, enc }, i) => [
    `sops_age__list_${i}__map_enc=${enc.trim().replaceAll('\n', '\\n')}\\n`,
    `sops_age__list_${i}__map_recipient=${recipient}`,
  ]);
  const rest = [`sops_lastmodified=${sops.lastmodified}`, `sops_mac=${sops.mac}`, 'sops_version=3.9.0'];
  return `#a comment\n${[...lines, ...flat, ...rest].join('\n')}\n`;
}

/** The same as an ini file: sections of `key = value` lines. */
export async function sopsIni(value: Record<string, Record<string, string>>, options: SopsOptions): Promise<string> {
  const { sops, ...sections } = await sopsDocument(value, options);
  const own = Object.entries(sections as Record<string, Record<string, string>>).map(
    ([name, entries]) =>
      `[${name}]\n${Object.entries(entries)
        .map(([k, v]) => `${k} = ${v}\n`)
        .join('')}`,
  );
  const flat = sops.age.flatMap(({ recipient, enc }, i) => [
    `age__list_${i}__map_enc       = ${enc.trim().replaceAll('\n', '\\n')}\\n`,
    `age__list_${i}__map_recipient = ${recipient}`,
  ]);
  const rest = [`lastmodified = ${sops.lastmodified}`, `mac = ${sops.mac}`, 'version = 3.9.0'];
  return `; a comment\n${own.join('\n')}\n[sops]\n${[...flat, ...rest].join('\n')}\n`;
}
