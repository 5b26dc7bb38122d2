/** A stack with the encrypted files that it names: opened for compose/, and hashed under the host's key where one was used. */
import { loadStack, type Stack } from '../../compose/index.ts';
import type { StackInput } from '../../compose/stack/input.ts';
import type { Sha256 } from '../../core/hash.ts';
import { isEncrypted } from '../../core/layer-content.ts';
import type { Secrets } from '../../core/secret-values.ts';
import type { Issue } from '../../core/types.ts';

export interface StackWithSecrets extends Stack {
  /** Encrypted files that reached it. */
  secrets: string[];
}

export function loadWithSecrets(input: StackInput, keyedHash: Sha256, secrets: Secrets): StackWithSecrets {
  const used = new Set<string>();
  const failures = new Map<string, Issue>();
  const decrypt = (path: string): Uint8Array | undefined => {
    if (!isEncrypted(path) || !input.payload.has(path)) return undefined;
    used.add(path);
    try {
      return secrets.file(path);
    } catch (thrown) {
      const message = thrown instanceof Error ? thrown.message : String(thrown);
      failures.set(path, { file: path, line: 1, column: 1, key: '', severity: 'error', message });
      return new Uint8Array();
    }
  };
  const first = loadStack({ ...input, decrypt });
  // Which files a stack uses shows only when it is read; its hashes are then made anew.
  const secret = used.size > 0 || first.resources.some((r) => (r.spec as { secret?: boolean }).secret);
  const stack = secret ? loadStack({ ...input, decrypt, sha256: keyedHash }) : first;
  return { ...stack, issues: [...stack.issues, ...failures.values()], secrets: [...used] };
}
