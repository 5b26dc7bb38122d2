/**
 * Watches paths through inotify(7) on the directories that lead to them, since a rename puts a new inode in a path's
 * place. Every directory of the way is watched, so that one moved away or made again is noticed and followed.
 */
import fs from 'node:fs';
import path from 'node:path';
import type { InotifyQueue } from './inotify-queue.ts';
import { type Walk, walk } from './path-walk.ts';

export interface PathWatchOptions {
  /** '' for this machine, or a directory that stands for `/`. */
  root: string;
  /** Most directories watched; those nearest to `/` come first. */
  limit: number;
  /** Something happened to a path, or to the way that leads to it. */
  changed(path: string): void;
  /** Shared by all watches of this process. */
  queue: InotifyQueue;
  /** A name that is not worth a look, such as our own temporary files. */
  ignored(name: string): boolean;
}

export interface PathWatch {
  /** Replaces what is watched. Absolute paths of the host; `DIR/*` stands for any name in DIR. Answers those that are new. */
  watch(paths: readonly string[]): string[];
  /** Directories under watch, and those that the limit or the kernel left out. */
  count(): { watched: number; left: number };
  close(): void;
}

/** A directory that is really there, links resolved. */
interface Spot {
  watcher: fs.FSWatcher;
  dev: number;
  ino: number;
  /** Entries that ways lead through: name → the directories they lead to, as declared. */
  through: Map<string, Set<string>>;
  /** Directories, as declared, that end here. */
  ends: Set<string>;
}

interface Way extends Walk {
  /** The watcher of the directories on this path; null if none could be made. */
  spots: readonly (Spot | null)[];
}

const ANY = '*';

export function createPathWatch(options: PathWatchOptions): PathWatch {
  /** Directory as declared → name in it → path. */
  let wanted = new Map<string, Map<string, string>>();
  /** Directory as declared → how it was reached. */
  const ways = new Map<string, Way>();
  const spots = new Map<string, Spot>();
  const refused = new Set<string>();
  const stale = new Set<string>();
  let scheduled: NodeJS.Immediate | null = null;

  const onEvent = (at: string, spot: Spot, event: string, name: string | null) => {
    options.queue.count();
    if (spots.get(at) !== spot) return;
    if (name === null) {
      for (const dir of users(spot)) review(dir);
      return;
    }
    if (options.ignored(name)) return;
    for (const dir of spot.ends) {
      const names = wanted.get(dir);
      for (const hit of [names?.get(name), names?.get(ANY)]) if (hit !== undefined) options.changed(hit);
    }
    if (event !== 'rename') return;
    for (const dir of spot.through.get(name) ?? []) review(dir);
    // An event of the directory itself comes under its own name.
    if (name === path.basename(at)) for (const dir of users(spot)) review(dir);
  };

  /** Looks again at the way to a directory, once for all events of this turn. */
  const review = (dir: string) => {
    stale.add(dir);
    scheduled ??= setImmediate(() => {
      scheduled = null;
      const dirs = [...stale];
      stale.clear();
      for (const d of dirs)
        if (wanted.has(d) && lead(d)) for (const hit of wanted.get(d)?.values() ?? []) options.changed(hit);
    });
  };

  /** Watches every directory on the way. Answers whether it is another way, or other directories, than before. */
  const lead = (dir: string): boolean => {
    const before = ways.get(dir);
    for (const at of before ? placesOf(before) : []) if (spots.has(at) && !isSame(spots.get(at), at)) drop(at);
    let way = before;
    // A directory that was created between the walk and the watch would go unnoticed: walk again until no watch was new.
    for (let fresh = true, tries = 0; fresh && tries < 3; tries++) {
      const { hops, end } = walk(options.root, dir);
      const seen = placesOf({ hops, end }).map((at) => spots.get(at));
      const next: Way = { hops, end, spots: placesOf({ hops, end }).map(open) };
      fresh = next.spots.some((spot, i) => spot !== seen[i]);
      for (const { dir: at, name } of hops) {
        const through = spots.get(at)?.through;
        through?.set(name, (through.get(name) ?? new Set()).add(dir));
      }
      if (end !== null) spots.get(end)?.ends.add(dir);
      if (way) leave(dir, way, next);
      way = next;
    }
    if (way) ways.set(dir, way);
    return before === undefined || way === undefined || !sameWay(before, way);
  };

  const open = (at: string): Spot | null => {
    const known = spots.get(at);
    if (known) return known;
    if (spots.size >= options.limit) {
      refused.add(at);
      return null;
    }
    let watcher: fs.FSWatcher | undefined;
    try {
      watcher = fs.watch(at, { persistent: false });
      const { dev, ino } = fs.lstatSync(at);
      const spot: Spot = { watcher, dev, ino, through: new Map(), ends: new Set() };
      spots.set(at, spot);
      refused.delete(at);
      watcher.on('change', (event, name) => onEvent(at, spot, event, name === null ? null : String(name)));
      watcher.on('error', () => {
        for (const dir of users(spot)) review(dir);
        drop(at);
      });
      return spot;
    } catch (thrown) {
      watcher?.close();
      // It is gone again: the directory above reports its return.
      if (!['ENOENT', 'ENOTDIR'].includes(String((thrown as { code?: unknown }).code))) refused.add(at);
      return null;
    }
  };

  const drop = (at: string) => {
    const spot = spots.get(at);
    spots.delete(at);
    spot?.watcher.close();
    // Other paths through this directory have to be walked again.
    if (spot) for (const dir of users(spot)) review(dir);
  };

  /** Lets go of the spots of an old way that the new one does not need. */
  const leave = (dir: string, before: Way, now?: Way) => {
    for (const { dir: at, name } of before.hops) {
      if (now?.hops.some((h) => h.dir === at && h.name === name)) continue;
      const spot = spots.get(at);
      const dirs = spot?.through.get(name);
      dirs?.delete(dir);
      if (dirs?.size === 0) spot?.through.delete(name);
      tidy(at);
    }
    if (before.end !== null && before.end !== now?.end) {
      spots.get(before.end)?.ends.delete(dir);
      tidy(before.end);
    }
  };

  const tidy = (at: string) => {
    const spot = spots.get(at);
    refused.delete(at);
    if (spot === undefined || spot.ends.size > 0 || spot.through.size > 0) return;
    spots.delete(at);
    spot.watcher.close();
  };

  return {
    watch(paths) {
      const before = wanted;
      wanted = new Map();
      for (const p of paths) {
        const dir = path.dirname(p);
        const names = wanted.get(dir) ?? new Map<string, string>();
        wanted.set(dir, names.set(path.basename(p), p));
      }
      for (const dir of before.keys()) {
        const way = ways.get(dir);
        if (wanted.has(dir) || way === undefined) continue;
        ways.delete(dir);
        leave(dir, way);
      }
      // Room that has become free goes to who was left out.
      const again = refused.size > 0;
      refused.clear();
      for (const dir of [...wanted.keys()].sort((a, b) => a.length - b.length)) if (again || !ways.has(dir)) lead(dir);
      return paths.filter((p) => !before.get(path.dirname(p))?.has(path.basename(p)));
    },
    count: () => ({ watched: spots.size, left: refused.size }),
    close() {
      if (scheduled) clearImmediate(scheduled);
      for (const spot of spots.values()) spot.watcher.close();
      spots.clear();
      ways.clear();
      wanted = new Map();
    },
  };
}

const users = (spot: Spot): Set<string> =>
  new Set([...spot.ends, ...[...spot.through.values()].flatMap((d) => [...d])]);

/**
 * A link in the place of the directory is not the directory. A place that cannot be looked at (ELOOP, EACCES, EIO, ESTALE) has to be
 * walked again; an error must not leave from here, since nobody above the event loop catches it.
 */
function isSame(spot: Spot | undefined, at: string): boolean {
  try {
    const { dev, ino } = fs.lstatSync(at);
    return dev === spot?.dev && ino === spot.ino;
  } catch {
    return false;
  }
}

/** Every directory that an event about this way can come from. */
const placesOf = ({ hops, end }: Walk): string[] => [
  ...new Set([...hops.map((h) => h.dir), ...(end === null ? [] : [end])]),
];

const sameWay = (a: Way, b: Way): boolean =>
  a.end === b.end &&
  a.hops.length === b.hops.length &&
  a.hops.every((hop, i) => hop.dir === b.hops[i]?.dir && hop.name === b.hops[i]?.name) &&
  a.spots.every((spot, i) => spot === b.spots[i]);

/** Number of directories that this process may watch: half of the kernel's limit for a user (proc(5)), at most 16,384. */
export function watchBudget(): number {
  try {
    const granted = Number(fs.readFileSync('/proc/sys/fs/inotify/max_user_watches', 'utf8'));
    return Math.max(64, Math.min(16_384, Math.floor(granted / 2) || 0));
  } catch {
    return 4_096;
  }
}
