/**
 * Makes foreign text safe to show: removes characters that control a terminal or reorder text from texts of git servers, registries,
 * containers, brokers and file names. Applied where such text enters (errors, and results of a run), and again where it is printed.
 */

/**
 * Control characters (C0, DEL, C1), line and paragraph separators, and the format characters that reorder text or hide it:
 * U+061C, U+200B, U+200E and U+200F, U+202A to U+202E, U+2060 to U+206F, U+FEFF, U+FFF9 to U+FFFB, and tags (Unicode Standard,
 * chapters 9.2 and 23). Joiners (U+200C, U+200D) stay: Persian and emoji need them.
 */
const UNSAFE = /[\p{Cc}\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;
/** Replacement of an unsafe character. */
const SHOWN = '·';

/** For one line: line feeds and tabs are replaced as well. */
export const tame = (text: string): string => text.replace(UNSAFE, SHOWN);

/** For text of several lines: line feeds, tabs, and a carriage return before a line feed stay. */
export const tameLines = (text: string): string =>
  text.replace(UNSAFE, (found, at: number) => {
    if (found === '\n' || found === '\t') return found;
    return found === '\r' && text[at + 1] === '\n' ? found : SHOWN;
  });

/** Whether the text has no character that is replaced. */
export const isTame = (text: string): boolean => tameLines(text) === text;

/** JSON that can be printed on a terminal: the same data, unsafe characters written as `\uXXXX`. */
export const tameJson = (value: unknown, indent?: number): string =>
  JSON.stringify(value, null, indent).replace(UNSAFE, (found) =>
    found === '\n' ? found : [...Array(found.length).keys()].map((i) => escaped(found.charCodeAt(i))).join(''),
  );

const escaped = (unit: number): string => `\\u${unit.toString(16).padStart(4, '0')}`;

/** Applies it to every string of plain data, also to keys; unchanged parts stay the same objects. */
export const tamed = <T>(value: T): T => deep(value) as T;

function deep(value: unknown): unknown {
  if (typeof value === 'string') return tameLines(value);
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) {
    const items = value.map(deep);
    return items.some((item, i) => item !== value[i]) ? items : value;
  }
  if (Object.getPrototypeOf(value) !== Object.prototype) return value;
  const entries = Object.entries(value).map(([key, item]) => [tame(key), deep(item)] as const);
  const isSame = Object.entries(value).every(([key, item], i) => key === entries[i]?.[0] && item === entries[i]?.[1]);
  return isSame ? value : Object.fromEntries(entries);
}
