/** A CA of our own, and its certificates: the broker's and those of users. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

export interface Certificates {
  /** Path of the CA's PEM file. */
  readonly ca: string;
  /** @returns paths of the PEM files of this name */
  of(name: string): { cert: string; key: string };
  remove(): void;
}

/** @param names common names; `broker` is that of localhost */
export function certify(names: readonly string[]): Certificates {
  const dir = mkdtempSync(path.join(os.tmpdir(), 'fairlead-certificates-'));
  const at = (name: string) => path.join(dir, name);
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: dir, stdio: 'ignore' });
  const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  writeFileSync(at('names'), 'subjectAltName=DNS:localhost,IP:127.0.0.1\n');
  openssl('req', '-x509', ...ec, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=ca', '-days', '2');
  for (const name of names) {
    openssl('req', ...ec, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
    const signed = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2'];
    openssl('x509', '-req', '-in', `${name}.csr`, ...signed, '-extfile', 'names', '-out', `${name}.pem`);
  }
  return {
    ca: at('ca.pem'),
    of: (name) => ({ cert: at(`${name}.pem`), key: at(`${name}.key`) }),
    remove: () => rmSync(dir, { recursive: true, force: true }),
  };
}
