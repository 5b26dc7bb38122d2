/** The Node that a package carries: by the lock file of packaging/runtime, so that its bytes are checked, whatever this machine is. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { type Component, componentAt, purlOf, readLock } from './licences/components.ts';

/** As npm and Node call it. */
export type Arch = 'x64' | 'arm64';

export interface Runtime {
  /** The program. */
  node: string;
  component: Component;
}

const PROJECT = path.join(import.meta.dirname, 'runtime');

/** Fetches it, where it is not there yet, by `npm ci`, which refuses other bytes than the lock file's. */
export function runtimeFor(arch: Arch): Runtime {
  const name = `node-linux-${arch}`;
  const dir = path.join(PROJECT, 'node_modules', name);
  const lock = readLock(PROJECT);
  const wanted = lock.packages[`node_modules/${name}`]?.version;
  const node = path.join(dir, 'bin/node');
  if (!existsSync(node) || componentAt(PROJECT, `node_modules/${name}`, lock).version !== wanted)
    // npm installs optional packages of another machine where it is told to be that one.
    execFileSync('npm', ['ci', '--os=linux', `--cpu=${arch}`, '--loglevel=error'], { cwd: PROJECT, stdio: 'inherit' });
  const found = componentAt(PROJECT, `node_modules/${name}`, lock);
  return { node, component: { ...found, name: 'node', purl: purlOf(name, found.version) } };
}
