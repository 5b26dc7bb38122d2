import fc from 'fast-check';
import { expect, test } from 'vitest';
import { matches } from '../../../agent/core/names/glob.ts';
import { compareVersions, concerns, parseVersion, prefixesOf, resolve } from '../../../agent/git/trust/refs.ts';
import type { Ref } from '../../../agent/git/wire/protocol.ts';

const id = (n: number) => String(n).padStart(40, '0');
const refs: Ref[] = [
  { name: 'HEAD', oid: id(1), target: 'refs/heads/main' },
  { name: 'refs/heads/main', oid: id(1) },
  { name: 'refs/heads/release/v1', oid: id(2) },
  { name: 'refs/tags/main', oid: id(3) },
  { name: 'refs/tags/v1.2.0', oid: id(4), peeled: id(5) },
  { name: 'refs/tags/v1.10.0', oid: id(6) },
  { name: 'refs/tags/v1.11.0-rc.1', oid: id(7) },
  { name: 'refs/tags/v1.9', oid: id(8) },
  { name: 'refs/tags/v1.x', oid: id(9) },
  { name: 'refs/tags/v2.0.0', oid: id(10) },
  { name: 'refs/changes/1', oid: id(11) },
];
const of = (ref: string) => resolve(ref, refs, 'the fleet');

test.each([
  ['main', id(1), 'branch'],
  ['HEAD', id(1), 'branch'],
  ['refs/tags/main', id(3), 'tag'],
  ['release/v1', id(2), 'branch'],
  ['v1.2.0', id(5), 'tag'],
  ['v1.*', id(6), 'tag'],
  ['v1.1[01].*', id(6), 'tag'],
  ['v1.11.0-*', id(7), 'tag'],
  ['v?.0.0', id(10), 'tag'],
  ['refs/changes/1', id(11), 'branch'],
])('%s names %s, a %s', (ref, commit, kind) => {
  expect(of(ref)).toMatchObject({ commit, kind });
});

test('annotated tags keep their own id, the default branch its name', () => {
  expect(of('v1.2.0')).toMatchObject({ tag: id(4), name: 'v1.2.0' });
  expect(of('HEAD').name).toBe('main');
});

test.each(['nothing', 'v3.*', 'mai', 'refs/heads/v1.2.0'])('%s is an error that names it', (ref) => {
  expect(() => of(ref)).toThrow(ref === 'v3.*' ? /no tag with a version that matches `v3/ : new RegExp(`\`${ref}\``));
});

test('a server is asked only for refs that can matter', () => {
  expect(prefixesOf('main')).toEqual(['refs/heads/main', 'refs/tags/main']);
  expect(prefixesOf('v1.*')).toEqual(['refs/tags/v1.']);
  expect(prefixesOf('refs/tags/v*')).toEqual(['refs/tags/v']);
  expect(prefixesOf('HEAD')).toEqual(['HEAD']);
});

test('a push concerns hosts whose ref can name its branch or tag', () => {
  expect(concerns('main', 'refs/heads/main')).toBe(true);
  expect(concerns('main', 'main2')).toBe(false);
  expect(concerns('v1.*', 'v1.20.0')).toBe(true);
  expect(concerns('v1.*', 'refs/tags/v2.0.0')).toBe(false);
  expect(concerns('HEAD', 'anything')).toBe(true);
});

test('versions are ordered as semver.org defines', () => {
  const inOrder = [
    '1.0.0-alpha',
    '1.0.0-alpha.1',
    '1.0.0-alpha.beta',
    '1.0.0-beta.2',
    '1.0.0-beta.11',
    '1.0.0-rc.1',
    '1',
    '1.2',
    'v1.10',
  ];
  const parsed = inOrder.map((t) => parseVersion(t));
  for (const [at, v] of parsed.entries())
    for (const [other, w] of parsed.entries())
      if (v && w) expect(Math.sign(compareVersions(v, w))).toBe(Math.sign(at - other));
  expect(parsed).not.toContain(null);
  expect(['vv1', '1.2.3.4', 'x', ''].map(parseVersion)).toEqual([null, null, null, null]);
});

test('the order of versions is a total order', () => {
  const number = fc.nat(20);
  const version = fc.record({
    numbers: fc.tuple(number, number, number),
    pre: fc.array(fc.oneof(fc.constantFrom('a', 'b', 'rc'), fc.nat(20).map(String)), { maxLength: 3 }),
  });
  fc.assert(
    fc.property(version, version, version, (a, b, c) => {
      expect(Math.sign(compareVersions(a, b)) + Math.sign(compareVersions(b, a))).toBe(0);
      if (compareVersions(a, b) <= 0 && compareVersions(b, c) <= 0)
        expect(compareVersions(a, c)).toBeLessThanOrEqual(0);
    }),
  );
});

test("numbers beyond JavaScript's exact integers are no versions, or are compared by their digits", () => {
  expect(['9'.repeat(400), `1.${'9'.repeat(16)}`].map(parseVersion)).toEqual([null, null]);
  const [low, high] = [parseVersion(`1.0.0-${'9'.repeat(20)}8`), parseVersion(`1.0.0-${'9'.repeat(20)}9`)];
  expect(low && high && compareVersions(low, high)).toBeLessThan(0);
});

test('a tag has the requested name, whatever other name the server gives it', () => {
  const lies: Ref[] = [{ name: 'refs/tags/v1.9.0', oid: id(1), peeled: id(2), target: 'refs/tags/lab' }];
  for (const ref of ['v1.*', 'v1.9.0', 'refs/tags/v1.9.0']) expect(resolve(ref, lies, 'x').name).toBe('v1.9.0');
});

test.each([
  ['v1.*', 'v1.2', true],
  ['v1.*', 'v1.2/x', false],
  ['v?.[0-24].*', 'v3.4.x', true],
  ['v?.[0-24].*', 'v3.3.x', false],
  ['[!a]b', 'cb', true],
  ['[!a]b', 'ab', false],
  ['a[b', 'a[b', true],
  ['a[]', 'a[]', true],
  ['*a*b', 'xaxxbxab', true],
  ['*a*b', 'xaxxbxa', false],
  ['team/*/v*', 'team/one/v1', true],
  ['(a+)+$', '(a+)+$', true],
])('pattern %s and name %s: %s', (pattern, name, expected) => {
  expect(matches(pattern, name)).toBe(expected);
});

test('the steps of a match depend on the length of pattern and name, not on their content', () => {
  // A backtracking matcher needs 255 to the power of the number of stars.
  const evil = 'a'.repeat(255);
  for (const pattern of [`${'*a'.repeat(60)}*b`, `${'*?'.repeat(60)}*b`, `v${'*.'.repeat(60)}*b`])
    for (const name of [evil, `v${'.'.repeat(254)}`, `v${'.'.repeat(2_000_000)}/`])
      expect(matches(pattern, name)).toBe(false);
});
