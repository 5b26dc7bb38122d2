/** The copy of the inventory beside the database: a write that failed must not end all later ones. */
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createCopyWriter } from '../../agent/store/inventory/inventory-copy.ts';
import { inMemory } from '../scratch.ts';

let dir: string;
beforeEach(() => {
  dir = inMemory('inventory-copy');
});
afterEach(() => rmSync(dir, { recursive: true }));

test('a write whose temporary file can neither be written nor removed does not end later ones', async () => {
  const file = path.join(dir, 'inventory.json');
  const temporary = `${file}.new`;
  const copy = createCopyWriter(file, () => ({ run: 7, rows: [] }));
  // As on a disk that becomes read only between the two.
  mkdirSync(temporary);
  copy.begin();
  await expect(copy.written()).rejects.toThrow('EISDIR');
  rmSync(temporary, { recursive: true });
  copy.begin();
  await copy.written();
  expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ run: 7 });
});
