/**
 * Patterns of tag names, as git's `refs/tags/v1.*`, and of paths. The names come from untrusted servers and brokers, so the
 * time of a match must not depend on their content: no regular expression is applied to a whole name, so nothing backtracks
 * over it. Pure.
 */

/** git(1) has no limit; file systems allow 255 bytes in one component of a path. */
const MAX_NAME = 255;

type Fits = (letter: string) => boolean;

/** `*` matches any number of characters. */
const STAR = '*';

/** `*` and `?` do not match a slash, `[a-c]` is one of these characters, `[!a-c]` any other character. */
export function matches(pattern: string, name: string): boolean {
  if (name.length > MAX_NAME) return false;
  const [patterns, names] = [pattern.split('/'), name.split('/')];
  return patterns.length === names.length && patterns.every((one, at) => matchesPart(partsOf(one), names[at] ?? ''));
}

/** The same for a path of any length; `**` matches any number of directories, and at the end everything below. */
export function matchesPath(pattern: string, path: string): boolean {
  const patterns = pattern.split('/').map((one) => (one === '**' ? null : partsOf(one)));
  const names = path.split('/');
  /** At index n: whether the parts of the pattern so far match the first n names. */
  let reached = names.map((_, n) => n === 0).concat(false);
  for (const part of patterns) {
    const was = reached;
    let isBelow = false;
    reached = was.map((is, n) => {
      if (part !== null) return n > 0 && was[n - 1] === true && matchesPart(part, names[n - 1] ?? '');
      isBelow ||= is;
      return isBelow;
    });
  }
  return reached.at(-1) ?? false;
}

/** Backtracks to the last star only, so it takes at most pattern length times name length steps. */
function matchesPart(pattern: readonly (Fits | typeof STAR)[], name: string): boolean {
  let at = 0;
  let star = -1;
  let from = 0;
  for (let i = 0; i < name.length; ) {
    const fits = pattern[at];
    if (typeof fits === 'function' && fits(name[i] ?? '')) {
      at++;
      i++;
    } else if (fits === STAR) {
      star = at++;
      from = i;
    } else if (star >= 0) {
      at = star + 1;
      i = ++from;
    } else return false;
  }
  return pattern.slice(at).every((rest) => rest === STAR);
}

function partsOf(pattern: string): (Fits | typeof STAR)[] {
  const parts: (Fits | typeof STAR)[] = [];
  for (let at = 0; at < pattern.length; at++) {
    const letter = pattern[at] ?? '';
    const end = letter === '[' ? pattern.indexOf(']', at + 1) : -1;
    if (letter === '*') parts.push(STAR);
    else if (letter === '?') parts.push(() => true);
    else if (end > at + 1) {
      parts.push(oneOf(pattern.slice(at + 1, end)));
      at = end;
    } else parts.push((other) => other === letter);
  }
  return parts;
}

/** The content of brackets: characters, ranges of characters, and `!` or `^` first to negate. */
function oneOf(text: string): Fits {
  const isNegated = /^[!^]./.test(text);
  const letters = isNegated ? text.slice(1) : text;
  const ranges: [string, string][] = [];
  for (let at = 0; at < letters.length; at++) {
    const first = letters[at] ?? '';
    const isRange = letters[at + 1] === '-' && at + 2 < letters.length;
    ranges.push([first, isRange ? (letters[at + 2] ?? '') : first]);
    if (isRange) at += 2;
  }
  return (letter) => ranges.some(([low, high]) => low <= letter && letter <= high) !== isNegated;
}
