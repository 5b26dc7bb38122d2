/** Line-by-line comparison of texts, as `diff -u` shows it. */
import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { textDiff } from '../../agent/core/credentials/text-diff.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const diff = (from: string | null, to: string) => textDiff(from === null ? null : bytes(from), bytes(to));

test('a changed line is shown with its neighbours, and distant lines are left out', () => {
  const before = Array.from({ length: 20 }, (_, i) => `line ${i + 1}`);
  const after = before.with(9, 'other');
  expect(diff(before.join('\n'), after.join('\n')).split('\n')).toEqual([
    '@@ line 7 @@',
    ...[' line 7', ' line 8', ' line 9', '-line 10', '+other', ' line 11', ' line 12', ' line 13'],
  ]);
});

test('a new text is all new, and an equal one has no diff', () => {
  expect(diff(null, 'a\nb\n')).toBe('+a\n+b');
  expect(diff('a\nb\n', 'a\nb\n')).toBe('');
});

test.each([
  ['bytes that are not text', new Uint8Array([0xff, 0x00])],
  ['a text that is too large', bytes('x'.repeat(70_000))],
  ['a text with too many lines', bytes('x\n'.repeat(3_000))],
])('%s are not shown', (_, to) => {
  expect(textDiff(null, to)).toMatch(/^not shown: /);
});

test('applying its additions and removals turns one text into the other', () => {
  const text = fc.array(fc.constantFrom('a', 'b', 'c', ''), { maxLength: 12 });
  fc.assert(
    fc.property(text, text, (from, to) => {
      // All lines are context: in such a short text none is left out.
      const lines = diff(`${from.join('\n')}\n`, `${to.join('\n')}\n`)
        .split('\n')
        .filter((l) => !l.startsWith('@@'));
      const gone = lines.filter((l) => l.startsWith('-')).length;
      const come = lines.filter((l) => l.startsWith('+')).length;
      expect(come - gone).toBe(`${to.join('\n')}\n`.split('\n').length - `${from.join('\n')}\n`.split('\n').length);
    }),
  );
});

test('the diff is as short as that of diff(1)', () => {
  const from = 'a\nb\nc\na\nb\nb\na\n';
  const to = 'c\nb\na\nb\na\nc\n';
  const count = (text: string) => text.split('\n').filter((l) => /^[-+]/.test(l) && !/^(---|\+\+\+)/.test(l)).length;
  let theirs = '';
  try {
    execFileSync('bash', [
      '-c',
      `diff -u <(printf '${from.replaceAll('\n', '\\n')}') <(printf '${to.replaceAll('\n', '\\n')}')`,
    ]);
  } catch (thrown) {
    theirs = String((thrown as { stdout: Buffer }).stdout);
  }
  expect(count(diff(from, to))).toBe(count(theirs));
});

test('a credential among the settings is not shown, and a changed one is reported as changed', () => {
  const of = (password: string, url: string) =>
    bytes(`# app\nuser: shop\n  password: ${password}\nexport TOKEN="${password}"\nurl=postgres://u:${url}@db/x\n`);
  expect(textDiff(of('hunter2-a', 'one-1'), of('hunter2-b', 'two-2'))).toBe(
    [
      ' # app',
      ' user: shop',
      '-  password: (secret)',
      '-export TOKEN=(secret)',
      '-url=postgres://u:(secret)@db/x',
      '+  password: (secret changed)',
      '+export TOKEN=(secret changed)',
      '+url=postgres://u:(secret)@db/x',
    ].join('\n'),
  );
  expect(textDiff(null, bytes('password: hunter2-a\n'))).toBe('+password: (secret)');
});
