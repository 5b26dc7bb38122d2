/** `$VAR` and `${VAR…}` as the Compose Specification has them ("Interpolation"). Pure. */

export interface Interpolated {
  text: string;
  /** Variables that were read but are not set: Compose warns and takes an empty string. */
  unset: string[];
}

export class InterpolationError extends Error {}

const MAX_DEPTH = 20;

/** @throws InterpolationError for `${VAR:?message}` without VAR, and for a form that Compose does not have */
export function interpolate(text: string, vars: ReadonlyMap<string, string>, depth = 0): Interpolated {
  if (!text.includes('$')) return { text, unset: [] };
  if (depth > MAX_DEPTH) throw new InterpolationError('variables are nested too deep');
  const unset: string[] = [];
  let out = '';
  for (let i = 0; i < text.length; ) {
    const char = text[i] ?? '';
    if (char !== '$') {
      out += char;
      i++;
    } else if (text[i + 1] === '$') {
      out += '$';
      i += 2;
    } else if (text[i + 1] === '{') {
      const end = closing(text, i + 2);
      const inner = expand(text.slice(i + 2, end), vars, depth);
      out += inner.text;
      unset.push(...inner.unset);
      i = end + 1;
    } else {
      const name = /^[A-Za-z_][A-Za-z0-9_]*/.exec(text.slice(i + 1))?.[0];
      if (name === undefined)
        throw new InterpolationError(
          `invalid use of $ in ${JSON.stringify(text.slice(0, 80))}; write $$ for a literal dollar`,
        );
      const value = vars.get(name);
      if (value === undefined) unset.push(name);
      out += value ?? '';
      i += 1 + name.length;
    }
  }
  return { text: out, unset };
}

function closing(text: string, from: number): number {
  let open = 1;
  for (let i = from; i < text.length; i++) {
    if (text[i] === '$' && text[i + 1] === '{') {
      open++;
      i++;
    } else if (text[i] === '}' && --open === 0) return i;
  }
  throw new InterpolationError(`\${ without its } in ${JSON.stringify(text.slice(0, 80))}`);
}

function expand(inner: string, vars: ReadonlyMap<string, string>, depth: number): Interpolated {
  const match = /^([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-?+])([\s\S]*))?$/.exec(inner);
  const name = match?.[1];
  if (name === undefined)
    throw new InterpolationError(`invalid variable \${${inner.slice(0, 80)}}; write $$ for a literal dollar`);
  const [, , operator = '', word = ''] = match ?? [];
  const value = vars.get(name);
  const isSet = operator.startsWith(':') ? value !== undefined && value !== '' : value !== undefined;
  const alternative = () => interpolate(word, vars, depth + 1);
  switch (operator.at(-1)) {
    case '-':
      return isSet ? { text: value ?? '', unset: [] } : alternative();
    case '+':
      return isSet ? alternative() : { text: '', unset: [] };
    case '?':
      if (isSet) return { text: value ?? '', unset: [] };
      throw new InterpolationError(`required variable ${name} is not set${word ? `: ${alternative().text}` : ''}`);
    default:
      return { text: value ?? '', unset: value === undefined ? [name] : [] };
  }
}

/** `.env` and env_file: KEY=value lines, quotes, comments, `export`; later lines may use earlier ones. */
export function parseEnv(text: string, vars: ReadonlyMap<string, string> = new Map()): Map<string, string> {
  const found = new Map<string, string>();
  for (const raw of text.split(/\r?\n/)) {
    const match = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*=\s*(.*)$/.exec(raw);
    const name = match?.[1];
    if (name === undefined) continue;
    const value = (match?.[2] ?? '').trim();
    const quote = value[0];
    const end = quote === '"' || quote === "'" ? value.indexOf(quote, 1) : -1;
    if (end > 0 && quote === "'") found.set(name, value.slice(1, end));
    else {
      const plain = end > 0 ? value.slice(1, end).replaceAll('\\n', '\n') : value.replace(/\s+#.*$/, '');
      found.set(name, interpolate(plain, new Map([...vars, ...found])).text);
    }
  }
  return found;
}
