/** `.env`, `env_file` and `label_file`, read as Compose reads them. Pure. */
import { InterpolationError, interpolate } from './interpolate.ts';

/** `line` counts from 1. */
export class EnvFileError extends Error {
  readonly line: number;
  constructor(message: string, line: number) {
    super(message);
    this.line = line;
  }
}

type LookUp = (name: string) => string | undefined;

/** Space within a line: no line break. */
const BLANK = /[\t\v\f\r \u0085\u00a0]/;

/**
 * Every variable of the file. Values may use what `lookUp` knows, then variables of lines above, then `earlier` ones.
 * A line with a name alone takes the value that `lookUp` has, if it has one.
 * @throws EnvFileError
 */
export function parseEnv(
  content: string,
  lookUp: LookUp = () => undefined,
  earlier: ReadonlyMap<string, string> = new Map(),
): Map<string, string> {
  const found = new Map<string, string>();
  const text = content.replace(/^\uFEFF/, '');
  let at = 0;
  const lineNumber = () => text.slice(0, at).split('\n').length;
  const fail = (message: string): never => {
    throw new EnvFileError(message, lineNumber());
  };
  const fill = (value: string): string => {
    try {
      return interpolate(value, { get: (name) => lookUp(name) ?? found.get(name) ?? earlier.get(name) });
    } catch (thrown) {
      if (thrown instanceof InterpolationError) return fail(thrown.message);
      throw thrown;
    }
  };
  for (;;) {
    at = skip(text, at, /\s/);
    if (at >= text.length) return found;
    if (text[at] === '#') {
      const end = text.indexOf('\n', at);
      if (end === -1) return found;
      at = end;
      continue;
    }
    const start = /^export\s+/.exec(text.slice(at, at + 200)) ? skip(text, at + 6, BLANK) : at;
    const name = readName(text, start, fail);
    at = skip(text, name.next, BLANK);
    if (name.alone) {
      const value = lookUp(name.text);
      if (value !== undefined) found.set(name.text, value);
      continue;
    }
    const value = readValue(text, at, fail);
    at = value.next;
    found.set(name.text, value.literal ? value.text : fill(value.text));
  }
}

function skip(text: string, from: number, what: RegExp): number {
  let at = from;
  while (at < text.length && what.test(text[at] ?? '')) at++;
  return at;
}

function readName(text: string, from: number, fail: (message: string) => never) {
  for (let i = from; i < text.length; i++) {
    const char = text[i] ?? '';
    if (BLANK.test(char)) continue;
    if (char === '=' || char === ':' || char === '\n') {
      const name = text.slice(from, i).trimEnd();
      if (name.includes(' ')) fail(`the name \`${name.slice(0, 60)}\` has a space in it`);
      return { text: name, next: i + 1, alone: char === '\n' };
    }
    if (!/[\p{L}\p{N}_.[\]-]/u.test(char))
      fail(
        `\`${char}\` cannot be part of a variable's name (${JSON.stringify(text.slice(from).split('\n')[0]?.slice(0, 60))})`,
      );
  }
  return { text: text.slice(from).trimEnd(), next: text.length, alone: true };
}

function readValue(text: string, from: number, fail: (message: string) => never) {
  const quote = text[from];
  if (quote !== '"' && quote !== "'") {
    const newline = text.indexOf('\n', from);
    const end = newline === -1 ? text.length : newline;
    const [value = ''] = text.slice(from, end).split(' #');
    return { text: value.trimEnd(), next: newline === -1 ? end : end + 1, literal: false };
  }
  let value = '';
  let escaped = false;
  for (let i = from + 1; i < text.length; i++) {
    const char = text[i] ?? '';
    if (char === quote) {
      if (!escaped) return { text: quote === '"' ? fillEscapes(value) : value, next: i + 1, literal: quote === "'" };
      escaped = false;
      value += char;
    } else if (!escaped && char === '\\') escaped = true;
    else {
      value += escaped ? `\\${char}` : char;
      escaped = false;
    }
  }
  return fail('a quote is not closed');
}

const ESCAPES: Record<string, string> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
  '"': '"',
  $: '$$',
};

/** Within double quotes: the escapes of a shell's `$'…'`, but for hexadecimal ones. */
function fillEscapes(text: string): string {
  return text.replace(/\\(?:([abcfnrtv$"\\])|0(\d{0,3}))/g, (all, letter: string | undefined, digits: string) => {
    if (letter !== undefined) return ESCAPES[letter] ?? all;
    return /^[0-7]{3}$/.test(digits) && Number.parseInt(digits, 8) < 256
      ? String.fromCharCode(Number.parseInt(digits, 8))
      : all;
  });
}
