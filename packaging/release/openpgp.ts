/**
 * Signatures by gpg(1), with a secret key from a file. OpenPGP is what apt and rpm verify, so one key serves the packages, the
 * repository and the checksums. While the signer is open, the key is in a temporary directory of its own, and never in a keyring
 * of this machine.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

export interface SignerOptions {
  /** File with one secret key, as `gpg --export-secret-keys --armor` writes it. */
  key: string;
  /** File with the key's passphrase, if it has one. */
  passphraseFile?: string | undefined;
}

export interface Signer {
  /** Fingerprint of the primary key, in hexadecimal. */
  readonly fingerprint: string;
  /** The public key, as `gpg --export --armor` prints it. */
  readonly publicKey: string;
  /** Writes `FILE.asc`, or `to`, beside a file: a detached signature in ASCII armor. */
  detach(file: string, to?: string): void;
  /** Writes a file's text with a cleartext signature around it. */
  clear(file: string, to: string): void;
  /** Signs an rpm in place, by rpmsign(8). */
  rpm(file: string): void;
  /** Removes the key from this machine's temporary storage. */
  close(): void;
}

/**
 * Throws if the file does not contain one secret key, others may read it, or it cannot sign: expired, or locked by another
 * passphrase.
 */
export function openSigner({ key, passphraseFile }: SignerOptions): Signer {
  const others = statSync(key).mode & 0o077;
  if (others !== 0) throw new Error(`cannot sign with ${key}: others may read it; run chmod 600 ${key}`);
  const home = mkdtempSync(path.join(os.tmpdir(), 'fairlead-key-'));
  const env = { ...process.env, GNUPGHOME: home };
  const gpg = (...args: string[]) =>
    execFileSync('gpg', args, { env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  const close = () => {
    spawnSync('gpgconf', ['--kill', 'all'], { env });
    rmSync(home, { recursive: true, force: true });
  };
  try {
    // rpmsign(8) calls gpg too, so the options that every call needs are in a file.
    const passphrase =
      passphraseFile === undefined
        ? ['pinentry-mode error']
        : ['pinentry-mode loopback', `passphrase-file ${path.resolve(passphraseFile)}`];
    writeFileSync(path.join(home, 'gpg.conf'), ['batch', 'no-tty', 'yes', ...passphrase, ''].join('\n'));
    gpg('--import', path.resolve(key));
    const fingerprint = secretKeyIn(gpg('--list-secret-keys', '--with-colons'), key);
    const by = ['--local-user', fingerprint, '--digest-algo', 'SHA512'];
    // A wrong passphrase or an expired key is found now, and not when everything else is done.
    const trial = path.join(home, 'trial');
    writeFileSync(trial, '');
    gpg(...by, '--output', `${trial}.sig`, '--detach-sign', trial);
    return {
      fingerprint,
      publicKey: gpg('--export', '--armor', fingerprint),
      detach: (file, to = `${file}.asc`) => void gpg(...by, '--armor', '--output', to, '--detach-sign', file),
      clear: (file, to) => void gpg(...by, '--output', to, '--clear-sign', file),
      rpm: (file) =>
        void execFileSync(
          'rpmsign',
          [
            '--addsign',
            '--define',
            '__gpg /usr/bin/gpg',
            '--define',
            `_gpg_name ${fingerprint}`,
            '--define',
            `_gpg_path ${home}`,
            file,
          ],
          // gpg warns about a terminal that it does not need; if it fails, the error has its output.
          { env, stdio: ['ignore', 'ignore', 'pipe'] },
        ),
      close,
    };
  } catch (thrown) {
    close();
    throw thrown;
  }
}

/** @param listed as `gpg --with-colons` prints keys: https://github.com/gpg/gnupg/blob/master/doc/DETAILS */
function secretKeyIn(listed: string, key: string): string {
  const lines = listed.split('\n').map((line) => line.split(':'));
  const keys = lines.flatMap(([kind], at) =>
    kind === 'sec' ? [lines.slice(at).find(([of]) => of === 'fpr')?.[9] ?? ''] : [],
  );
  const [found = ''] = keys;
  if (keys.length !== 1)
    throw new Error(`cannot sign with ${key}: it holds ${keys.length} secret keys; give a file with one`);
  return found;
}

/** @returns fingerprint of the first public key in an armored file. Throws if there is none. */
export function fingerprintOf(file: string): string {
  const printed = execFileSync('gpg', ['--show-keys', '--with-colons', file], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  return /^fpr:+([0-9A-F]+):/m.exec(printed)?.[1] ?? '';
}
