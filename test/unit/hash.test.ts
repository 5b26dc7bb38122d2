/** The canonical hash identifies what runs on thousands of hosts, so it must never change. */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { canonicalHash, canonicalText } from '../../agent/core/payload/hash.ts';

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** Its first definition: the JSON of an object whose keys are sorted. */
function canonical(value: unknown): unknown {
  if (value instanceof Uint8Array) return { sha256: sha256(value) };
  if (Array.isArray(value)) return value.map(canonical);
  if (value === null || typeof value !== 'object') return value;
  const entries = Object.entries(value).filter(([, v]) => v !== undefined);
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([k, v]) => [k, canonical(v)]));
}

const key = fc.oneof(
  fc.string(),
  fc.nat().map(String),
  fc.constantFrom('0', '01', '10', '9', '4294967294', '4294967295', '-1', '__proto__', 'ü', '\ud83d\ude00'),
);
const { spec } = fc.letrec((tie) => ({
  spec: fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.double(),
    fc.boolean(),
    fc.constantFrom(null, undefined),
    fc.uint8Array({ maxLength: 9 }),
    fc.array(tie('spec'), { maxLength: 5 }),
    fc.dictionary(key, tie('spec'), { maxKeys: 8, noNullPrototype: true }),
  ),
}));

test('the canonical hash equals that of the JSON of the same value with sorted keys', () => {
  fc.assert(
    fc.property(spec, (value) => {
      expect(canonicalText(value, sha256)).toBe(JSON.stringify(canonical(value)) ?? 'null');
    }),
    { numRuns: 2_000 },
  );
});

test('the canonical hash of a value is the same as in the first version', () => {
  const value = { b: [1, undefined, 'x'], a: { 10: 'z', 9: null, u: undefined }, bytes: new Uint8Array([1, 2, 3]) };
  expect(canonicalHash(value, sha256)).toBe('v1:8ea3842c18f5b8b52c5e002ad258438bf64a13e8ff730afa4990b527f09d32c0');
});
