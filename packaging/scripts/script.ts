/** Scripts of packages: the shell functions of lifecycle.sh, and their callers. */
import { readFileSync } from 'node:fs';
import path from 'node:path';

export interface ScriptOptions {
  version: string;
  /** Newest format of the database that this version reads. */
  schema: number;
  /** The part that calls the functions. */
  file: string;
}

/** @returns a whole script for sh(1) */
export const scriptWith = ({ file, ...about }: ScriptOptions): string =>
  `#!/bin/sh\nset -e\n${functionsFor(about)}\n${readFileSync(file, 'utf8')}`;

/** @returns only the functions, for rpm, which adds its own first line */
export const functionsFor = ({ version, schema }: Omit<ScriptOptions, 'file'>): string =>
  `VERSION='${version}'\nSCHEMA=${schema}\n${functionsOf('lifecycle.sh')}`;

/** @returns the script that carries out an upgrade requested by a commit: complete for sh(1), and independent of a version */
export const upgradeScript = (): string =>
  `set -e\n${functionsOf('lifecycle.sh')}\n${functionsOf('upgrade.sh')}\nupgrade\nexit\n`;

const functionsOf = (name: string): string => readFileSync(path.join(import.meta.dirname, name), 'utf8');
