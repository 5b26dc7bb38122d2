/** An RPM package of the staged tree, by rpmbuild(8) of rpm 4.18: for any architecture, because nothing is compiled. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { debVersion } from '../deb/changelog.ts';
import type { Arch } from '../runtime.ts';
import { functionsFor } from '../scripts/script.ts';

export interface RpmOptions {
  stage: string;
  /** Directory for the package. */
  out: string;
  /** For rpmbuild's own files. */
  work: string;
  arch: Arch;
  version: string;
  schema: number;
  epoch: number;
  /** rpm's `%_binary_payload`. */
  compression: string;
}

export const RPM_ARCH: Readonly<Record<Arch, string>> = { x64: 'x86_64', arm64: 'aarch64' };

/** @returns the package's path */
export function buildRpm({ stage, out, work, arch, version, schema, epoch, compression }: RpmOptions): string {
  const top = path.join(work, `rpm-${arch}`);
  mkdirSync(top, { recursive: true });
  const spec = path.join(top, 'fairlead.spec');
  writeFileSync(spec, specFile({ version, schema, epoch }));
  const defines = {
    _topdir: top,
    _rpmdir: top,
    staged: stage,
    _binary_payload: compression,
    // Makes two builds equal: no clock, no name of this machine, no build ids in the files.
    _buildhost: 'localhost',
    use_source_date_epoch_as_buildtime: '1',
    clamp_mtime_to_source_date_epoch: '1',
    source_date_epoch_from_changelog: '0',
    _build_id_links: 'none',
    // Scripts that would strip, compress or compile the staged files with tools of this machine.
    __os_install_post: '%{nil}',
    __strip: '/bin/true',
    debug_package: '%{nil}',
  };
  execFileSync(
    'rpmbuild',
    [
      '-bb',
      '--quiet',
      '--nodeps',
      '--target',
      `${RPM_ARCH[arch]}-linux`,
      ...Object.entries(defines).flatMap(([name, value]) => ['--define', `${name} ${value}`]),
      spec,
    ],
    { env: { ...process.env, SOURCE_DATE_EPOCH: String(epoch) }, stdio: ['ignore', 'ignore', 'inherit'] },
  );
  const built = path.join(top, RPM_ARCH[arch]);
  const [name = ''] = readdirSync(built).filter((file) => file.endsWith('.rpm'));
  const rpm = path.join(out, name);
  copyFileSync(path.join(built, name), rpm);
  rmSync(top, { recursive: true });
  return rpm;
}

function specFile({ version, schema, epoch }: Pick<RpmOptions, 'version' | 'schema' | 'epoch'>): string {
  const [weekday, day, month, year] = new Date(epoch * 1_000).toUTCString().replace(',', '').split(' ');
  // A % would begin an rpm macro.
  const functions = functionsFor({ version, schema }).replaceAll('%', '%%');
  return readFileSync(path.join(import.meta.dirname, 'fairlead.spec'), 'utf8')
    .replaceAll('@VERSION@', debVersion(version))
    .replaceAll('@DATE@', `${weekday} ${month} ${day} ${year}`)
    .replaceAll('@FUNCTIONS@', () => functions);
}
