/** The staged tree: the files of a host, as all kinds of packages contain them. */
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { SCRIPTS } from '../agent/cli/shell/scripts.ts';
import { changelogFor } from './deb/changelog.ts';
import { exampleConfig } from './example-config.ts';
import { type Component, componentsOf } from './licences/components.ts';
import { copyrightFile } from './licences/copyright.ts';
import { billOfMaterials } from './licences/sbom.ts';
import type { Arch, Runtime } from './runtime.ts';

const root = path.join(import.meta.dirname, '..');
const PUBLIC_DOMAIN = 'The author disclaims copyright to this source code (https://www.sqlite.org/copyright.html).\n';

const DOC = 'usr/share/doc/fairlead';
/** The bill of materials, relative to the staged tree. */
export const BILL = `${DOC}/sbom.cdx.json`;

export interface StageOptions {
  /** Directory that is deleted and created again. */
  dir: string;
  arch: Arch;
  version: string;
  /** Seconds since 1970: time of the commit, and of every file. */
  epoch: number;
  /** The built program (`buildProgram`), and its inputs. */
  dist: string;
  inputs: readonly string[];
  runtime: Runtime;
  /** Version of SQLite in the addon. */
  sqlite: string;
}

/** Writes the tree. Node's debug symbols are left out, because nobody uses them on a host. */
export function writeStage(options: StageOptions): void {
  const { dir, arch, version, epoch, dist, runtime } = options;
  rmSync(dir, { recursive: true, force: true });
  const put = (file: string, content: string | Uint8Array, mode = 0o644) => {
    const full = path.join(dir, file);
    mkdirSync(path.dirname(full), { recursive: true });
    writeFileSync(full, content);
    chmodSync(full, mode);
  };
  const copy = (from: string, to: string, mode = 0o644) => put(to, readFileSync(from), mode);

  const lib = 'usr/lib/fairlead';
  mkdirSync(path.join(dir, lib), { recursive: true });
  for (const name of ['VERSION', 'SCHEMA', 'upgrade.sh', 'fairlead-upgrade.service'])
    copyFileSync(path.join(dist, name), path.join(dir, lib, name));
  // Only the Node beside it starts it.
  put(`${lib}/fairlead.cjs`, readFileSync(path.join(dist, 'fairlead.cjs'), 'utf8').replace(/^#!.*\n/, ''));
  for (const part of ['lib', 'dashboard'])
    cpSync(path.join(dist, part), path.join(dir, lib, part), {
      recursive: true,
      // Its texts are in the copyright file.
      filter: (file) => !file.endsWith('.LEGAL.txt'),
    });
  const addon = `better_sqlite3-linux-${arch}.node`;
  copyFileSync(path.join(dist, addon), path.join(dir, lib, addon));
  copyFileSync(runtime.node, path.join(dir, lib, 'node'));
  for (const file of ['node', addon]) execFileSync(stripFor(arch), ['--strip-all', path.join(dir, lib, file)]);
  chmodSync(path.join(dir, lib, 'node'), 0o755);
  chmodSync(path.join(dir, lib, addon), 0o644);

  copy(path.join(root, 'packaging/files/fairlead'), 'usr/bin/fairlead', 0o755);
  copy(path.join(root, 'systemd/fairlead.service'), 'usr/lib/systemd/system/fairlead.service');
  copy(path.join(root, 'packaging/files/sysusers.conf'), 'usr/lib/sysusers.d/fairlead.conf');
  copy(path.join(root, 'packaging/files/tmpfiles.conf'), 'usr/lib/tmpfiles.d/fairlead.conf');
  mkdirSync(path.join(dir, 'etc/fairlead'), { recursive: true });
  for (const [page, section] of [
    ['fairlead', 1],
    ['agent.yaml', 5],
  ] as const)
    put(
      `usr/share/man/man${section}/${page}.${section}.gz`,
      gzipSync(readFileSync(path.join(dist, 'man', `${page}.${section}`)), { level: 9 }),
    );
  put('usr/share/bash-completion/completions/fairlead', SCRIPTS.bash);
  put('usr/share/zsh/vendor-completions/_fairlead', SCRIPTS.zsh);
  put('usr/share/fish/vendor_completions.d/fairlead.fish', SCRIPTS.fish);

  const components = allComponents(options);
  put(`${DOC}/copyright`, copyrightFile(components));
  put(`${DOC}/apache-2.0.txt.gz`, gzipSync(readFileSync(path.join(root, 'LICENSE')), { level: 9 }));
  put(`${DOC}/changelog.gz`, gzipSync(changelogFor({ version, epoch }), { level: 9 }));
  put(`${DOC}/NEWS.md.gz`, gzipSync(readFileSync(path.join(root, 'CHANGELOG.md')), { level: 9 }));
  put(BILL, `${JSON.stringify(billOfMaterials({ version, arch, epoch, components }), null, 1)}\n`);
  put(`${DOC}/examples/agent.yaml`, exampleConfig());
  // Pages that messages name, and instructions for a lost git server, are needed while nothing can be fetched.
  for (const page of pages()) copy(path.join(root, 'docs', page), `${DOC}/docs/${page}`);
  settle(dir, epoch);
}

/** The pages of docs/, without pictures and decision records. */
const pages = (): string[] =>
  readdirSync(path.join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((page) => page.endsWith('.md') && !page.startsWith('adr/'))
    .sort();

/** The libraries of the bundle, SQLite inside its addon, and Node. */
const allComponents = ({ inputs, sqlite, runtime }: StageOptions): Component[] => [
  ...componentsOf(root, inputs),
  {
    name: 'sqlite',
    version: sqlite,
    licence: 'blessing',
    text: PUBLIC_DOMAIN,
    purl: `pkg:generic/sqlite@${sqlite}`,
  },
  runtime.component,
];

/** Every directory 0755, and every time that of the commit. */
function settle(dir: string, epoch: number): void {
  execFileSync('find', [dir, '-type', 'd', '-exec', 'chmod', '0755', '{}', '+']);
  execFileSync('find', [dir, '-depth', '-exec', 'touch', '-h', '-d', `@${epoch}`, '{}', '+']);
}

const OWN: Readonly<Record<string, Arch>> = { x64: 'x64', arm64: 'arm64' };
const CROSS: Readonly<Record<Arch, string>> = { x64: 'x86_64-linux-gnu-strip', arm64: 'aarch64-linux-gnu-strip' };
const stripFor = (arch: Arch): string => (OWN[process.arch] === arch ? 'strip' : CROSS[arch]);
