/** Packages that several files of the suite install: each is built once in a run, in the directory that `setup.ts` provides. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import path from 'node:path';
import { inject } from 'vitest';
import { buildPackages, type Format, type PackageOptions } from '../../packaging/package.ts';
import type { Runtime } from '../../packaging/runtime.ts';
import { withLock } from './lock.ts';
import { ensurePrograms } from './packages.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Directory of the packages that were built in this run. */
    builtPackages: string;
  }
}

const ROOT = path.join(import.meta.dirname, '../..');
const MIGRATIONS = 'agent/store/schema/migrations.ts';
const DAEMON = 'agent/daemon.ts';
const NEWER = 'test/lab/upgrade/migrations.ts';
const NEWEST = 'test/lab/upgrade/more-migrations.ts';
const { version: NOW } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as { version: string };

export type Build = 'now' | 'newer' | 'broken' | 'mute' | 'light';

/** The versions, in ascending order; all but the first are newer than every release. */
export const VERSIONS: Readonly<Record<Build, string>> = {
  now: NOW,
  newer: '9.1.0',
  broken: '9.2.0',
  mute: '9.2.0',
  light: NOW,
};
/**
 * `now` is this commit. `newer` has one more format of the database. `broken` and `mute` have another one: the agent of the first
 * does not start, that of the second publishes nothing. `light` is this commit without Node's 100 MB, for tools that read a
 * complete package.
 */
const SOURCES: Readonly<Record<Build, Readonly<Record<string, string>>>> = {
  now: {},
  newer: { [MIGRATIONS]: NEWER },
  broken: { [MIGRATIONS]: NEWEST, [DAEMON]: 'test/lab/upgrade/broken-daemon.ts' },
  mute: { [MIGRATIONS]: NEWEST, [DAEMON]: 'test/lab/upgrade/mute-daemon.ts' },
  light: {},
};

/** This machine's own Node, which is that of the lock file: nothing is fetched. */
const runtime = (node = path.join(ROOT, 'node_modules/node/bin/node')): Runtime => ({
  node,
  component: { name: 'node', version: process.versions.node, licence: 'MIT', text: 'see npm', purl: 'pkg:npm/node' },
});

/**
 * @returns path of the package for x64, `light` compressed as a release and the others little; the first caller builds it, and
 * the others wait
 */
export async function builtPackage(build: Build, format: Format = 'deb'): Promise<string> {
  const dir = path.join(inject('builtPackages'), `${build}-${format}`);
  await withLock(`${dir}.lock`, async () => {
    if (existsSync(dir)) return;
    await ensurePrograms({ 'dpkg-deb': 'dpkg', strip: 'binutils', zstd: 'zstd' });
    const out = mkdtempSync(`${dir}-`);
    const options: PackageOptions = {
      ...{ out, archs: ['x64'], formats: [format], fast: build !== 'light' },
      ...{ version: VERSIONS[build], replaced: SOURCES[build] },
      runtime: () => runtime(build === 'light' ? '/usr/bin/true' : undefined),
    };
    await buildPackages(options);
    renameSync(out, dir);
  });
  return path.join(dir, readdirSync(dir)[0] ?? '');
}
