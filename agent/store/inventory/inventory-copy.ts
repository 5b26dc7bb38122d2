/**
 * A copy of the inventory beside the database, from which ownership is restored if the database is lost. The store writes it:
 * during the work if an intent adds ownership that the copy does not have, and after each run that changed something.
 */
import { renameSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { claimsOf } from '../../core/plan/plan.ts';
import { replaceFile, syncDirectory, writeDurable } from '../disk/durable-file.ts';
import { readStateFile } from '../disk/state-file.ts';
import { isUnwritable } from '../disk/unwritable.ts';
import type { Runs } from '../history/runs.ts';
import type { Intent, Inventory, InventoryRow, InventoryRows } from './inventory.ts';

export interface InventoryCopy {
  /** The newest run in the database at that time. */
  run: number;
  rows: readonly InventoryRow[];
}

/** Without rows if there is no copy, or a damaged one. Throws `StateUnwritable` if the disk does not give it. */
export function readCopy(file: string): InventoryCopy {
  const none: InventoryCopy = { run: 0, rows: [] };
  try {
    const text = readStateFile(file);
    if (text === null) return none;
    const copy = JSON.parse(text) as InventoryCopy | InventoryRow[];
    // Earlier versions wrote only the rows.
    if (Array.isArray(copy)) return { ...none, rows: copy };
    return Array.isArray(copy.rows) ? copy : none;
  } catch (thrown) {
    if (isUnwritable(thrown)) throw thrown;
    return none;
  }
}

export interface CopyWriter {
  /** Writes the copy, atomically and durably. If the disk refuses, `trouble` reports it until a later write succeeds. */
  save(): void;
  /** Starts to write the current inventory beside other work. A later call replaces an earlier one. */
  begin(): void;
  /** Resolves when the last started write has ended, or the disk refused it, which `trouble` reports. */
  written(): Promise<void>;
  /** Why the last write failed; null if it succeeded. */
  trouble(): unknown;
  /** Abandons a write in progress. */
  stop(): void;
}

/** @param current returns the content to write */
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
      // Synchronous, so that no other write comes in between.
      renameSync(temp, file);
      await syncDirectory(path.dirname(file));
      if (number === newest) trouble = null;
    } catch (thrown) {
      if (number === newest) failed(thrown);
    } finally {
      // Where the disk refuses that as well, the next write replaces it.
      await rm(temp, { force: true }).catch(() => undefined);
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
      const write = () => writeBeside(number, text);
      // One that failed must not end all later ones.
      writing = writing.then(write, write);
      // Callers of `written` receive the error.
      writing.catch(() => undefined);
    },
    written: () => writing,
    trouble: () => trouble,
    stop: () => void newest++,
  };
}

/** Wraps the inventory and the runs so that their writes update the copy. */
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
        // Changes that the copy has already need not be written before the run has ended.
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

/** Whether the intent adds ownership, or a claim, that the inventory did not have. */
const isNews = (row: Intent, before: InventoryRow | undefined): boolean =>
  before === undefined ||
  (row.owned && !before.owned) ||
  claimsOf(row).some((claim) => !claimsOf(before).includes(claim));
