/**
 * The page of the fleet as files for any web server: one page, one script, one style sheet and one icon, named by the hashes of
 * their content.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { build, type Metafile } from 'esbuild';
import { policyFor } from '../agent/fleet/page/policy.ts';

const root = path.join(import.meta.dirname, '..');
const source = path.join(root, 'agent/dashboard');

/** @param dist directory for the files @returns the inputs, see esbuild */
export async function buildDashboard(dist: string): Promise<Metafile> {
  mkdirSync(dist, { recursive: true });
  const { metafile } = await build({
    entryPoints: { page: path.join(source, 'main.tsx'), style: path.join(source, 'style/index.css') },
    entryNames: '[name]-[hash]',
    outdir: dist,
    bundle: true,
    platform: 'browser',
    target: 'es2023',
    format: 'esm',
    minify: true,
    charset: 'utf8',
    jsx: 'automatic',
    jsxImportSource: 'preact',
    legalComments: 'linked',
    // mqtt's file for browsers contains its own copies of Node's modules.
    define: { 'process.env.NODE_ENV': '"production"' },
    logLevel: 'warning',
    metafile: true,
  });
  const made = Object.keys(metafile.outputs).map((file) => path.basename(file));
  const named = (name: RegExp): string => made.find((file) => name.test(file)) ?? '';
  const icon = readFileSync(path.join(source, 'icon.svg'));
  const iconName = `icon-${createHash('sha256').update(icon).digest('hex').slice(0, 8)}.svg`;
  writeFileSync(path.join(dist, iconName), icon);
  const html = readFileSync(path.join(source, 'index.html'), 'utf8')
    .replace('__POLICY__', policyFor(null, 'meta'))
    .replace('__ICON__', iconName)
    .replace('__STYLE__', named(/^style-.*\.css$/))
    .replace('__SCRIPT__', named(/^page-.*\.js$/));
  writeFileSync(path.join(dist, 'index.html'), html);
  return metafile;
}
