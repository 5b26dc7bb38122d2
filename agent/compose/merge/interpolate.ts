/** `$VAR` and `${VAR…}` as Compose reads them (Compose Specification, "Interpolation"). Pure. */

export class InterpolationError extends Error {}

export interface Variables {
  get(name: string): string | undefined;
  /**
   * Told of each variable that is read without a default and is not set: Compose takes an empty text, and warns.
   * @returns what to take instead of the empty text
   */
  unset?(name: string): string;
}

const MAX_DEPTH = 50;
const NAMED = /[_a-z][_a-z0-9]*/iy;
const BRACED = /[_a-z][_a-z0-9]*/iy;

/** @throws InterpolationError for `${VAR:?message}` without VAR, and for a form that Compose does not have */
export function interpolate(template: string, variables: Variables, depth = 0): string {
  if (!template.includes('$')) return template;
  if (depth > MAX_DEPTH) throw new InterpolationError('variables are nested more than 50 deep');
  let out = '';
  let i = 0;
  let line = { end: -1, brace: -1 };
  while (i < template.length) {
    const dollar = template.indexOf('$', i);
    if (dollar === -1) break;
    out += template.slice(i, dollar);
    const next = template[dollar + 1];
    if (next === '$') {
      out += '$';
      i = dollar + 2;
    } else if (next === '{') {
      if (dollar > line.end) line = lineAt(template, dollar);
      const closed = bracedEnd(template, dollar, line.brace);
      out += expand(template.slice(dollar + 2, closed), variables, depth);
      i = closed + 1;
    } else {
      NAMED.lastIndex = dollar + 1;
      const name = NAMED.exec(template)?.[0];
      // A dollar before anything else is a dollar.
      out += name === undefined ? '$' : lookUp(name, variables);
      i = dollar + 1 + (name?.length ?? 0);
    }
  }
  return out + template.slice(i);
}

/** Compose looks for the closing brace on the same line. */
function lineAt(template: string, from: number): { end: number; brace: number } {
  const newline = template.indexOf('\n', from);
  const end = newline === -1 ? template.length : newline;
  return { end, brace: template.lastIndexOf('}', end - 1) };
}

/** Index of the brace that closes `${`: braces are counted, and where they do not add up it is the last of the line. */
function bracedEnd(template: string, dollar: number, lastBrace: number): number {
  BRACED.lastIndex = dollar + 2;
  const name = BRACED.exec(template)?.[0];
  const after = dollar + 2 + (name?.length ?? 0);
  if (name === undefined) throw invalid(template);
  if (template[after] === '}') return after;
  if (!/^:?[-+?]/.test(template.slice(after, after + 2)) || lastBrace < after) throw invalid(template);
  let open = 0;
  for (let i = dollar; i <= lastBrace; i++) {
    const char = template[i];
    if (char === '}' && --open === 0) return i;
    if (char === '{') {
      open++;
      i++;
    }
  }
  return lastBrace;
}

const invalid = (template: string) =>
  new InterpolationError(
    `invalid variable in ${JSON.stringify(template.slice(0, 80))}; write \${NAME}, or $$ for a literal dollar`,
  );

function lookUp(name: string, variables: Variables): string {
  const value = variables.get(name);
  return value ?? variables.unset?.(name) ?? '';
}

function expand(inner: string, variables: Variables, depth: number): string {
  const match = /^([_a-z][_a-z0-9]*)(?:(:?[-+?])([\s\S]*))?$/i.exec(inner);
  const [, name = '', operator = '', word = ''] = match ?? [];
  if (operator === '') return lookUp(name, variables);
  // Compose fills in the word even where it is not used.
  const alternative = interpolate(word, variables, depth + 1);
  const value = variables.get(name);
  const isSet = operator.startsWith(':') ? value !== undefined && value !== '' : value !== undefined;
  switch (operator.at(-1)) {
    case '-':
      return isSet ? (value ?? '') : alternative;
    case '+':
      return isSet ? alternative : (value ?? '');
    default:
      if (isSet) return value ?? '';
      throw new InterpolationError(`required variable ${name} is not set${alternative ? `: ${alternative}` : ''}`);
  }
}
