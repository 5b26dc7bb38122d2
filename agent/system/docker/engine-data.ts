/**
 * Makes durable what the engine unpacked. No engine does so by itself: it syncs its own books of an image, and not the files of
 * the image, which for half a minute lie in the kernel's memory alone. After a power cut it then calls an image present whose files
 * are empty.
 */
import { statSync } from 'node:fs';
import type { Exec } from '../exec.ts';
import type { Docker, EngineInfo } from './types.ts';

/** Time that a slow disk may take to write all that was unpacked. */
const SYNC_TIMEOUT_MS = 600_000;
/** Exit code of `Exec` where there is no such program. */
const NO_PROGRAM = 127;
/** Directory of containerd's images, for an engine that stores them there. */
const CONTAINERD = '/var/lib/containerd';

export interface EngineDataOptions {
  docker: Pick<Docker, 'info'>;
  /** Runs programs of the host, which know its paths. */
  exec: Exec;
  /** Path of the host's `/` for this process; '' if it is the same. */
  root: string;
}

/**
 * Resolves when everything that the engine has written is on the disk: syncfs(2), which Node does not have, by way of
 * sync(1). Does nothing if the engine's data is not on this host, or if the host has no `sync`. Throws the error of sync(1)
 * if the disk refuses.
 */
export async function syncEngineData({ docker, exec, root }: EngineDataOptions, signal: AbortSignal): Promise<void> {
  const places = fileSystemsOf(placesOf(await docker.info()), root);
  if (places.length === 0) return;
  const { code, stderr } = await exec(['sync', '-f', ...places], { timeoutMs: SYNC_TIMEOUT_MS, signal });
  if (code === 0 || code === NO_PROGRAM) return;
  throw new Error(`sync -f ${places.join(' ')}: ${stderr.trim() || `exit code ${code}`}`);
}

function placesOf({ DockerRootDir: dir = '', Driver = '', DriverStatus }: EngineInfo): string[] {
  if (!dir.startsWith('/')) return [];
  const isContainerds = DriverStatus?.some((row) => row.some((word) => word.startsWith('io.containerd.')));
  return [dir, `${dir}/${Driver}`, ...(isContainerds ? [CONTAINERD] : [])];
}

/** One path on each file system; missing paths are left out. */
function fileSystemsOf(places: readonly string[], root: string): string[] {
  const byDevice = new Map<number, string>();
  for (const place of places) {
    const device = statSync(root + place, { throwIfNoEntry: false })?.dev;
    if (device !== undefined && !byDevice.has(device)) byDevice.set(device, place);
  }
  return [...byDevice.values()];
}
