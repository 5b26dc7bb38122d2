/** Renders payload and content with `template: true` through LiquidJS: strict, deterministic, confined to its layer. Pure. */
import { Liquid, type LiquidError, type Template } from 'liquidjs';
import { encryptionIn } from '../payload/encrypted.ts';
import { textOrIssue } from '../strict-text.ts';
import type { Facts, Issue } from '../types.ts';
import { countingOperators, limitedContext, MEMORY_LIMIT, PARSE_LIMIT } from './template-limits.ts';

/** One top-level name of `secrets`. */
export interface SecretValue {
  /** The value that templates see; read only when used. Throws Error with a sentence if it cannot be decrypted. */
  read(): unknown;
  /** The encrypted file it comes from. */
  file: string;
}

export interface TemplateScope {
  host: { name: string; fleet: string; labels: Record<string, string> };
  vars: Record<string, unknown>;
  facts: Facts;
  secrets: ReadonlyMap<string, SecretValue>;
}

export interface TemplateInput {
  /** Path in the repository: the payload file itself, or the manifest for `content:`. */
  file: string;
  text: string;
  /** Directory of the layer, which includes must not leave. */
  root: string;
  /** Maps a place in the template to a place in `file`, if they differ. */
  place?(line: number, column: number): { line: number; column: number };
  key: string;
}

/** The result of rendering a template. */
export interface RenderedText {
  text: string;
  /** Encrypted files that were used. */
  secrets: string[];
  /** Lines that would differ with other values of the secrets; a line that ends in `\` continues on the next. */
  secretLines(): string[];
  issues?: undefined;
}

export interface Templates {
  /** @returns the text and the encrypted files that went into it, or what is wrong */
  render(input: TemplateInput): RenderedText | { issues: Issue[] };
}

type Failure = LiquidError & { originalError?: Error; errors?: Failure[]; token?: { input?: string } };

/** Maximum number of undefined names that are reported for one template. */
const MAX_UNDEFINED = 20;
/** Names that are given to every template; any other name may be undefined because of an earlier error. */
const GIVEN = /undefined variable: (host|vars|facts|secrets)\b/;

const DATE_FILTERS = ['date', 'date_to_xmlschema', 'date_to_rfc822', 'date_to_string', 'date_to_long_string'];

/** @param shared engines of layers that several hosts share; their files are the same for all of them */
export function createTemplates(
  files: ReadonlyMap<string, Uint8Array>,
  scope: TemplateScope,
  shared: Map<string, unknown> = new Map(),
): Templates {
  const own = new Map<string, unknown>();
  const engineOf = (root: string): Engine => {
    const engines = root.startsWith('roles/') ? shared : own;
    const known = engines.get(root) as Engine | undefined;
    if (known) return known;
    const made = { liquid: createEngine(files, root), parsed: new Map() };
    engines.set(root, made);
    return made;
  };
  return {
    render({ file, text, root, place, key }) {
      const engine = engineOf(root);
      const used = new Set<string>();
      const renderOnce = (secrets: Record<string, unknown>, how?: { goesOn: boolean }): string => {
        const globals = { host: scope.host, vars: scope.vars, facts: scope.facts, secrets };
        const template = parse(engine, text, file);
        return String(engine.liquid.renderSync(template, limitedContext(engine.liquid, globals, how)));
      };
      const issueOf = (error: Failure): Issue => {
        const [line, column] = positionOf(error);
        const inPartial = error.token?.input !== undefined && error.token.input !== text;
        const at = inPartial
          ? { file: partialOf(files, root, error.token?.input ?? '') ?? file, line, column }
          : { file, ...(place?.(line, column) ?? { line, column }) };
        return { ...at, key, severity: 'error', message: `template: ${reasonOf(error)}` };
      };
      /** The first error, and each further undefined name. */
      const issuesOf = (first: Failure): Issue[] => {
        const others =
          first.name === 'UndefinedVariableError'
            ? undefinedNames(() => renderOnce(watched(scope.secrets, new Set()), { goesOn: true }))
            : [];
        const issues = [first, ...others].map(issueOf);
        const distinct = new Map(issues.map((i) => [JSON.stringify([i.file, i.line, i.column, i.message]), i]));
        return [...distinct.values()].slice(0, MAX_UNDEFINED);
      };
      try {
        const out = renderOnce(watched(scope.secrets, used));
        const secretLines = () => {
          try {
            const other = new Set(linesOf(renderOnce(watched(scope.secrets, new Set(), otherwise))));
            return linesOf(out).filter((line) => !other.has(line));
          } catch {
            // If rendering fails with other values, any line may depend on the secrets.
            return linesOf(out);
          }
        };
        return { text: out, secrets: [...used].sort(), secretLines };
      } catch (thrown) {
        return { issues: issuesOf(thrown as Failure) };
      }
    },
  };
}

const reasonOf = (error: Failure): string =>
  (error.originalError?.message ?? error.message).replace(/, (file:.*, )?line:\d+, col:\d+$/, '');

/** Errors of a rendering that continues after errors, without those that follow from another error. */
function undefinedNames(render: () => void): Failure[] {
  const flat = (error: Failure): Failure[] => error.errors?.flatMap(flat) ?? [error];
  try {
    render();
    return [];
  } catch (thrown) {
    return flat(thrown as Failure).filter((error) => GIVEN.test(reasonOf(error)));
  }
}

interface Engine {
  liquid: Liquid;
  /** File → its text and the parsed template, shared by all hosts of a role. */
  parsed: Map<string, { text: string; template: Template[] }>;
}

function parse({ liquid, parsed }: Engine, text: string, file: string): Template[] {
  const known = parsed.get(file);
  if (known?.text === text) return known.template;
  const template = liquid.parse(text, file);
  parsed.set(file, { text, template });
  return template;
}

/** Splits a text into logical lines. */
export const linesOf = (text: string): string[] => text.replaceAll('\\\n', ' ').split('\n');

/** A different value of the same shape. */
function otherwise(value: unknown): unknown {
  if (typeof value === 'string') return `${value}\u2060other`;
  if (typeof value === 'number') return value + 1;
  if (Array.isArray(value)) return value.map(otherwise);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, otherwise(inner)]));
}

/** Wraps the secrets in properties that record which file each access reads. */
function watched(
  secrets: TemplateScope['secrets'],
  used: Set<string>,
  as: (value: unknown) => unknown = (value) => value,
): Record<string, unknown> {
  const object: Record<string, unknown> = Object.create(null);
  for (const [name, { file, read }] of secrets) {
    const get = () => {
      used.add(file);
      return as(read());
    };
    Object.defineProperty(object, name, { enumerable: true, get });
  }
  return object;
}

function createEngine(files: ReadonlyMap<string, Uint8Array>, root: string): Liquid {
  const inside = (path: string) => path.startsWith(`${root}/`) && files.has(path);
  const read = (path: string) => {
    if (!inside(path)) throw new Error(`there is no ${path}; a template includes files of its own layer only`);
    if (encryptionIn(files, path) !== null)
      throw new Error(`${path} is encrypted, and a template includes plain files only; use its values as secrets.…`);
    return includedText(path, files.get(path) ?? new Uint8Array());
  };
  const engine = new Liquid({
    fs: {
      sep: '/',
      resolve: (dir, file) => join(dir, file),
      dirname: (path) => path.slice(0, path.lastIndexOf('/')),
      contains: async (_, path) => inside(path),
      containsSync: (_, path) => inside(path),
      exists: async (path) => inside(path),
      existsSync: inside,
      readFile: async (path) => read(path),
      readFileSync: read,
    },
    root: [root],
    partials: [root],
    layouts: [root],
    strictVariables: true,
    strictFilters: true,
    ownPropertyOnly: true,
    // Fixed, so that the output is the same on every host at any time.
    timezoneOffset: 0,
    locale: 'en-US',
    operators: countingOperators,
    parseLimit: PARSE_LIMIT,
    memoryLimit: MEMORY_LIMIT,
  });
  engine.registerFilter('sample', () => {
    throw new Error('`sample` is random; a template must give the same text every time');
  });
  for (const name of DATE_FILTERS) {
    const original = engine.filters[name] as (this: unknown, value: unknown, ...args: unknown[]) => unknown;
    engine.registerFilter(name, function (value: unknown, ...args: unknown[]) {
      if (value === 'now' || value === 'today')
        throw new Error(
          `\`${name}\` of "${value}" differs at every run; a template must give the same text every time`,
        );
      return original.call(this, value, ...args);
    });
  }
  return engine;
}

/** @throws Error that names the file */
function includedText(file: string, bytes: Uint8Array): string {
  const { text, issue } = textOrIssue(file, bytes);
  if (issue) throw new Error(issue.message);
  return text;
}

function join(dir: string, file: string): string {
  const parts = file.startsWith('/') ? [''] : dir.split('/');
  for (const part of file.split('/')) {
    if (part === '' || part === '.') continue;
    if (part === '..') parts.pop();
    else parts.push(part);
  }
  return parts.join('/');
}

function positionOf(error: LiquidError): [number, number] {
  const token = (error as unknown as { token?: { getPosition?(): number[] } }).token;
  const [line = 1, column = 1] = token?.getPosition?.() ?? [];
  return [line, column];
}

/** The path of the included file with this text. */
function partialOf(files: ReadonlyMap<string, Uint8Array>, root: string, text: string): string | undefined {
  const bytes = new TextEncoder().encode(text).length;
  return [...files.keys()].find((path) => {
    const found = path.startsWith(`${root}/`) ? files.get(path) : undefined;
    return found?.length === bytes && new TextDecoder().decode(found) === text;
  });
}
