/** The host's own keys: an age identity that never leaves it, and the key under which secret content is hashed. */
import { createHmac, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { AgentError } from '../errors.ts';

export interface Identity {
  /** `AGE-SECRET-KEY-1…`: for decryption on this host alone. @throws AgentError `IdentityUnreadable` */
  secretKey(): string;
  /** `age1…`: the public half, for host.yaml. @throws the same */
  recipient(): Promise<string>;
}

/** The text of a private file; `fresh`, made durable first, where there is none. Never replaces one. */
export type ReadOrCreate = (file: string, fresh: string) => string;

/**
 * The identity in `<dir>/age.key` (mode 0600, the format of `age-keygen`); made at the first call. A damaged one is an
 * error only where it is needed: the host's repairs must go on without it. age itself is loaded only when it is used.
 */
export async function loadIdentity(dir: string, readOrCreate: ReadOrCreate): Promise<Identity> {
  const file = path.join(dir, 'age.key');
  const age = () => import('age-encryption');
  if (!existsSync(file)) readOrCreate(file, await (await age()).generateX25519Identity());
  const text = readOrCreate(file, '');
  const secretKey = (): string => {
    const line = text.split('\n').find((l) => l.startsWith('AGE-SECRET-KEY-1'));
    if (line !== undefined && /^AGE-SECRET-KEY-1[0-9A-Z]{58}\s*$/.test(line)) return line.trim();
    throw unreadable(file, line === undefined ? 'it has no line AGE-SECRET-KEY-1…' : 'its key is cut off or altered');
  };
  return {
    secretKey,
    async recipient() {
      const { identityToRecipient } = await age();
      try {
        return await identityToRecipient(secretKey());
      } catch (thrown) {
        throw thrown instanceof AgentError ? thrown : unreadable(file, String(thrown));
      }
    },
  };
}

const unreadable = (file: string, why: string) =>
  new AgentError({
    code: 'IdentityUnreadable',
    phase: 'config',
    message: `${file} is not an age identity: ${why}; put the old one back, or remove the file, restart fairlead and encrypt this host's secrets to the new one`,
  });

/** A digest that nobody can compute without this host: HMAC-SHA-256 under `<dir>/hash.key`, hex. */
export function loadKeyedHash(dir: string, readOrCreate: ReadOrCreate): (bytes: Uint8Array) => string {
  const key = readOrCreate(path.join(dir, 'hash.key'), randomBytes(32).toString('hex')).trim();
  return (bytes) => createHmac('sha256', key).update(bytes).digest('hex');
}
