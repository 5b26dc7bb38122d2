/** OpenPGP keys for tests: created in a moment, for one test alone. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

export interface TrialKeyOptions {
  /** File for the secret key; only root may read it. */
  file: string;
  passphrase?: string;
  /** As `gpg --quick-generate-key` names it. */
  algorithm?: string;
  /** Keys in the file. */
  count?: number;
}

/** Writes secret keys as a maintainer would export them. */
export function writeTrialKey({ file, passphrase = '', algorithm = 'ed25519', count = 1 }: TrialKeyOptions): void {
  const home = mkdtempSync(path.join(os.tmpdir(), 'fairlead-trial-key-'));
  const secret = ['--batch', '--quiet', '--pinentry-mode', 'loopback', '--passphrase', passphrase];
  const gpg = (...args: string[]) =>
    execFileSync('gpg', args, { env: { ...process.env, GNUPGHOME: home }, stdio: ['ignore', 'pipe', 'pipe'] });
  try {
    for (let at = 1; at <= count; at++)
      gpg(...secret, '--quick-generate-key', `fairlead trial ${at}`, algorithm, 'sign', 'never');
    writeFileSync(file, gpg(...secret, '--armor', '--export-secret-keys'), { mode: 0o600 });
  } finally {
    execFileSync('gpgconf', ['--kill', 'all'], { env: { ...process.env, GNUPGHOME: home } });
    rmSync(home, { recursive: true, force: true });
  }
}
