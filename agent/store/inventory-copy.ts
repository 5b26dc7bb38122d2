/**
 * The inventory as it lies beside the database: from it, ownership is known again should the database be lost. Written by
 * the store itself: beside the work when an intent brings ownership that the copy does not have, and after each run that
 * did something.
 */
import { readFileSync, renameSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { claimsOf } from '../core/plan.ts';
import { replaceFile, syncDirectory, writeDurable } from './durable-file.ts';
import type { Intent, Inventory, InventoryRow, InventoryRows } from './inventory.ts';
import type { Runs } from './runs.ts';
import { isUnwritable } from './unwritable.ts';

export interface InventoryCopy {
  /** The newest run that the database knew by then. */
  run: number;
  rows: readonly InventoryRow[];
}

/** Without rows where there is no readable copy. */
export function readCopy(file: string): InventoryCopy {
  const none: InventoryCopy = { run: 0, rows: [] };
  try {
    const copy = JSON.parse(readFileSync(file, 'utf8')) as InventoryCopy | InventoryRow[];
    // Versions of before wrote the rows alone.
    if (Array.isArray(copy)) return { ...none, rows: copy };
    return Array.isArray(copy.rows) ? copy : none;
  } catch {
    return none;
  }
}

export interface CopyWriter {
  /** Writes it, atomically and durably. Where the disk takes nothing, `trouble` says so until a later one came off. */
  save(): void;
  /** Begins the same beside other work; gives way to one that is begun later. What is to be written is taken now. */
  begin(): void;
  /** Resolves when the last one that was begun is written, or could not be for want of room. */
  written(): Promise<void>;
  /** Why the last one could not be written; null when it was. */
  trouble(): unknown;
  /** What is under way comes to nothing. */
  stop(): void;
}

/** @param current what is to be written now */
export function createCopyWriter(file: string, current: () => InventoryCopy): CopyWriter {
  let newest = 0;
  let writing: Promise<void> = Promise.resolve();
  let trouble: unknown = null;
  const failed = (thrown: unknown) => {
    if (!isUnwritable(thrown)) throw thrown;
    trouble = thrown;
  };
  const writeBeside = async (number: number, text: string) => {
    const temp = `${file}.new`;
    if (number !== newest) return;
    try {
      await writeDurable(temp, text);
      if (number !== newest) return;
      // At once: no other may come in between.
      renameSync(temp, file);
      await syncDirectory(path.dirname(file));
      if (number === newest) trouble = null;
    } catch (thrown) {
      if (number === newest) failed(thrown);
    } finally {
      await rm(temp, { force: true });
    }
  };
  return {
    save() {
      newest++;
      try {
        replaceFile(file, JSON.stringify(current()));
        trouble = null;
      } catch (thrown) {
        failed(thrown);
      }
    },
    begin() {
      const number = ++newest;
      const text = JSON.stringify(current());
      writing = writing.then(() => writeBeside(number, text));
      // Whoever waits for it is told.
      writing.catch(() => undefined);
    },
    written: () => writing,
    trouble: () => trouble,
    stop: () => void newest++,
  };
}

/** The same parts of the store, whose writes keep the copy up to date. */
export function withCopy(
  { inventory, runs }: { inventory: InventoryRows; runs: Runs },
  copy: CopyWriter,
): { inventory: Inventory; runs: Runs } {
  return {
    inventory: {
      ...inventory,
      intend(rows, notifies) {
        const before = inventory.index();
        inventory.intend(rows, notifies);
        // What the copy has already need not be written before the run has ended.
        if (rows.some((row) => isNews(row, before.get(row.id)))) copy.begin();
      },
      copied: copy.written,
    },
    runs: {
      ...runs,
      finish(run, actions, events, facts) {
        runs.finish(run, actions, events, facts);
        if (actions.length > 0 || copy.trouble() !== null) copy.save();
      },
    },
  };
}

/** Ownership, or something held, of which the inventory did not know. */
const isNews = (row: Intent, before: InventoryRow | undefined): boolean =>
  before === undefined ||
  (row.owned && !before.owned) ||
  claimsOf(row).some((claim) => !claimsOf(before).includes(claim));
