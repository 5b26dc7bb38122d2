/** The inventory as it lies beside the database: from it, ownership is known again should the database be lost. */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import type { InventoryRow } from './inventory.ts';
import { writeDurable } from './write-durable.ts';

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
  /** Atomic and durable. */
  save(): void;
  /** The same while other work goes on; gives way to one that was begun later. */
  saveBeside(): Promise<void>;
}

/** @param current what is to be written now */
export function createCopyWriter(file: string, current: () => InventoryCopy): CopyWriter {
  let newest = 0;
  let writing: Promise<void> = Promise.resolve();
  const writeBeside = async (number: number, text: string) => {
    const temp = `${file}.new`;
    if (number !== newest) return;
    try {
      await writeDurable(temp, text);
      // At once: no other may come in between.
      if (number === newest) renameSync(temp, file);
    } finally {
      await rm(temp, { force: true });
    }
  };
  return {
    save() {
      newest++;
      const fd = openSync(`${file}.tmp`, 'w', 0o600);
      try {
        writeFileSync(fd, JSON.stringify(current()));
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
      renameSync(`${file}.tmp`, file);
    },
    saveBeside() {
      const number = ++newest;
      const text = JSON.stringify(current());
      writing = writing.catch(() => undefined).then(() => writeBeside(number, text));
      return writing;
    },
  };
}
