/** The Node in a package: from the lock file of packaging/runtime, so that its bytes are verified, whatever this machine is. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type Component, componentAt, purlOf, readLock } from './licences/components.ts';

/** The architecture in the terms of npm and Node. */
export type Arch = 'x64' | 'arm64';

export interface Runtime {
  /** The program. */
  node: string;
  component: Component;
}

const PROJECT = path.join(import.meta.dirname, 'runtime');

/** Fetches it, if it is not there yet, by `npm ci`, which refuses bytes that differ from the lock file. */
export function runtimeFor(arch: Arch): Runtime {
  const name = `node-linux-${arch}`;
  const dir = path.join(PROJECT, 'node_modules', name);
  const lock = readLock(PROJECT);
  const wanted = lock.packages[`node_modules/${name}`]?.version;
  const node = path.join(dir, 'bin/node');
  if (!existsSync(node) || componentAt(PROJECT, `node_modules/${name}`, lock).version !== wanted) fetchNode(arch, dir);
  const found = componentAt(PROJECT, `node_modules/${name}`, lock);
  return { node, component: { ...found, name: 'node', purl: purlOf(name, found.version) } };
}

/** `npm ci` empties node_modules first, and would remove the other architecture's Node: so it works in a directory of its own. */
function fetchNode(arch: Arch, dir: string): void {
  const work = mkdtempSync(path.join(os.tmpdir(), 'fairlead-runtime-'));
  try {
    for (const file of ['package.json', 'package-lock.json', '.npmrc'])
      copyFileSync(path.join(PROJECT, file), path.join(work, file));
    // npm installs optional packages for another machine if it is told to be that one.
    console.log(`fetching Node for ${arch}, by packaging/runtime/package-lock.json`);
    execFileSync('npm', ['ci', '--os=linux', `--cpu=${arch}`, '--loglevel=error'], {
      cwd: work,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    rmSync(dir, { recursive: true, force: true });
    cpSync(path.join(work, 'node_modules', path.basename(dir)), dir, { recursive: true });
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
