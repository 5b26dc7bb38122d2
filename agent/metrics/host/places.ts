/** Usage of the file systems that a host depends on. A mount whose server is gone does not block the others. */
import { readFileSync } from 'node:fs';
import { stat, statfs } from 'node:fs/promises';
import type { MetricsDocument } from '../../../manifests-schema/payloads.ts';
import { endsWithin } from '../../system/clock.ts';

type Disk = MetricsDocument['disks'][number];

export interface Places {
  /**
   * One entry for each file system, named by the first of the given places on it. A file system that does not answer is left
   * out.
   */
  measure(): Promise<Disk[]>;
}

/** Time that a file system has to answer. */
export const ANSWER_MS = 2_000;

/** @param how replaces the questions to the kernel, and the time that an answer may take, in tests */
export function createPlaces(
  places: readonly string[],
  how: { look?: (place: string) => Promise<Found>; answerMs?: number } = {},
): Places {
  const { look = lookAt, answerMs = ANSWER_MS } = how;
  /** A question that was not answered yet occupies one of Node's four threads: it is not put a second time. */
  const asked = new Set<string>();

  async function ask(place: string): Promise<Found | null> {
    if (asked.has(place)) return null;
    asked.add(place);
    let found: Found | null = null;
    const answer = look(place)
      .then((one) => {
        found = one;
      })
      .catch(() => undefined)
      .finally(() => asked.delete(place));
    await endsWithin(answerMs, answer);
    return found;
  }

  return {
    async measure() {
      const seen = new Set<number>();
      const disks: Disk[] = [];
      for (const found of await Promise.all(places.map(ask))) {
        if (found === null || seen.has(found.device)) continue;
        seen.add(found.device);
        disks.push(found.disk);
      }
      return disks;
    },
  };
}

export interface Found {
  /** The same for all places on one file system. */
  device: number;
  disk: Disk;
}

async function lookAt(place: string): Promise<Found> {
  const [{ dev }, { blocks, bavail, bsize, files, ffree }] = await Promise.all([stat(place), statfs(place)]);
  return {
    device: dev,
    disk: {
      path: place,
      totalBytes: blocks * bsize,
      availableBytes: bavail * bsize,
      // Some file systems, such as btrfs, count no inodes.
      inodes: files > 0 ? files : null,
      inodesFree: files > 0 ? ffree : null,
    },
  };
}

const DAEMON_JSON = '/etc/docker/daemon.json';

/** Data directory of the Docker engine, from its configuration file. */
export function dockerRoot(file = DAEMON_JSON): string {
  try {
    const { 'data-root': root } = JSON.parse(readFileSync(file, 'utf8')) as { 'data-root'?: unknown };
    if (typeof root === 'string' && root.startsWith('/')) return root;
  } catch {
    // No such file, or one that the engine refuses as well.
  }
  return '/var/lib/docker';
}
