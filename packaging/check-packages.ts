/**
 * The conditions for a package before its release: reproducible, without findings of the checkers of its format, small, and
 * runnable on its architecture.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const MAX_DEB_BYTES = 32e6;
const MAX_INSTALLED_BYTES = 140e6;
const MAX_IMAGE_BYTES = 50e6;

export interface CheckOptions {
  made: readonly string[];
  /** A package for tests, with little compression: its packed size has no limit. */
  fast: boolean;
  /** Builds the same packages again, into this directory. */
  build(out: string): Promise<string[]>;
  /** Builds an rpm of a later version for this machine, with little compression. */
  buildNewerRpm(out: string): Promise<string>;
}

/** Prints a line for each check. @returns whether all of them passed */
export async function checkPackages({ made, fast, build, buildNewerRpm }: CheckOptions): Promise<boolean> {
  const work = mkdtempSync(path.join(os.tmpdir(), 'fairlead-check-'));
  let held = true;
  const check = (what: string, problem: string) => {
    console.log(`${problem === '' ? 'ok  ' : 'FAIL'}  ${what}${problem === '' ? '' : `\n${problem}`}`);
    held &&= problem === '';
  };
  try {
    const again = await build(path.join(work, 'again'));
    for (const [at, file] of made.entries()) {
      const name = path.basename(file);
      check(`${name}: a second build is the same`, hashOf(file) === hashOf(again[at] ?? '') ? '' : 'it differs');
      if (file.endsWith('.deb'))
        for (const [what, problem] of checkDeb(file, work, fast)) check(`${name}: ${what}`, problem);
      if (file.endsWith('.tar')) check(`${name}: ${sizes(file, MAX_IMAGE_BYTES, fast)}`, imageProblem(file, fast));
      if (file.endsWith('.rpm')) check(`${name}: rpmlint`, rpmlint(file));
      if (file.endsWith(`.${RPM_ARCH[process.arch]}.rpm`)) {
        const newer = await buildNewerRpm(path.join(work, 'newer'));
        check(`${name}: scriptlets`, scriptlets({ rpm: file, newer, work }));
      }
    }
    return held;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** A package with little compression has no limit. */
const sizes = (file: string, most: number, fast: boolean): string =>
  `${(statSync(file).size / 1e6).toFixed(1)} MB${fast ? ', with little compression' : ` of at most ${most / 1e6}`}`;

const imageProblem = (file: string, fast: boolean): string =>
  fast || statSync(file).size <= MAX_IMAGE_BYTES ? '' : 'too large';

function checkDeb(deb: string, work: string, fast: boolean): [string, string][] {
  const { size } = statSync(deb);
  const tree = path.join(work, path.basename(deb, '.deb'));
  said('dpkg-deb', ['--extract', deb, tree]);
  const installed = Number(said('du', ['-sb', tree]).split('\t')[0]);
  return [
    [sizes(deb, MAX_DEB_BYTES, fast), fast || size <= MAX_DEB_BYTES ? '' : 'too large'],
    [
      `${(installed / 1e6).toFixed(1)} MB installed of at most ${MAX_INSTALLED_BYTES / 1e6}`,
      installed <= MAX_INSTALLED_BYTES ? '' : 'too large',
    ],
    ['lintian', lintian(deb, fast)],
    ['runs', smoke(deb, tree)],
  ];
}

/** lintian(1) on a package, as argv. Intended findings are in deb/lintian-overrides. */
export const lintianOf = (deb: string): string[] => [
  ...['lintian', '--allow-root', '--fail-on', 'none', '--tag-display-limit', '0'],
  deb,
];

/** The findings of lintian about a package, out of all of its output; empty if there are none. */
export const lintianFindings = (printed: string): string =>
  printed
    .split('\n')
    .filter((line) => /^[EW]:/.test(line))
    .join('\n');

function lintian(deb: string, fast: boolean): string {
  const [program = '', ...args] = lintianOf(deb);
  const findings = lintianFindings(said(program, args));
  // lintian of Debian 12 does not support zstd, which is used only to compress packages for tests.
  return fast ? findings.replaceAll(/^.*malformed-deb-archive.* not .*\n?/gm, '') : findings;
}

/** The findings of rpmlint about a package; empty if there are none. Intended ones are in rpm/rpmlint.toml. */
const rpmlint = (rpm: string): string =>
  said('rpmlint', ['--config', path.join(import.meta.dirname, 'rpm/rpmlint.toml'), rpm])
    .split('\n')
    .filter((line) => / [EW]: /.test(line))
    .join('\n');

const RPM_ARCH: Readonly<Record<string, string>> = { x64: 'x86_64', arm64: 'aarch64' };

/** Installs, upgrades, downgrades and erases an rpm in a Debian root (`rpm/try.sh`); needs root. */
function scriptlets({ rpm, newer, work }: { rpm: string; newer: string; work: string }): string {
  const dir = path.join(work, 'rpm-root');
  mkdirSync(dir);
  const script = path.join(import.meta.dirname, 'rpm/try.sh');
  const { status, stdout, stderr } = spawnSync('unshare', ['--mount', 'sh', script, rpm, newer, dir], {
    encoding: 'utf8',
  });
  return status === 0 ? '' : stdout + stderr;
}

const EMULATORS: Readonly<Record<string, string>> = { arm64: 'qemu-aarch64', amd64: 'qemu-x86_64' };
const OWN: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };
const CROSS: Readonly<Record<string, string>> = { arm64: 'aarch64-linux-gnu', amd64: 'x86_64-linux-gnu' };

/** Runs the program out of the unpacked package, emulated if it is for another architecture, down to SQLite's addon. */
function smoke(deb: string, tree: string): string {
  const arch = said('dpkg-deb', ['--field', deb, 'Architecture']).trim();
  const version = said('dpkg-deb', ['--field', deb, 'Version']).trim();
  const lib = path.join(tree, 'usr/lib/fairlead');
  const node = path.join(lib, 'node');
  // qemu finds the other architecture's libc below its root: packages libc6-ARCH-cross and libstdc++6-ARCH-cross.
  const prefix = OWN[process.arch] === arch ? [] : [EMULATORS[arch] ?? '', '-L', `/usr/${CROSS[arch]}`];
  const [program = '', ...before] = [...prefix, node];
  const run = (...args: string[]) => spawnSync(program, [...before, ...args], { encoding: 'utf8', timeout: 300_000 });
  const main = path.join(lib, 'fairlead.cjs');
  const found = run(main, 'version');
  if (found.stdout.trim() !== `fairlead ${version.replace('~', '-')}`) return `version: ${found.stdout}${found.stderr}`;
  const fleet = path.join(import.meta.dirname, '../examples/fleet');
  const valid = run(main, 'validate', '--worktree', fleet);
  if (valid.status !== 0) return `validate: ${valid.stdout}${valid.stderr}`;
  // A run without a repository fails, but has opened the database by then.
  const trial = path.join(tree, 'trial');
  mkdirSync(path.join(trial, 'etc/fairlead'), { recursive: true });
  writeFileSync(path.join(trial, 'etc/fairlead/agent.yaml'), 'host: trial\nrepo: {url: /nonexistent}\n');
  const once = run(main, '--root', trial, 'agent', '--once');
  const opened = existsSync(path.join(trial, 'var/lib/fairlead/history.db'));
  return opened ? '' : `no database: ${once.stdout}${once.stderr}`;
}

const hashOf = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex');

/** The output of a program, whatever its exit code. Throws if the program is missing. */
function said(program: string, args: readonly string[]): string {
  const { stdout, stderr, error } = spawnSync(program, args, {
    encoding: 'utf8',
    timeout: 600_000,
    maxBuffer: 1 << 26,
  });
  if (error) throw error;
  return stdout + stderr;
}
