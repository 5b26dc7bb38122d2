/** Lists who can open an encrypted file: read from the file itself, without a key. */
import { encryptionOf, isNamedAge } from '../core/payload/encrypted.ts';
import { readAgeHeader } from './age.ts';
import { parseSops } from './sops-tree.ts';

export interface Recipients {
  /** Known by name. */
  known: readonly string[];
  /** Whether these are all: an age file by another program than ours says only for how many keys it is. */
  complete: boolean;
  keys: number;
}

/** @throws Error with a sentence where the file is not what its name says */
export async function recipientsOf(path: string, bytes: Uint8Array): Promise<Recipients> {
  if (encryptionOf(path, bytes) === 'age' || isNamedAge(path)) {
    const { noted, keys } = await readAgeHeader(bytes);
    return { known: noted, complete: noted.length > 0 && noted.length === keys, keys };
  }
  const known = parseSops(path, bytes).metadata.age.map((entry) => entry.recipient);
  return { known, complete: true, keys: known.length };
}
