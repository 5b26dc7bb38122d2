/** Holds parsed YAML against a schema: all complaints together, each with file, line, column, key and, if near, the key that was meant. */
import { z } from 'zod';
import type { Issue } from './issue.ts';
import type { KeyPath, Parsed } from './yaml.ts';

export type Checked<T> = { ok: true; value: T } | { ok: false; issues: Issue[] };

export function check<T>(schema: z.ZodType<T>, parsed: Parsed, value: unknown = parsed.value): Checked<T> {
  const result = schema.safeParse(value, { reportInput: true });
  if (result.success) return { ok: true, value: result.data };
  return {
    ok: false,
    issues: result.error.issues.flatMap((issue) => explain(issue as z.core.$ZodIssue, schema, parsed)),
  };
}

/** One error at the position of a key. */
export function issueAt(parsed: Parsed, path: KeyPath, message: string, severity: Issue['severity'] = 'error'): Issue {
  return { file: parsed.file, ...parsed.locate(path), key: path.join('.'), message, severity };
}

function explain(issue: z.core.$ZodIssue, schema: z.ZodType, parsed: Parsed): Issue[] {
  const path = issue.path.filter((p): p is string | number => typeof p !== 'symbol');
  if (issue.code === 'unrecognized_keys') {
    const valid = keysAt(schema, path);
    return issue.keys.map((key) => {
      const near = nearest(key, valid);
      const hint = near ? `; did you mean \`${near}\`?` : valid.length > 0 ? `; valid here: ${valid.join(', ')}` : '';
      return issueAt(parsed, [...path, key], `unknown key \`${key}\`${hint}`);
    });
  }
  const last = path.at(-1) ?? 'the file';
  // An item of a list is named by the list.
  const key = typeof last === 'number' ? `${path.at(-2) ?? ''}[${last}]` : last;
  // Errors of a mapping's key come from the schema of its keys.
  if (issue.code === 'invalid_key')
    return [issueAt(parsed, path, `\`${key}\` ${issue.issues[0]?.message ?? issue.message}`)];
  // A key that is not there has no value to complain about.
  if (issue.code === 'invalid_type' && issue.input === undefined) {
    const what = schemaAt(schema, path)?.description;
    return [issueAt(parsed, path, `required key \`${key}\` is missing${what ? ` (${what})` : ''}`)];
  }
  const got = 'input' in issue ? `, got ${describe(issue.input)}` : '';
  // zod's own words name its types, ours name YAML's; a message that a schema wrote itself is the best of all.
  const own = !/^Invalid (input|option)/.test(issue.message);
  const typed = ['invalid_type', 'invalid_value', 'invalid_union'].includes(issue.code);
  const message = typed ? `${own ? issue.message : expected(issue)}${got}` : issue.message;
  return [issueAt(parsed, path, `\`${key}\` ${message}`)];
}

function expected(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_type') return `must be ${article(issue.expected)}`;
  if (issue.code === 'invalid_value') return `must be ${issue.values.map((v) => String(v)).join(' or ')}`;
  return 'has none of the forms it may have';
}

const article = (type: string): string => {
  const name = { record: 'mapping', object: 'mapping', array: 'list', int: 'whole number' }[type] ?? type;
  return `a ${name}`;
};

function describe(input: unknown): string {
  if (input === undefined) return 'nothing';
  if (input === null) return 'null';
  if (Array.isArray(input)) return 'a list';
  if (typeof input === 'object') return 'a mapping';
  return `the ${typeof input} ${JSON.stringify(input).slice(0, 60)}`;
}

/** Keys that a strict object at `path` knows. */
function keysAt(schema: z.ZodType, path: KeyPath): string[] {
  const node = unwrap(schemaAt(schema, path));
  return node instanceof z.ZodObject ? Object.keys(node.shape) : [];
}

/** The required form of the value at `path`, if it does not depend on other values. */
function schemaAt(schema: z.ZodType, path: KeyPath): z.ZodType | undefined {
  let node: z.core.$ZodType | undefined = schema;
  for (const step of path) {
    node = unwrap(node);
    if (node instanceof z.ZodObject) node = (node.shape as Record<string, z.core.$ZodType>)[String(step)];
    else if (node instanceof z.ZodRecord) node = node.valueType as z.core.$ZodType;
    else if (node instanceof z.ZodArray) node = node.element as z.core.$ZodType;
    else return undefined;
  }
  return node as z.ZodType | undefined;
}

/** The schema within `optional`, `nullable` and defaults; undefined for undefined. */
export function unwrap(schema: z.core.$ZodType | undefined): z.core.$ZodType | undefined {
  let node = schema;
  while (
    node instanceof z.ZodOptional ||
    node instanceof z.ZodNullable ||
    node instanceof z.ZodDefault ||
    node instanceof z.ZodPrefault
  ) {
    node = node.def.innerType as z.core.$ZodType;
  }
  return node;
}

/** Edits beyond which nothing is meant any more. */
const FAR = 3;

/** The valid key that is at most three edits away, or undefined. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined;
  let least = FAR + 1;
  for (const candidate of candidates) {
    const far = distance(word, candidate);
    if (far < least) [best, least] = [candidate, far];
  }
  return best !== undefined && least <= Math.ceil(best.length / 2) ? best : undefined;
}

/** Edits (Levenshtein) between two words, if there are no more than `FAR`: only what lies near the diagonal is looked at. */
function distance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > FAR) return FAR + 1;
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next: number[] = [i];
    let least = FAR + 1;
    for (let j = Math.max(1, i - FAR); j <= Math.min(b.length, i + FAR); j++) {
      const changed = (row[j - 1] ?? FAR + 1) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const edits = Math.min((row[j] ?? FAR + 1) + 1, (next[j - 1] ?? FAR + 1) + 1, changed);
      next[j] = edits;
      least = Math.min(least, edits);
    }
    if (least > FAR && i > FAR) return FAR + 1;
    row = next;
  }
  return row[b.length] ?? FAR + 1;
}
