/** The host images: built once from Debian's packages, stored by the Docker engine, and built again when the recipe changes. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { Docker } from './engine.ts';
import { bootstrapImage, buildImage, NEWER_SCRIPT } from './image-build.ts';
import { withLock } from './lock.ts';
import { DISABLED, FILES, type Flavour, MASKED, RECIPES } from './recipe.ts';

const REPOSITORY = 'fairlead-lab';
/** Images of other recipes stay for this long after their last use: another checkout may use them. */
const KEPT_MS = 24 * 3_600_000;

function hashOf(flavour: Flavour): string {
  const recipe = RECIPES[flavour];
  const parts = [recipe, FILES, MASKED, DISABLED, ...(recipe.newer ? [NEWER_SCRIPT] : [])];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 12);
}
const nameOf = (flavour: Flavour) => `${REPOSITORY}:${flavour}-${hashOf(flavour)}`;

/** @returns the image's name; builds it if it does not exist yet, which takes minutes and is reported by `log` */
export async function ensureImage(docker: Docker, flavour: Flavour, log: (line: string) => void): Promise<string> {
  const image = nameOf(flavour);
  // Tagging it again marks it as used just now (`Metadata.LastTagTime`), and shows whether it exists.
  const isThere = async () => (await docker(['tag', image, image], { check: false })).code === 0;
  if (await isThere()) return image;
  log(`building the ${flavour} host image; this is done once and takes two to ten minutes`);
  await withLock(path.join(os.tmpdir(), `fairlead-lab-${process.getuid?.() ?? 0}-${flavour}.lock`), async () => {
    // Another process may have built it while this one waited.
    if (await isThere()) return;
    const began = Date.now();
    const build = process.getuid?.() === 0 && existsSync('/usr/sbin/debootstrap') ? bootstrapImage : buildImage;
    await build({
      docker,
      image,
      flavour,
      recipe: RECIPES[flavour],
      log: (line) => log(`${flavour}, ${Math.round((Date.now() - began) / 1_000)} s: ${line}`),
    });
    await removeUnused(docker, flavour, image);
  });
  return image;
}

/**
 * Removes the flavour's images of other recipes that were not used for a day. The Docker engine keeps those that a host runs on.
 */
async function removeUnused(docker: Docker, flavour: Flavour, image: string): Promise<void> {
  const { stdout } = await docker(['images', REPOSITORY, '--format', '{{.Repository}}:{{.Tag}}']);
  const others = stdout.split('\n').filter((name) => name.startsWith(`${REPOSITORY}:${flavour}-`) && name !== image);
  for (const other of others) {
    const used = await docker(['image', 'inspect', '-f', '{{json .Metadata.LastTagTime}}', other], { check: false });
    if (used.code === 0 && Date.now() - Date.parse(JSON.parse(used.stdout) as string) > KEPT_MS)
      await docker(['rmi', other], { check: false });
  }
}
