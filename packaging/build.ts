/**
 * Builds dist/: the program for this machine's tests and for a manual installation. A copy in any place runs with any Node >=
 * 22.12.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { buildProgram } from './program.ts';

const root = path.join(import.meta.dirname, '..');
const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as { version: string };
await buildProgram({ dist: path.join(root, 'dist'), version });
