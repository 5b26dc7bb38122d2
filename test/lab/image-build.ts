/** Builds a host image: a root file system from Debian's packages, by debootstrap(8) as root or by a Dockerfile. */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type Docker, LAB_DIR, unmountBelow } from './engine.ts';
import { DISABLED, FILES, type Flavour, MASKED, type Recipe } from './recipe.ts';
import { run } from './run.ts';

export interface ImageBuild {
  docker: Docker;
  /** The name that the image gets. */
  image: string;
  flavour: Flavour;
  recipe: Recipe;
  log: (line: string) => void;
}

const BUILD_MS = 1_800_000;
/** A build prints hundreds of lines; a person sees one of them in this time. */
const PROGRESS_MS = 5_000;

/**
 * Run in the host's own root, as `sh -c SCRIPT sh MIRROR SUITE PACKAGE…`. apt-get(8) fetches packages of a later release,
 * verified with the keys of Debian's archive like any other, into a directory of its own; only their programs are unpacked. The
 * data of systemd and dpkg about the host's own release stays. The index of a release in development is valid for a week; a
 * mirror may be older, which is not checked: nothing here must be the newest.
 */
export const NEWER_SCRIPT = `set -e
mirror=$1 suite=$2; shift 2
dir=$(mktemp -d); chmod 755 "$dir"; mkdir -p "$dir/lists/partial" "$dir/archives/partial"
keys=$(ls /usr/share/keyrings/debian-archive-keyring.* | head -n 1)
echo "deb [signed-by=$keys] $mirror $suite main" > "$dir/sources.list"
apt() {
  apt-get -q -o Dir::Etc::SourceList="$dir/sources.list" -o Dir::Etc::SourceParts=- -o Dir::State::Lists="$dir/lists" \\
    -o Dir::Cache="$dir" -o Acquire::Check-Valid-Until=false -o APT::Sandbox::User=root "$@"
}
apt update
cd "$dir" && apt download "$@"
for package in ./*.deb; do
  dpkg-deb --fsys-tarfile "$package" | tar -x -C / --keep-directory-symlink --exclude='./usr/lib/systemd' --exclude='./usr/share/doc' ./usr
done
cd / && rm -r "$dir"
`;

/** As root, with debootstrap. */
export async function bootstrapImage({ docker, image, flavour, recipe, log }: ImageBuild): Promise<void> {
  await mkdir(LAB_DIR, { recursive: true });
  // Directories of killed builds; only one build of a flavour runs at a time.
  for (const left of readdirSync(LAB_DIR).filter((name) => name.startsWith(`${flavour}-`)))
    await removeRoot(path.join(LAB_DIR, left));
  const root = await mkdtemp(path.join(LAB_DIR, `${flavour}-`));
  const { suite, packages, newer } = recipe;
  const onLine = progressOf(log);
  try {
    log(`fetching and unpacking ${packages.length} packages of Debian ${suite} and what they need`);
    await run(['debootstrap', '--variant=minbase', `--include=${packages.join(',')}`, suite, root, debianMirror()], {
      timeoutMs: BUILD_MS,
      onLine,
    });
    if (newer) {
      log(`fetching ${newer.packages.join(', ')} of Debian ${newer.suite}`);
      const argv = ['/bin/sh', '-c', NEWER_SCRIPT, 'sh', debianMirror(), newer.suite, ...newer.packages];
      await run(['chroot', root, ...argv], { timeoutMs: BUILD_MS, onLine });
    }
    await writeFiles(root);
    await run(['chroot', root, 'systemctl', 'mask', ...MASKED]);
    await run(['chroot', root, 'systemctl', 'disable', ...DISABLED]);
    await rm(path.join(root, 'var/cache/apt/archives'), { recursive: true, force: true });
    log('giving it to the Docker engine');
    await importTree(docker, root, image);
    log('done');
  } finally {
    await removeRoot(root);
  }
}

/** debootstrap mounts /proc and /sys in a root while it works there. */
async function removeRoot(root: string): Promise<void> {
  await unmountBelow(root);
  await rm(root, { recursive: true, force: true });
}

/** On a person's machine with a Docker engine, without root: the same packages and files through a Dockerfile. */
export async function buildImage({ docker, image, recipe, log }: ImageBuild): Promise<void> {
  const { suite, packages, newer } = recipe;
  const context = await mkdtemp('/tmp/fairlead-lab-');
  try {
    await writeFiles(path.join(context, 'files'));
    await writeFile(path.join(context, 'newer'), NEWER_SCRIPT);
    // The image's own mirror, whatever this machine's apt uses.
    const mirror = "$(grep -rhoE 'https?://[^ ]+/debian/?' /etc/apt/sources.list* | head -n 1)";
    const lines = [
      `FROM debian:${suite}-slim`,
      `RUN apt-get update && apt-get install -y --no-install-recommends ${packages.join(' ')} && rm -rf /var/lib/apt/lists`,
      ...(newer
        ? ['COPY newer /tmp/newer', `RUN sh /tmp/newer "${mirror}" ${newer.suite} ${newer.packages.join(' ')}`]
        : []),
      'COPY files/ /',
      `RUN systemctl mask ${MASKED.join(' ')} && systemctl disable ${DISABLED.join(' ')}`,
    ];
    await writeFile(path.join(context, 'Dockerfile'), `${lines.join('\n')}\n`);
    await docker(['build', '-t', image, context], { timeoutMs: BUILD_MS, onLine: progressOf(log) });
  } finally {
    await rm(context, { recursive: true, force: true });
  }
}

/** Passes on some lines of a program that prints many, so that a person sees its progress. */
function progressOf(log: (line: string) => void): (line: string) => void {
  let last = Date.now();
  return (line) => {
    if (line.trim() === '' || Date.now() - last < PROGRESS_MS) return;
    last = Date.now();
    log(line.replace(/^I: /, '').trim());
  };
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

/** The Docker engine reads the tree while it is written: there is no copy of it on disk. An incomplete tree makes no image. */
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

/** The mirror of this machine's own apt, so that the lab can reach it. */
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
