/** A Debian package of the staged tree, by dpkg-deb(1). */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Arch } from '../runtime.ts';
import { scriptWith } from '../scripts/script.ts';
import { debVersion, MAINTAINER } from './changelog.ts';

export interface DebOptions {
  stage: string;
  /** Directory for the package. */
  out: string;
  arch: Arch;
  version: string;
  /** Newest format of the database that its program reads. */
  schema: number;
  epoch: number;
  /** dpkg-deb's compression options; the best of xz for a release. */
  compression: readonly string[];
}

export const DEB_ARCH: Readonly<Record<Arch, string>> = { x64: 'amd64', arm64: 'arm64' };
const SCRIPTS = ['preinst', 'postinst', 'prerm', 'postrm'];

/** @returns the package's path */
export function buildDeb({ stage, out, arch, version, schema, epoch, compression }: DebOptions): string {
  const control = path.join(stage, 'DEBIAN');
  const overrides = path.join(stage, 'usr/share/lintian/overrides/fairlead');
  mkdirSync(control, { recursive: true, mode: 0o755 });
  mkdirSync(path.dirname(overrides), { recursive: true });
  try {
    writeFileSync(overrides, readFileSync(path.join(import.meta.dirname, 'lintian-overrides')), { mode: 0o644 });
    const files = filesBelow(stage).filter((file) => !file.startsWith('DEBIAN/'));
    writeFileSync(path.join(control, 'control'), controlFile(stage, files, { arch, version }));
    writeFileSync(
      path.join(control, 'md5sums'),
      files.map((file) => `${md5(path.join(stage, file))}  ${file}\n`).join(''),
    );
    for (const name of SCRIPTS) {
      const text = scriptWith({ version, schema, file: path.join(import.meta.dirname, name) });
      writeFileSync(path.join(control, name), text);
      chmodSync(path.join(control, name), 0o755);
    }
    for (const file of [overrides, ...parentsOf(overrides, stage), stage]) utimesSync(file, epoch, epoch);
    const deb = path.join(out, `fairlead_${debVersion(version)}_${DEB_ARCH[arch]}.deb`);
    execFileSync('dpkg-deb', ['--root-owner-group', ...compression, '--build', stage, deb], {
      env: { ...process.env, SOURCE_DATE_EPOCH: String(epoch) },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    return deb;
  } finally {
    // The other packages use the same tree.
    rmSync(control, { recursive: true });
    rmSync(path.join(stage, 'usr/share/lintian'), { recursive: true, force: true });
    utimesSync(path.join(stage, 'usr/share'), epoch, epoch);
  }
}

/** deb-control(5). */
function controlFile(
  stage: string,
  files: readonly string[],
  { arch, version }: { arch: Arch; version: string },
): string {
  const bytes = files.reduce((sum, file) => sum + lstatSync(path.join(stage, file)).size, 0);
  return `Package: fairlead
Version: ${debVersion(version)}
Architecture: ${DEB_ARCH[arch]}
Maintainer: ${MAINTAINER}
Installed-Size: ${Math.ceil(bytes / 1024)}
Pre-Depends: init-system-helpers (>= 1.54~)
Depends: libc6 (>= 2.28), libgcc-s1, libstdc++6 (>= 9), systemd (>= 249), default-dbus-system-bus | dbus-system-bus
Recommends: ca-certificates, openssh-client
Suggests: docker.io | docker-ce, gpgv
Section: admin
Priority: optional
Homepage: https://github.com/fairlead/fairlead
Description: GitOps agent for hosts without Kubernetes
 A small daemon pulls this host's directory out of a fleet repository, and
 makes Docker containers, files and systemd units what it declares. It repairs
 drift, takes back commits that do not settle, keeps its history, and reports
 over MQTT.
 .
 After the installation, "fairlead init URL" sets the host up.
`;
}

function filesBelow(dir: string): string[] {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => path.relative(dir, path.join(entry.parentPath, entry.name)))
    .sort();
}

const md5 = (file: string): string => createHash('md5').update(readFileSync(file)).digest('hex');

function parentsOf(file: string, top: string): string[] {
  const parent = path.dirname(file);
  return parent === top ? [] : [parent, ...parentsOf(parent, top)];
}
