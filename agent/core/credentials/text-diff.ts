/** The difference of two texts, line by line, in the form of `diff -u`. Pure. */

import { isCredential, isCredentialName } from './credential-names.ts';
import { CHANGED, MASK, textWithoutCredentials } from './credentials.ts';

/** Larger texts are not compared, because a plan is for people. In bytes, and in lines. */
const MAX_BYTES = 64 * 1024;
const MAX_LINES = 2_000;
const CONTEXT = 3;

interface Line {
  sign: ' ' | '-' | '+';
  text: string;
}

/**
 * @param from null if there is no text yet
 * @returns hunks without a header; a sentence if the texts cannot be shown; '' if they are equal
 */
export function textDiff(from: Uint8Array | null, to: Uint8Array | null): string {
  const old = textOf(from);
  const next = textOf(to);
  if (old === null || next === null) return `not shown: not text, or larger than ${MAX_BYTES / 1024} KiB`;
  const a = linesOf(old);
  const b = linesOf(next);
  if (a.length > MAX_LINES || b.length > MAX_LINES) return `not shown: more than ${MAX_LINES} lines`;
  return hunks(compare(a, b)).join('\n');
}

/** null if the bytes are no text, or too long for people. */
function textOf(bytes: Uint8Array | null): string | null {
  if (bytes === null) return '';
  if (bytes.length > MAX_BYTES || bytes.includes(0)) return null;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}

const linesOf = (text: string): string[] => (text === '' ? [] : text.replace(/\n$/, '').split('\n'));

/** Uses the longest common subsequence, after equal beginnings and ends are stripped. */
function compare(a: readonly string[], b: readonly string[]): Line[] {
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a.at(-1 - end) === b.at(-1 - end)) end++;
  const same = (text: string): Line => ({ sign: ' ', text });
  return [
    ...a.slice(0, start).map(same),
    ...middle(a.slice(start, a.length - end), b.slice(start, b.length - end)),
    ...a.slice(a.length - end).map(same),
  ];
}

function middle(a: readonly string[], b: readonly string[]): Line[] {
  const width = b.length + 1;
  /** At `i * width + j`: the length of the longest common subsequence of `a` from `i` on and `b` from `j` on. */
  const common = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      common[i * width + j] =
        a[i] === b[j]
          ? (common[(i + 1) * width + j + 1] ?? 0) + 1
          : Math.max(common[(i + 1) * width + j] ?? 0, common[i * width + j + 1] ?? 0);
  const lines: Line[] = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    const isSame = i < a.length && j < b.length && a[i] === b[j];
    const isGone =
      !isSame &&
      i < a.length &&
      (j >= b.length || (common[(i + 1) * width + j] ?? 0) >= (common[i * width + j + 1] ?? 0));
    if (isSame) lines.push({ sign: ' ', text: a[i] ?? '' });
    else lines.push(isGone ? { sign: '-', text: a[i] ?? '' } : { sign: '+', text: b[j] ?? '' });
    if (isSame || isGone) i++;
    if (isSame || !isGone) j++;
  }
  return lines;
}

/** A line of settings that contains a credential; null for any other. */
function settingOf(line: string): { start: string } | null {
  const [, start = '', name = '', value = ''] =
    /^(\s*(?:- +)?(?:export +)?["']?([\w.-]{1,80})["']?[ \t]*[:=][ \t]*)(\S.*)$/.exec(line) ?? [];
  return isCredentialName(name) && isCredential(value) ? { start } : null;
}

/** Masks credentials, because files on the host may contain anything; a credential that changed is marked as changed. */
function tellable(line: string, isChange: boolean): string {
  const setting = settingOf(line);
  if (setting === null) return textWithoutCredentials(line);
  return `${setting.start}${isChange ? CHANGED : MASK}`;
}

/** Changed lines with some context; lines between are left out. */
function hunks(lines: readonly Line[]): string[] {
  const changed = lines.flatMap(({ sign }, i) => (sign === ' ' ? [] : [i]));
  const shown = new Set(changed.flatMap((i) => Array.from({ length: 2 * CONTEXT + 1 }, (_, k) => i - CONTEXT + k)));
  const gone = new Set(lines.flatMap(({ sign, text }) => (sign === '-' ? (settingOf(text)?.start ?? []) : [])));
  const out: string[] = [];
  let line = 0;
  for (const [i, { sign, text }] of lines.entries()) {
    if (sign !== '-') line++;
    if (!shown.has(i)) continue;
    if (!shown.has(i - 1) && i > 0) out.push(`@@ line ${sign === '-' ? line + 1 : line} @@`);
    out.push(`${sign}${tellable(text, sign === '+' && gone.has(settingOf(text)?.start ?? ''))}`);
  }
  return out;
}
