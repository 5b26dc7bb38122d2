/**
 * Remembers which signatures hold. A held head is judged again at each poll, and on the way to it there may be thousands of
 * signed commits, each of which costs two processes.
 */
import { createHash } from 'node:crypto';
import type { Signature } from '../store/commit.ts';
import { checkSignature, distrusted } from './signature.ts';

export type CheckSignature = typeof checkSignature;

/** Signatures that are remembered, about 200 bytes each. */
const MAX_SIGNATURES = 4_096;

export interface VerdictsOptions {
  /** Digest of the rules, which changes also when the content of a signers file does. */
  policy(): string;
  /** A signature was checked: a sign of life, since thousands of them take minutes. */
  checked?: (() => void) | undefined;
}

/**
 * Only signatures that hold are remembered: whatever ssh-keygen refuses may have failed for lack of memory or time, and a
 * review ends at the first of these anyway.
 * @returns begins a review: its checks under the rules whose digest is given
 */
export function createVerdicts({ policy, checked }: VerdictsOptions): (rules: string) => CheckSignature {
  /** Digest of the rules, the time and the signature → the signer; the oldest first. */
  const signers = new Map<string, string>();
  return (rules) => {
    let isDistrusted: Promise<boolean> | null = null;
    return async (signature, at, options) => {
      const key = keyOf(rules, signature, at);
      const signer = signers.get(key);
      if (signer !== undefined) {
        // The digest covers the content of the files, but not who may write them.
        isDistrusted ??= distrusted(options).then((why) => why !== null);
        if (!(await isDistrusted)) return { ok: true, signer };
      }
      const verdict = await checkSignature(signature, at, options);
      checked?.();
      // A file that changed meanwhile may have been read as it is now.
      if (verdict.ok && policy() === rules) {
        signers.set(key, verdict.signer);
        for (const oldest of signers.keys()) {
          if (signers.size <= MAX_SIGNATURES) break;
          signers.delete(oldest);
        }
      }
      return verdict;
    };
  };
}

/** Of all that the verdict depends on. */
function keyOf(rules: string, signature: Signature | null, at: number): string {
  const head = JSON.stringify([rules, at, signature?.format ?? null, signature?.text ?? null]);
  const hash = createHash('sha256').update(`${head}\n`);
  return hash.update(signature?.payload ?? '').digest('base64');
}
