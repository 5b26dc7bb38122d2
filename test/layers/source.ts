/** Parses TypeScript as far as the layer rules need it: the modules that a file imports, and its literals. */
import path from 'node:path';

/** Path in the repository, e.g. `agent/core/plan/plan.ts` → its text. */
export type Sources = ReadonlyMap<string, string>;

export interface Import {
  /** As written: `./x.ts`, `node:fs`, `dockerode`. */
  specifier: string;
  /** Path in the repository of a relative import; null for a package. */
  target: string | null;
  /** It disappears when types are stripped, so it cannot be part of a cycle at run time. */
  typeOnly: boolean;
}

export interface Literal {
  kind: 'string' | 'template' | 'regex';
  /** For a template: the text before its first `${`. */
  text: string;
}

/** Imports and re-exports of a file, static ones and `import()`. */
export function importsOf(file: string, text: string): Import[] {
  const resolve = (specifier: string) =>
    specifier.startsWith('.') ? path.posix.join(path.posix.dirname(file), specifier) : null;
  const found: Import[] = [];
  const code = withoutComments(text);
  for (const [, type, clause = '', specifier = ''] of code.matchAll(
    /^(?:import|export)\s+(type\s+)?((?:[\w*$]|[{},\s])*?)\s*(?:from\s+)?'([^'\n]+)'/gm,
  )) {
    const names = /\{([^}]*)\}/
      .exec(clause)?.[1]
      ?.split(',')
      .map((name) => name.trim());
    const isNamed = /^\{[^}]*\}$/.test(clause.trim());
    const onlyTypes = isNamed && (names ?? []).filter(Boolean).every((name) => name.startsWith('type '));
    found.push({ specifier, target: resolve(specifier), typeOnly: type !== undefined || onlyTypes });
  }
  for (const [, specifier = ''] of code.matchAll(/\bimport\(\s*'([^'\n]+)'/g))
    found.push({ specifier, target: resolve(specifier), typeOnly: /typeof import\(\s*'/.test(code) });
  return found;
}

/** The same text with comments blanked out, so that their words are not taken for code. */
export function withoutComments(text: string): string {
  let code = '';
  let copied = 0;
  for (const token of tokens(text)) {
    if (token.kind !== 'comment') continue;
    code += text.slice(copied, token.start) + text.slice(token.start, token.end).replace(/[^\n]/g, ' ');
    copied = token.end;
  }
  return code + text.slice(copied);
}

/** Every string, template and regular expression of a file, comments left out. */
export function literalsOf(text: string): Literal[] {
  return tokens(text).flatMap(({ kind, text: literal }): Literal[] =>
    kind === 'comment' ? [] : [{ kind, text: literal }],
  );
}

interface Token {
  kind: Literal['kind'] | 'comment';
  text: string;
  start: number;
  end: number;
}

/** A slash after one of these begins a regular expression; after anything else it divides. */
const BEFORE_REGEX = /(?:^|[(,=:[!&|?{};+\-*%<>~^]|\b(?:return|typeof|case|of|in))$/;

function tokens(text: string): Token[] {
  const found: Token[] = [];
  /** Depth of braces at which each open template continues. */
  const templates: number[] = [];
  let depth = 0;
  let before = '';
  let i = 0;
  const push = (kind: Token['kind'], start: number, end: number, literal: string) => {
    found.push({ kind, text: literal, start, end });
    i = end;
  };
  /** End of a literal that is terminated by `stop`; `\` escapes the next character. */
  const endOf = (from: number, stop: (at: number) => boolean): number => {
    let at = from;
    while (at < text.length && !stop(at)) at += text[at] === '\\' ? 2 : 1;
    return at;
  };
  const template = (start: number, isFirst: boolean) => {
    const end = endOf(start + 1, (at) => text[at] === '`' || text.startsWith('${', at));
    if (isFirst) found.push({ kind: 'template', text: text.slice(start + 1, end), start, end });
    if (text[end] === '`') i = end + 1;
    else {
      templates.push(depth);
      i = end + 2;
    }
    before = '`';
  };
  while (i < text.length) {
    const char = text[i] ?? '';
    if (text.startsWith('//', i)) {
      const end = text.indexOf('\n', i);
      push('comment', i, end === -1 ? text.length : end, '');
    } else if (text.startsWith('/*', i)) push('comment', i, text.indexOf('*/', i + 2) + 2, '');
    else if (char === "'" || char === '"') {
      const end = endOf(i + 1, (at) => text[at] === char);
      push('string', i, end + 1, text.slice(i + 1, end));
      before = char;
    } else if (char === '`') template(i, true);
    else if (char === '}' && templates.at(-1) === depth) {
      templates.pop();
      template(i, false);
    } else if (char === '/' && BEFORE_REGEX.test(before)) {
      let inClass = false;
      const end = endOf(i + 1, (at) => {
        if (text[at] === '[') inClass = true;
        else if (text[at] === ']') inClass = false;
        return text[at] === '/' && !inClass;
      });
      push('regex', i, end + 1, text.slice(i + 1, end));
      before = '/';
    } else {
      if (char === '{') depth += 1;
      else if (char === '}') depth -= 1;
      if (!/\s/.test(char)) before = /\w/.test(char) && /\w/.test(text[i - 1] ?? '') ? before + char : char;
      i += 1;
    }
  }
  return found;
}
