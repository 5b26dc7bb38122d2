import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createRecent } from '../../../agent/git/store/recent.ts';

const object = (size: number) => ({ type: 'tree' as const, bytes: new Uint8Array(size).fill(size) });

test('for any writes and reads, the cache keeps the most recently used objects and never exceeds its limit', () => {
  const step = fc.record({ ask: fc.boolean(), oid: fc.constantFrom('a', 'b', 'c', 'd', 'e'), size: fc.nat(60) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const recent = createRecent(100 + 3 * 512);
      /** Most recently used last; by id, since an object never changes. */
      let model: { oid: string; size: number }[] = [];
      const sizes = new Map<string, number>();
      for (const { ask, oid, size: given } of steps) {
        const size = sizes.get(oid) ?? given;
        sizes.set(oid, size);
        const known = model.find((m) => m.oid === oid);
        if (ask) {
          expect(recent.get(oid)?.bytes.length).toBe(known?.size);
          if (known) model = [...model.filter((m) => m !== known), known];
        } else {
          recent.note(oid, object(size));
          if (!known) model.push({ oid, size });
          while (model.reduce((sum, m) => sum + m.size + 512, 0) > 100 + 3 * 512) model.shift();
        }
      }
    }),
  );
});

test('an object that is larger than the limit evicts nothing', () => {
  const recent = createRecent(612);
  recent.note('a', object(60));
  recent.note('b', object(101));
  expect(recent.get('a')?.bytes.length).toBe(60);
  expect(recent.get('b')).toBeUndefined();
});

test('only small files are kept', () => {
  const recent = createRecent();
  for (const size of [4096, 4097]) recent.note(String(size), { ...object(size), type: 'blob' });
  expect(recent.get('4096')?.bytes.length).toBe(4096);
  expect(recent.get('4097')).toBeUndefined();
});
