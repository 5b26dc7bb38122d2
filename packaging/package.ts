/**
 * `npm run package [-- --arch x64 --format deb --out DIR --fast --check]`: packages of this commit. `--fast` compresses little,
 * for tests; `--check` builds all twice, compares them, and checks them with lintian, rpmlint and their size limits.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import Database from 'better-sqlite3';
import { checkPackages } from './check-packages.ts';
import { buildContainer } from './container/container.ts';
import { buildDeb } from './deb/deb.ts';
import { buildProgram } from './program.ts';
import { buildRpm } from './rpm/rpm.ts';
import { type Arch, type Runtime, runtimeFor } from './runtime.ts';
import { BILL, writeStage } from './stage.ts';
import { buildTarball } from './tarball/tarball.ts';

const root = path.join(import.meta.dirname, '..');
const ARCHS: readonly Arch[] = ['x64', 'arm64'];
const FORMATS = ['deb', 'rpm', 'tarball', 'container', 'sbom'] as const;
export type Format = (typeof FORMATS)[number];

export interface PackageOptions {
  out: string;
  archs?: readonly Arch[];
  formats?: readonly Format[];
  /** Packages for tests: made in seconds, and larger. */
  fast?: boolean;
  /** Default: package.json's. */
  version?: string;
  /** See `ProgramOptions`. */
  replaced?: Readonly<Record<string, string>>;
  runtime?(arch: Arch): Runtime;
}

/** @returns an rpm of a later version for this machine, with little compression, to try upgrades */
export async function buildNewerRpm(out: string): Promise<string> {
  const archs = ARCHS.filter((arch) => arch === process.arch);
  const [made = ''] = await buildPackages({ out, archs, formats: ['rpm'], fast: true, version: '99.0.0' });
  return made;
}

/** @returns paths of the packages. Throws if a tool is missing or fails. */
export async function buildPackages(options: PackageOptions): Promise<string[]> {
  const { out, archs = ARCHS, formats = FORMATS, fast = false, runtime = runtimeFor } = options;
  const { version = versionOf(), replaced = {} } = options;
  mkdirSync(out, { recursive: true });
  const epoch = commitTime();
  const work = mkdtempSync(path.join(os.tmpdir(), 'fairlead-package-'));
  const made: string[] = [];
  try {
    const dist = path.join(work, 'dist');
    const inputs = await buildProgram({ dist, version, replaced });
    const schema = Number(readFileSync(path.join(dist, 'SCHEMA'), 'utf8'));
    for (const arch of archs) {
      const stage = path.join(work, `stage-${arch}`);
      writeStage({ dir: stage, arch, version, epoch, dist, inputs, runtime: runtime(arch), sqlite: sqliteVersion() });
      const common = { stage, out, arch, version, schema, epoch };
      if (formats.includes('deb'))
        made.push(buildDeb({ ...common, compression: fast ? ['-Zzstd', '-z1'] : ['-Zxz', '-z9'] }));
      if (formats.includes('rpm'))
        made.push(buildRpm({ ...common, work, compression: fast ? 'w1.zstdio' : 'w9.xzdio' }));
      if (formats.includes('tarball'))
        made.push(buildTarball({ ...common, work, compression: fast ? 'zstd -1' : 'xz -9' }));
      if (formats.includes('container')) made.push(buildContainer({ ...common, work, level: fast ? 1 : 9 }));
      if (formats.includes('sbom'))
        made.push(copyBill(stage, path.join(out, `fairlead-${version}-linux-${arch}.cdx.json`)));
    }
    return made;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** The bill of materials, as every package contains it. */
function copyBill(stage: string, to: string): string {
  copyFileSync(path.join(stage, BILL), to);
  return to;
}

const versionOf = (): string =>
  (JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as { version: string }).version;

/** SOURCE_DATE_EPOCH (https://reproducible-builds.org/specs/source-date-epoch/), or the time of the commit. */
function commitTime(): number {
  const given = process.env.SOURCE_DATE_EPOCH;
  if (given !== undefined) return Number(given);
  return Number(execFileSync('git', ['log', '-1', '--format=%ct'], { cwd: root, encoding: 'utf8' }));
}

function sqliteVersion(): string {
  const db = new Database(':memory:');
  try {
    return String(db.prepare('SELECT sqlite_version()').pluck().get());
  } finally {
    db.close();
  }
}

if (process.argv[1] === import.meta.filename) {
  const { values } = parseArgs({
    options: {
      arch: { type: 'string', multiple: true },
      format: { type: 'string', multiple: true },
      out: { type: 'string', default: path.join(root, 'packages') },
      fast: { type: 'boolean', default: false },
      check: { type: 'boolean', default: false },
    },
  });
  const { out, fast } = values;
  const archs = ARCHS.filter((arch) => values.arch?.includes(arch) ?? true);
  const formats = FORMATS.filter((format) => values.format?.includes(format) ?? true);
  const build = (into: string) => buildPackages({ out: into, archs, formats, fast });
  const made = await build(out);
  for (const file of made) console.log(file);
  if (values.check) process.exitCode = (await checkPackages({ made, fast, build, buildNewerRpm })) ? 0 : 1;
}
