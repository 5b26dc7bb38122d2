/**
 * `npm run docs`: one searchable site of the pages in docs/, in .site/out. The generator has a lock file of its own
 * (packaging/site), because it is large and nobody else needs it; it is fetched when the site is first built.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';

const ROOT = path.join(import.meta.dirname, '..');
const SOURCE = path.join(import.meta.dirname, 'site');
const SITE = path.join(ROOT, '.site');
const LOCK = 'package-lock.json';

function run(program: string, ...args: string[]): void {
  const { status } = spawnSync(program, args, { cwd: SITE, stdio: 'inherit' });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${status}`);
}

mkdirSync(SITE, { recursive: true });
const read = (dir: string): string =>
  existsSync(path.join(dir, LOCK)) ? readFileSync(path.join(dir, LOCK), 'utf8') : '';
// npm writes node_modules/.package-lock.json last, so an interrupted installation is repeated.
if (read(SITE) !== read(SOURCE) || !existsSync(path.join(SITE, 'node_modules/.package-lock.json'))) {
  for (const file of ['package.json', LOCK]) copyFileSync(path.join(SOURCE, file), path.join(SITE, file));
  run('npm', 'ci', '--no-audit', '--no-fund', '--loglevel=error');
}
const pages = path.join(SITE, 'docs');
rmSync(pages, { recursive: true, force: true });
cpSync(path.join(ROOT, 'docs'), pages, { recursive: true });
mkdirSync(path.join(pages, '.vitepress'));
copyFileSync(path.join(SOURCE, 'config.mts'), path.join(pages, '.vitepress/config.mts'));
run('node', 'node_modules/vitepress/bin/vitepress.js', 'build', 'docs');
console.log(`the site is in ${path.relative(process.cwd(), path.join(SITE, 'out'))}; any web server can serve it`);
