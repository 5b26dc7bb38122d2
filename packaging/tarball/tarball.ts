/** An archive of the staged tree with an installer, for hosts that have neither dpkg nor rpm. */
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Arch } from '../runtime.ts';
import { functionsFor } from '../scripts/script.ts';

export interface TarballOptions {
  stage: string;
  /** Directory for the archive. */
  out: string;
  work: string;
  arch: Arch;
  version: string;
  schema: number;
  epoch: number;
  /** Program that tar(1) pipes the archive through. */
  compression: string;
}

/** @returns the archive's path */
export function buildTarball({ stage, out, work, arch, version, schema, epoch, compression }: TarballOptions): string {
  const name = `fairlead-${version}-linux-${arch}`;
  const dir = path.join(work, name);
  mkdirSync(dir);
  cpSync(stage, path.join(dir, 'files'), { recursive: true, preserveTimestamps: true });
  writeFileSync(path.join(dir, 'lifecycle.sh'), `ARCH=${arch}\n${functionsFor({ version, schema })}`);
  for (const script of ['install.sh', 'uninstall.sh']) {
    copyFileSync(path.join(import.meta.dirname, script), path.join(dir, script));
    chmodSync(path.join(dir, script), 0o755);
  }
  const file = path.join(out, `${name}.tar.${compression.startsWith('xz') ? 'xz' : 'zst'}`);
  execFileSync('tar', [
    '--create',
    `--file=${file}`,
    `--use-compress-program=${compression}`,
    // Makes two builds equal.
    '--format=gnu',
    '--sort=name',
    `--mtime=@${epoch}`,
    '--owner=0',
    '--group=0',
    '--numeric-owner',
    '--mode=u+rwX,go+rX,go-w',
    `--directory=${work}`,
    name,
  ]);
  rmSync(dir, { recursive: true });
  return file;
}
