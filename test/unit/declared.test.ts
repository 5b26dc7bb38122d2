/** Which commit wrote which declaration, as the store records it. */
import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeEach, expect, test } from 'vitest';
import type { CommitInfo, ResourceId } from '../../agent/core/types.ts';
import { silentLog } from '../../agent/log.ts';
import { openStore, type Store } from '../../agent/store/db.ts';
import { inMemory } from '../scratch.ts';

const dir = inMemory('declared');
let store: Store;
let n = 0;
beforeEach(() => {
  store?.close();
  store = openStore({ dir: path.join(dir, String(++n)), now: () => new Date(0), log: silentLog });
});
afterAll(() => {
  store.close();
  fs.rmSync(dir, { recursive: true, force: true });
});

const A: ResourceId = 'file:/a';
const B: ResourceId = 'file:/b';
const by = (author: string) => ({
  commit: { ref: 'main', commit: author, author, subject: 's', committedAt: 't' } satisfies CommitInfo,
  oneOf: 1,
});
const accept = (author: string, hashes: Partial<Record<ResourceId, string>>, isBack = false) =>
  store.declared.note(
    Object.entries(hashes).map(([id, hash]) => ({ id: id as ResourceId, hash: hash ?? '' })),
    by(author),
    { isBack },
  );
const writer = (id: ResourceId, hash: string) => store.declared.writerOf(id, hash)?.commit.author;

test('a commit that does not change a declaration is not its author', () => {
  accept('nora', { [A]: '1', [B]: '1' });
  accept('ben', { [A]: '1', [B]: '2' });
  expect([writer(A, '1'), writer(B, '2')]).toEqual(['nora', 'ben']);
});

test('a commit that restores an earlier declaration is its author', () => {
  accept('nora', { [A]: '1' });
  accept('ben', { [A]: '2' });
  accept('ida', { [A]: '1' });
  expect(writer(A, '1')).toBe('ida');
});

test('a rollback finds the author at the earlier commit, and the way forward the current one', () => {
  accept('nora', { [A]: '1' });
  accept('ben', { [A]: '2' });
  accept('pin', { [A]: '1' }, true);
  expect(writer(A, '1')).toBe('nora');
  accept('later', { [A]: '2' });
  expect(writer(A, '2')).toBe('ben');
});

test('a declaration that was removed is forgotten', () => {
  accept('nora', { [A]: '1', [B]: '1' });
  accept('ben', { [B]: '1' });
  expect(writer(A, '1')).toBeUndefined();
});
