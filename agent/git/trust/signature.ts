/** Verifies the signature of a commit or a tag by OpenSSH's own tool: `ssh-keygen -Y` with a file of allowed signers. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { ReasonCode } from '../../../manifests-schema/reasons.ts';
import type { Signature } from '../store/commit.ts';
import { distrust } from './trusted-file.ts';

/** Runs a program by its argv; 127 if it does not exist. */
export type Exec = (
  argv: readonly string[],
  options: { input: Uint8Array; timeoutMs: number },
) => Promise<{ code: number; stdout: string; stderr: string }>;

export interface SignatureOptions {
  /** See ALLOWED SIGNERS in ssh-keygen(1). */
  allowedSigners: string;
  /** File with revoked keys, or a key revocation list. */
  revoked?: string | undefined;
  /** agent.yaml, which names the two: anybody who may change it controls the trust as well. */
  namedIn?: string | undefined;
  exec: Exec;
}

export type SignatureVerdict = { ok: true; signer: string } | { ok: false; reason: ReasonCode; why: string };

/** @returns why the files of trusted keys count for nothing now, as the end of a sentence; null if they count */
export async function distrusted({
  allowedSigners,
  revoked,
  namedIn,
}: Omit<SignatureOptions, 'exec'>): Promise<string | null> {
  for (const file of [allowedSigners, revoked, namedIn].filter((f) => f !== undefined)) {
    const why = await distrust(file);
    if (why !== null) return why;
  }
  return null;
}

/**
 * @param at seconds since 1970: the time at which the key must have been valid, as git does it
 * @returns the principal, or why the signature counts for nothing
 */
export async function checkSignature(
  signature: Signature | null,
  at: number,
  options: SignatureOptions,
): Promise<SignatureVerdict> {
  const { allowedSigners, revoked, exec } = options;
  if (signature === null) return no('Unsigned', 'is not signed');
  if (signature.format === 'openpgp')
    return no('UnsupportedSignature', 'has an OpenPGP signature; fairlead checks SSH signatures only');
  if (signature.format === 'x509')
    return no('UnsupportedSignature', 'has an X.509 signature; fairlead checks SSH signatures only');
  if (signature.format !== 'ssh') return no('BadSignature', 'has a signature that cannot be read');

  const why = await distrusted(options);
  if (why !== null) return no('VerifyUnavailable', `cannot be checked: ${why}`);
  const dir = await mkdtemp(path.join(os.tmpdir(), 'fairlead-sig-'));
  try {
    const file = path.join(dir, 'sig');
    await writeFile(file, signature.text, { mode: 0o600 });
    const time = `verify-time=${timestamp(at)}`;
    const keygen = (...args: string[]) =>
      exec(['ssh-keygen', '-Y', ...args], { input: signature.payload, timeoutMs: 20_000 });
    const found = await keygen('find-principals', '-f', allowedSigners, '-s', file, '-O', time);
    if (found.code === 127)
      return no(
        'VerifyUnavailable',
        'cannot be checked: there is no ssh-keygen; install openssh-client (8.9 or later)',
      );
    const principals = found.stdout.split('\n').filter(Boolean);
    if (found.code !== 0 || principals.length === 0) return unknownSigner(allowedSigners, found.stderr);
    const verify = (signer: string, ...more: string[]) =>
      keygen('verify', '-f', allowedSigners, '-I', signer, '-n', 'git', '-s', file, '-O', time, ...more);
    const revocation = revoked === undefined ? [] : ['-r', revoked];
    let verdict: SignatureVerdict = no('BadSignature', 'has a signature that does not hold');
    for (const signer of principals) {
      const { code, stdout, stderr } = await verify(signer, ...revocation);
      if (code === 0) return { ok: true, signer };
      const said = oneLine(stderr || stdout);
      if (revoked !== undefined && (await verify(signer)).code === 0)
        verdict = no('SignerRevoked', `is signed by ${signer} with a key that ${revoked} has revoked`);
      else verdict = no('BadSignature', `has a signature of ${signer} that does not hold: ${said}`);
    }
    return verdict;
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

const oneLine = (text: string) => text.trim().replace(/\s+/g, ' ').slice(0, 200);

function unknownSigner(file: string, said: string): SignatureVerdict {
  const text = oneLine(said);
  if (/expired|not yet valid/i.test(said))
    return no('SignerExpired', `is signed with a key that was not valid at that time, says ${file}: ${text}`);
  return no('UnknownSigner', `is signed with a key that ${file} does not name (for the namespace git, at that time)`);
}

/** YYYYMMDDHHMMSS; Z makes it UTC (OpenSSH 9.1), without it the time is local. */
function timestamp(at: number): string {
  const date = new Date(Math.min(Math.max(at, 0), 253_402_300_799) * 1000);
  const two = (n: number) => String(n).padStart(2, '0');
  // Local time is understood by every version that knows verify-time.
  return `${date.getFullYear()}${[date.getMonth() + 1, date.getDate(), date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join('')}`;
}

const no = (reason: ReasonCode, why: string): SignatureVerdict => ({ ok: false, reason, why });
