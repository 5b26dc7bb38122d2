import { expect, test } from 'vitest';
import { type PackFile, planCompaction } from '../../../agent/git/store/compact.ts';

const KIB = 1024;
const pack = (name: string, kib: number, isIndexed = true): PackFile => ({ name, bytes: kib * KIB, isIndexed });
const small = (n: number) => Array.from({ length: n }, (_, i) => pack(`s${i}`, 1));

test.each<[string, readonly PackFile[], string | null | 'nothing']>([
  ['without packs', [], 'nothing'],
  ['a few small ones', small(12), 'nothing'],
  ['many small ones beside a larger one', [pack('large', 50), ...small(12)], 'large'],
  ['many small ones, as large together', [pack('large', 11), ...small(12)], null],
  ['the largest has no index', [pack('large', 50, false), ...small(12)], null],
  ['larger ones', [pack('large', 5_000), ...small(30)], 'nothing'],
  ['many larger ones', [pack('large', 5_000), ...small(40)], 'large'],
  ['much beside the largest', [pack('large', 9_000), pack('other', 4_097)], null],
])('%s', (_, packs, stays) => {
  const plan = planCompaction(packs);
  expect(plan === null ? 'nothing' : (plan.stays?.name ?? null)).toBe(stays);
});
