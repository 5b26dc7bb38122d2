/**
 * Directories that containers can write. Root of a container is uid 0 on the host as well, unless the Docker engine remaps
 * users, so "root owns it" does not prove there that the host's root made it: below such a directory the path walk follows
 * no link and crosses no mount (see walk.ts).
 */
import fs from 'node:fs';
import path from 'node:path';
import { idOf } from './own-ids.ts';
import { createIsRemote } from './remote-mounts.ts';
import type { Exposed } from './walk.ts';

export interface Exposures {
  /** Adds host paths for good: a link that a container made stays when the container goes. Durable when it returns, if it can be. */
  add(paths: Iterable<string>): void;
  /** Computed at each call, because mounts may be created or replaced at any time. */
  current(): Exposed;
}

export interface ExposuresOptions {
  /** '' for the machine itself, or a directory that stands for `/`. */
  root: string;
  /** Directories that are always exposed, on the host. */
  always: readonly string[];
  /** Directory in which the paths are recorded, below `root`; missing if nothing has to outlive this process. */
  file?: string;
  /** Paths that are not checked, because that may block. */
  isRemote?(file: string): boolean;
}

/** Time for which identities of existing directories are cached. Only the host's root can replace a mounted directory. */
const IDS_MS = 1_000;
/** More are not worth remembering: the oldest gives way. */
const MAX = 4_096;
const MAX_LINKS = 20;
/**
 * A process that may write one of these is root on the host with or without links, so refusing them gains nothing; the
 * system's own links lie there (`/var/run`, `/usr/lib64`).
 */
const SYSTEM: readonly string[] = [
  ...['/', '/etc', '/usr', '/var', '/var/lib', '/var/lib/docker', '/run', '/var/run', '/boot', '/root'],
  ...['/dev', '/proc', '/sys', '/bin', '/sbin', '/lib', '/lib64'],
];

export function createExposures({
  root,
  always,
  file,
  isRemote = root === '' ? createIsRemote() : () => false,
}: ExposuresOptions): Exposures {
  const record = file === undefined ? null : root + file;
  const recorded = new Set(record === null ? [] : readRecord(record));
  const all = new Set([...always, ...recorded]);
  let ids: { at: number; found: Set<string>; missing: string[] } | null = null;

  const covers = (at: string): boolean => {
    for (let one = at; one !== '/'; one = path.dirname(one)) if (all.has(one)) return true;
    return false;
  };
  const forget = (one: string) => {
    recorded.delete(one);
    all.delete(one);
  };

  /** Current targets of the links on a path. A path without links stands for itself. */
  const endOf = (one: string): string => {
    const rest = one.split('/').filter(Boolean);
    let at = '';
    let links = 0;
    for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
      if (name === '.') continue;
      const next = name === '..' ? path.dirname(at || '/') : `${at}/${name}`;
      const target = name === '..' || isRemote(next) ? null : linkAt(root + next);
      if (target === null || ++links > MAX_LINKS) at = next === '/' ? '' : next;
      else {
        rest.unshift(...target.split('/').filter(Boolean));
        if (target.startsWith('/')) at = '';
      }
    }
    return at || '/';
  };

  return {
    add(paths) {
      let changed = false;
      // A link that no container could make is the host's, and may be below another exposed directory later on.
      const ends = (one: string) => (covers(one) ? [one] : [one, endOf(one)]);
      for (const one of [...paths].map(normalised).flatMap(ends)) {
        if (SYSTEM.includes(one) || covers(one)) continue;
        // Paths below it are covered by it, and may be links meanwhile.
        for (const inner of [...recorded]) if (inner.startsWith(`${one}/`)) forget(inner);
        all.add(one);
        recorded.add(one);
        const [oldest] = recorded;
        if (recorded.size > MAX && oldest !== undefined) forget(oldest);
        changed = true;
      }
      if (!changed) return;
      ids = null;
      if (record !== null) writeRecord(record, [...recorded]);
    },
    current() {
      const now = performance.now();
      if (ids === null || now - ids.at > IDS_MS) ids = { at: now, found: new Set(), missing: [...all] };
      const { found } = ids;
      ids.missing = ids.missing.filter((one) => {
        if (isRemote(one)) return false;
        const stat = statOf(root + one);
        if (stat?.isDirectory()) found.add(idOf(stat));
        return stat === undefined;
      });
      return { has: (id, at) => found.has(id) || all.has(at) };
    },
  };
}

/** @returns where a link leads; null if there is none */
function linkAt(file: string): string | null {
  try {
    return fs.readlinkSync(file);
  } catch {
    return null;
  }
}

const normalised = (file: string): string => path.posix.resolve('/', file);

function statOf(file: string): fs.Stats | undefined {
  try {
    return fs.statSync(file, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

function readRecord(file: string): string[] {
  try {
    const found: unknown = JSON.parse(fs.readFileSync(file, 'utf8'));
    return Array.isArray(found) ? found.filter((one) => typeof one === 'string') : [];
  } catch {
    return [];
  }
}

/** A full disk keeps nobody from working: the record is written again with the next path. */
function writeRecord(file: string, paths: readonly string[]): void {
  const temp = `${file}.new`;
  try {
    fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
    const fd = fs.openSync(temp, 'w', 0o600);
    try {
      fs.writeFileSync(fd, JSON.stringify(paths));
      fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
    fs.renameSync(temp, file);
    const parent = fs.openSync(path.dirname(file), 'r');
    try {
      fs.fsyncSync(parent);
    } finally {
      fs.closeSync(parent);
    }
  } catch {
    fs.rmSync(temp, { force: true });
  }
}
