/**
 * Removes what lies in a directory that others may fill meanwhile: by the descriptor that is held all along, in slices,
 * with bounds in time and in what is open at once.
 */
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { codeOf, contended, ownPath } from '../paths/errors.ts';
import { idOf, isOwn, type OwnIds } from '../paths/own-ids.ts';
import { mountOf } from '../paths/walk.ts';
import { createTurns } from '../turns.ts';
import { namesIn, toStat } from './io.ts';
import type { FileStat } from './types.ts';

const { O_DIRECTORY, O_NOFOLLOW, O_RDONLY } = fs.constants;
/** Names that are read and removed before the directory is read again. */
const PASS = 2_000;
/** From then on a name that came after the beginning shows that others are filling the directory. */
const LIMIT_MS = 10_000;
/** Much may lie there that nobody adds to; but a run does not wait for ever. */
const LAST_MS = 120_000;
/** Maximum depth of open directories; deeper ones are moved up first. */
const DEPTH = 32;

/** Something in a directory that nobody declares. */
export interface Foreign {
  name: string;
  stat: FileStat;
  /** The directory's path by way of the open descriptor; invalid after the call. */
  at: string;
}

export interface EmptyOptions {
  /** The open directory. */
  dir: number;
  /** Its path, for messages. */
  directory: string;
  /** Names that stay. */
  keep: ReadonlySet<string>;
  /** Identities that must not be reached. */
  forbidden: OwnIds;
  /** Is called with each foreign file, link or directory before it is removed. */
  before?(foreign: Foreign): Promise<void>;
}

/** @returns whether a file, link or directory of this stat shows that there is no end to it */
type GivesUp = (stat: fs.Stats) => boolean;

function createPatience(): GivesUp {
  const began = Date.now();
  const beganAt = performance.now();
  return (stat) => {
    const tookMs = performance.now() - beganAt;
    // We move directories ourselves.
    return tookMs > LAST_MS || (tookMs > LIMIT_MS && !stat.isDirectory() && stat.ctimeMs > began);
  };
}

/** @returns false if others go on filling it */
export async function emptyDirectory(options: EmptyOptions): Promise<boolean> {
  const { dir, keep, before } = options;
  const self = `/proc/self/fd/${dir}`;
  const givesUp = createPatience();
  const turn = createTurns();
  for (;;) {
    const names = namesIn(self, PASS, keep);
    if (names.length === 0) return true;
    for (const name of names) {
      const at = `${self}/${name}`;
      const stat = fs.lstatSync(at, { throwIfNoEntry: false });
      if (stat === undefined) continue;
      if (givesUp(stat)) {
        fs.fsyncSync(dir);
        return false;
      }
      if (isOwn(options.forbidden, idOf(fs.fstatSync(dir)), name, stat)) throw ownPath(`${options.directory}/${name}`);
      await before?.({ name, at, stat: toStat(stat) });
      if (stat.isDirectory()) await removeTreeAt({ dir, name, directory: `${options.directory}/${name}` }, givesUp);
      else unlink(at);
      await turn();
    }
    fs.fsyncSync(dir);
  }
}

/**
 * Removes a directory with all in it, however deep it is, on its own mount.
 * @throws AgentError `Contended` where others go on filling it, Error `EXDEV` where something is mounted in it
 */
export async function removeTreeAt(
  { dir, name, directory }: { dir: number; name: string; directory: string },
  givesUp = createPatience(),
): Promise<void> {
  const turn = createTurns();
  const top = `/proc/self/fd/${dir}`;
  const mount = mountOf(dir, fs.fstatSync(dir));
  /** Moved up, since it lay too deep: to be removed as well. */
  const waiting = [name];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) await removeOne(dir, next, 0);

  async function removeOne(parent: number, child: string, depth: number): Promise<void> {
    const at = `/proc/self/fd/${parent}/${child}`;
    if (depth >= DEPTH) {
      const moved = `.fairlead-gone.${randomBytes(6).toString('hex')}`;
      fs.renameSync(at, path.join(top, moved));
      waiting.push(moved);
      return;
    }
    const fd = fs.openSync(at, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    try {
      if (mountOf(fd, fs.fstatSync(fd)) !== mount) throw Object.assign(new Error('a mount'), { code: 'EXDEV' });
      const self = `/proc/self/fd/${fd}`;
      do {
        for (const inner of namesIn(self, PASS)) {
          const stat = fs.lstatSync(`${self}/${inner}`, { throwIfNoEntry: false });
          if (stat && givesUp(stat)) throw contended(directory);
          if (stat?.isDirectory()) await removeOne(fd, inner, depth + 1);
          else if (stat) unlink(`${self}/${inner}`);
          await turn();
        }
      } while (!isRemoved(at));
    } finally {
      fs.closeSync(fd);
    }
  }
}

/** False where something is in the directory, by now or again. */
function isRemoved(at: string): boolean {
  try {
    fs.rmdirSync(at);
    return true;
  } catch (thrown) {
    if (['ENOTEMPTY', 'EEXIST'].includes(codeOf(thrown))) return false;
    throw thrown;
  }
}

function unlink(at: string): void {
  try {
    fs.unlinkSync(at);
  } catch (thrown) {
    // Somebody else was faster; or has put a directory there, which the next pass finds.
    if (!['ENOENT', 'EISDIR'].includes(codeOf(thrown))) throw thrown;
  }
}
