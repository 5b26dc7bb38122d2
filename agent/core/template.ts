/** Payload and content with `template: true`, through LiquidJS: strict, deterministic, inside its layer. Pure. */
import { Liquid, type LiquidError, type Template } from 'liquidjs';
import { encryptionIn } from './encrypted.ts';
import { textOrIssue } from './strict-text.ts';
import { countingOperators, limitedContext, MEMORY_LIMIT, PARSE_LIMIT } from './template-limits.ts';
import type { Facts, Issue } from './types.ts';

/** One top-level name of `secrets`. */
export interface SecretValue {
  /** What templates see; read only when used. Throws Error with a sentence where it cannot be decrypted. */
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
  /** In the repository: its own path for a payload file, the manifest's for `content:`. */
  file: string;
  text: string;
  /** Directory of the layer, which includes must not leave. */
  root: string;
  /** Place of a place in the template, where that is not the file itself. */
  place?(line: number, column: number): { line: number; column: number };
  key: string;
}

/** What a template became. */
export interface RenderedText {
  text: string;
  /** Encrypted files that went into it. */
  secrets: string[];
  /** Lines of the text that are others with other values of the secrets; a line that ends in `\` goes on with the next. */
  secretLines(): string[];
  issues?: undefined;
}

export interface Templates {
  /** @returns the text and the encrypted files that went into it, or what is wrong */
  render(input: TemplateInput): RenderedText | { issues: Issue[] };
}

type Failure = LiquidError & { originalError?: Error; errors?: Failure[]; token?: { input?: string } };

/** Undefined names of one template that are told. */
const MAX_UNDEFINED = 20;
/** Names that a template can use without having made them: any other may be undefined because of an error before it. */
const GIVEN = /undefined variable: (host|vars|facts|secrets)\b/;

const DATE_FILTERS = ['date', 'date_to_xmlschema', 'date_to_rfc822', 'date_to_string', 'date_to_long_string'];

/** @param shared engines of layers that several hosts have; their files are the same for all of them */
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
      /** The first error, and each other name that is undefined. */
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
            // Where other values would not render, any line may hang on them.
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

/** What a rendering that goes on behind errors complains of, as far as it does not follow from another error. */
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
  /** File → its text and what that was parsed to: a role's are the same for all its hosts. */
  parsed: Map<string, { text: string; template: Template[] }>;
}

function parse({ liquid, parsed }: Engine, text: string, file: string): Template[] {
  const known = parsed.get(file);
  if (known?.text === text) return known.template;
  const template = liquid.parse(text, file);
  parsed.set(file, { text, template });
  return template;
}

/** Logical lines. */
export const linesOf = (text: string): string[] => text.replaceAll('\\\n', ' ').split('\n');

/** Another value of the same shape. */
function otherwise(value: unknown): unknown {
  if (typeof value === 'string') return `${value}\u2060other`;
  if (typeof value === 'number') return value + 1;
  if (Array.isArray(value)) return value.map(otherwise);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, otherwise(inner)]));
}

/** The secrets as plain properties that note which file each use draws on. */
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
    // The same on every host and at every hour.
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

/** The included file whose text this is. */
function partialOf(files: ReadonlyMap<string, Uint8Array>, root: string, text: string): string | undefined {
  const bytes = new TextEncoder().encode(text).length;
  return [...files.keys()].find((path) => {
    const found = path.startsWith(`${root}/`) ? files.get(path) : undefined;
    return found?.length === bytes && new TextDecoder().decode(found) === text;
  });
}
