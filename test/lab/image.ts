/** The host images: made once from Debian's packages, kept by the engine, made anew when the recipe changes. */

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type Docker, LAB_DIR } from './engine.ts';
import { DISABLED, FILES, type Flavour, MASKED, RECIPES } from './recipe.ts';
import { run } from './run.ts';

const hashOf = (flavour: Flavour) =>
  createHash('sha256')
    .update(JSON.stringify([RECIPES[flavour], FILES, MASKED, DISABLED]))
    .digest('hex')
    .slice(0, 12);
const nameOf = (flavour: Flavour) => `fairlead-lab:${flavour}-${hashOf(flavour)}`;

/** @returns the image's name; builds it where it is not there yet (minutes) */
export async function ensureImage(docker: Docker, flavour: Flavour, log: (line: string) => void): Promise<string> {
  const image = nameOf(flavour);
  const have = (await docker(['images', 'fairlead-lab', '--format', '{{.Repository}}:{{.Tag}}'])).stdout.split('\n');
  if (have.includes(image)) return image;
  log(`building the ${flavour} host image (once; a minute or two)`);
  if (process.getuid?.() === 0 && existsSync('/usr/sbin/debootstrap')) await bootstrap(docker, flavour, image, log);
  else await dockerfile(docker, flavour, image);
  for (const old of have.filter((name) => name.startsWith(`fairlead-lab:${flavour}-`)))
    await docker(['rmi', old], { check: false });
  return image;
}

async function bootstrap(docker: Docker, flavour: Flavour, image: string, log: (line: string) => void): Promise<void> {
  await mkdir(LAB_DIR, { recursive: true });
  const root = await mkdtemp(path.join(LAB_DIR, `${flavour}-`));
  const { suite, packages } = RECIPES[flavour];
  try {
    await run(['debootstrap', '--variant=minbase', `--include=${packages.join(',')}`, suite, root, debianMirror()], {
      timeoutMs: 900_000,
    });
    log(`${flavour}: packages are in`);
    await writeFiles(root);
    await run(['chroot', root, 'systemctl', 'mask', ...MASKED]);
    await run(['chroot', root, 'systemctl', 'disable', ...DISABLED]);
    await rm(path.join(root, 'var/cache/apt/archives'), { recursive: true, force: true });
    await importTree(docker, root, image);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

async function writeFiles(root: string): Promise<void> {
  for (const [name, content] of Object.entries(FILES)) {
    const file = path.join(root, name);
    await mkdir(path.dirname(file), { recursive: true });
    // Debian has absolute links in some of these places: they must not lead out of the tree.
    await rm(file, { force: true });
    await writeFile(file, content);
    if (content.startsWith('#!')) await chmod(file, 0o755);
  }
}

/** The engine reads the tree as it is written: no copy of it on disk. A tree that could not be read whole makes no image. */
async function importTree(docker: Docker, root: string, image: string): Promise<void> {
  const tar = spawn('tar', ['-C', root, '-c', '.'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise<number | null>((resolve, reject) => {
    tar.on('error', reject);
    tar.on('close', resolve);
  });
  const [code] = await Promise.all([ended, docker(['import', '-', image], { stream: tar.stdout, timeoutMs: 600_000 })]);
  if (code === 0) return;
  await docker(['rmi', image], { check: false });
  throw new Error(`tar of the ${image} host image failed (exit ${code}); see its messages above`);
}

/** On a person's machine with an engine, without root: the same packages and files by way of a Dockerfile. */
async function dockerfile(docker: Docker, flavour: Flavour, image: string): Promise<void> {
  const { suite, packages } = RECIPES[flavour];
  const context = await mkdtemp('/tmp/fairlead-lab-');
  try {
    await writeFiles(path.join(context, 'files'));
    const lines = [
      `FROM debian:${suite}-slim`,
      `RUN apt-get update && apt-get install -y --no-install-recommends ${packages.join(' ')} && rm -rf /var/lib/apt/lists`,
      'COPY files/ /',
      `RUN systemctl mask ${MASKED.join(' ')} && systemctl disable ${DISABLED.join(' ')}`,
    ];
    await writeFile(path.join(context, 'Dockerfile'), `${lines.join('\n')}\n`);
    await docker(['build', '-t', image, context], { timeoutMs: 900_000 });
  } finally {
    await rm(context, { recursive: true, force: true });
  }
}

/** The mirror that this machine's own apt uses, so that the lab reaches what the machine reaches. */
export function debianMirror(): string {
  const dir = '/etc/apt/sources.list.d';
  const files = [
    '/etc/apt/sources.list',
    ...(existsSync(dir) ? readdirSync(dir).map((f) => path.join(dir, f)) : []),
  ].filter((f) => existsSync(f));
  const urls = files.flatMap((file) => {
    const text = readFileSync(file, 'utf8').replace(/^\s*#.*$/gm, '');
    return [...text.matchAll(/^(?:URIs:\s*|deb\s+(?:\[[^\]]*\]\s+)?)(\S+)/gm)].map((m) => m[1] ?? '');
  });
  const found = urls.find((u) => /\/debian\/?$/.test(u));
  if (found === undefined)
    throw new Error("this machine's apt names no Debian archive; add one to /etc/apt/sources.list");
  return found;
}
