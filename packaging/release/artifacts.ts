/** The files beside the packages of a release: checksums, signatures, notes, the public key. */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { KEY_FILE } from './apt.ts';
import type { Signer } from './openpgp.ts';

export interface ArtifactsOptions {
  /** Directory of the release. */
  out: string;
  /** Packages and bills of materials in it. */
  made: readonly string[];
  /** In Markdown. */
  notes: string;
  signer: Signer;
}

/** @returns all files of the release. Signs rpms in place, before their sums are taken. */
export function writeArtifacts({ out, made, notes, signer }: ArtifactsOptions): string[] {
  for (const rpm of made.filter((file) => file.endsWith('.rpm'))) signer.rpm(rpm);
  const notesFile = path.join(out, 'NOTES.md');
  writeFileSync(notesFile, notes);
  const sums = path.join(out, 'SHA256SUMS');
  const summed = [...made, notesFile].toSorted();
  writeFileSync(sums, summed.map((file) => `${sha256(file)}  ${path.basename(file)}\n`).join(''));
  signer.detach(sums);
  const key = path.join(out, KEY_FILE);
  writeFileSync(key, signer.publicKey);
  return [...summed, sums, `${sums}.asc`, key];
}

const sha256 = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex');
