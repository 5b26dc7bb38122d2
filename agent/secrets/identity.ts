/** The host's own keys: an age identity that never leaves it, and the key under which secret content is hashed. */
import { createHmac, randomBytes } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import { AgentError } from '../errors.ts';

export interface Identity {
  /** `AGE-SECRET-KEY-1…`: for decryption on this host alone. @throws AgentError `IdentityUnreadable` */
  secretKey(): string;
  /** `age1…`: the public half, for host.yaml. @throws the same */
  recipient(): Promise<string>;
}

/**
 * The identity in `<dir>/age.key` (mode 0600, the format of `age-keygen`); made at the first call. A damaged one is an
 * error only where it is needed: the host's repairs must go on without it. age itself is loaded only when it is used.
 */
export async function loadIdentity(dir: string): Promise<Identity> {
  const file = path.join(dir, 'age.key');
  const age = () => import('age-encryption');
  if (!existsSync(file)) readOrMake(file, await (await age()).generateX25519Identity());
  const text = readOrMake(file, '');
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
export function loadKeyedHash(dir: string): (bytes: Uint8Array) => string {
  const key = readOrMake(path.join(dir, 'hash.key'), randomBytes(32).toString('hex')).trim();
  return (bytes) => createHmac('sha256', key).update(bytes).digest('hex');
}

/** Reading and writing name no path in their errors, which would look like a bug then. Errors with a path stay as they are. */
function ofDisk(what: string, thrown: unknown): unknown {
  const { message, path: named } = thrown as NodeJS.ErrnoException;
  if (named !== undefined) return thrown;
  return new AgentError({
    code: 'StateUnwritable',
    phase: 'config',
    message: `cannot ${what}: ${message}; free, repair or replace its disk`,
    cause: thrown,
  });
}

/** The file's text; `fresh`, written first, where there is none. Never replaces one. */
function readOrMake(file: string, fresh: string): string {
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  try {
    const text = readFileSync(file, 'utf8');
    chmodSync(file, 0o600);
    return text;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') throw ofDisk(`read ${file}`, thrown);
  }
  const temporary = `${file}.${process.pid}.tmp`;
  // A power cut leaves it there, and the next boot may give the agent the same number.
  rmSync(temporary, { force: true });
  const fd = openSync(temporary, 'wx', 0o600);
  try {
    writeSync(fd, `${fresh}\n`);
    fsyncSync(fd);
  } catch (thrown) {
    throw ofDisk(`write ${file}`, thrown);
  } finally {
    closeSync(fd);
  }
  try {
    // link(2) fails where another process was first; its key is then the key.
    linkSync(temporary, file);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'EEXIST') throw thrown;
  } finally {
    rmSync(temporary, { force: true });
  }
  // The new name lies in the directory, and not in the file (fsync(2)). Secrets may be encrypted to this key from now on.
  const parent = openSync(path.dirname(file), 'r');
  try {
    fsyncSync(parent);
  } finally {
    closeSync(parent);
  }
  return readFileSync(file, 'utf8');
}
