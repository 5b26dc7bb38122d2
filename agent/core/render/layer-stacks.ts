/** The stacks of one layer: directories with compose files, and the additions of its manifests to its own stack. Pure. */
import { issueAt } from '../../../manifests-schema/check.ts';
import { type Parsed, parseYaml } from '../../../manifests-schema/yaml.ts';
import type { Issue } from '../types.ts';

export interface StackDir {
  dir: string;
  /** In the order in which they are merged. */
  files: { path: string; text: string }[];
  /** `name:` as written, from the last file that has one. */
  name: string | null;
  issues: Issue[];
  /** The text is null if the file is encrypted; it is decrypted when the stack is read. */
  env: { path: string; text: string | null } | null;
}

/** In Compose's order of preference; for overrides Compose prefers the other ending. */
export const COMPOSE_NAMES = ['compose.yaml', 'compose.yml', 'docker-compose.yml', 'docker-compose.yaml'];
export const OVERRIDE_NAMES = [
  'compose.override.yml',
  'compose.override.yaml',
  'docker-compose.override.yml',
  'docker-compose.override.yaml',
];

export interface StacksToFind {
  layerDir: string;
  /** All files of the layer's directory. */
  files: readonly string[];
  withStack: readonly { parsed: Parsed; text: string }[];
  /** Text of a compose file; its issues are reported where it is parsed. */
  text(path: string): string;
  /** Text of a `.env`; null if it is encrypted. */
  env(path: string): string | null;
}

/**
 * Finds the layer's own directory, if a manifest or a compose file makes it a stack, and every directory below with a compose
 * file.
 */
export function findStacks({ layerDir, files, text, env: envOf, withStack }: StacksToFind): StackDir[] {
  const dirs = new Map<string, { base: string[]; override: string[] }>();
  for (const file of files) {
    const dir = file.slice(0, file.lastIndexOf('/'));
    const name = file.slice(dir.length + 1);
    const kind = COMPOSE_NAMES.includes(name) ? 'base' : OVERRIDE_NAMES.includes(name) ? 'override' : null;
    if (kind === null) continue;
    const found = dirs.get(dir) ?? { base: [], override: [] };
    found[kind].push(file);
    dirs.set(dir, found);
  }
  if (withStack.length > 0 && !dirs.has(layerDir)) dirs.set(layerDir, { base: [], override: [] });
  const known = new Set(files);
  const preferred = (found: readonly string[], names: readonly string[]) => {
    const rank = (file: string) => names.indexOf(file.slice(file.lastIndexOf('/') + 1));
    return [...found].sort((a, b) => rank(a) - rank(b)).slice(0, 1);
  };
  return [...dirs]
    .filter(([dir, { base }]) => base.length > 0 || (dir === layerDir && withStack.length > 0))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([dir, { base, override }]) => {
      const paths = [...preferred(base, COMPOSE_NAMES), ...preferred(override, OVERRIDE_NAMES)];
      const read = paths.map((path) => ({ path, text: text(path) }));
      const env = `${dir}/.env`;
      return {
        dir,
        files: [...read, ...(dir === layerDir ? withStack.map((m) => ({ path: m.parsed.file, text: m.text })) : [])],
        ...inspect(dir, read, dir === layerDir ? withStack : []),
        env: known.has(env) ? { path: env, text: envOf(env) } : null,
      };
    });
}

/** Files that a compose file names as files of its stack (`x-fairlead: {files: […]}`); they are no manifests. */
export function filesNamed(path: string, text: string): string[] {
  if (!text.includes('x-fairlead')) return [];
  const { value } = parseYaml(path, text);
  const own = isObject(value) ? value['x-fairlead'] : undefined;
  const names = isObject(own) && Array.isArray(own.files) ? own.files : [];
  return names.filter((name) => typeof name === 'string');
}

/** A single file without `name:` is not parsed here, because nothing in it matters yet; compose/ parses it. */
function inspect(
  dir: string,
  files: readonly { path: string; text: string }[],
  withStack: readonly { parsed: Parsed }[],
): { name: string | null; issues: Issue[] } {
  const plain = files.length + withStack.length === 1 && files.every((f) => !/^\s*[{"'?]|^name\s*:/m.test(f.text));
  const parsed = plain ? [] : [...files.map((f) => parseYaml(f.path, f.text)), ...withStack.map((m) => m.parsed)];
  const named = parsed.findLast((p) => isObject(p.value) && typeof p.value.name === 'string')?.value;
  return { name: isObject(named) ? String(named.name) : null, issues: repeatedInStack(dir, parsed) };
}

/** Issues for a service, network or volume that two files of one layer declare; compose.override.yaml is meant to do that. */
function repeatedInStack(dir: string, files: readonly Parsed[]): Issue[] {
  const first = new Map<string, Parsed>();
  const issues: Issue[] = [];
  for (const parsed of files) {
    if (OVERRIDE_NAMES.includes(parsed.file.slice(parsed.file.lastIndexOf('/') + 1)) || !isObject(parsed.value))
      continue;
    for (const section of ['services', 'networks', 'volumes', 'configs', 'secrets']) {
      const entries = parsed.value[section];
      for (const key of isObject(entries) ? Object.keys(entries) : []) {
        const other = first.get(`${section} ${key}`);
        if (other === undefined) first.set(`${section} ${key}`, parsed);
        else {
          const at = `${other.file}:${other.locate([section, key]).line}`;
          issues.push(
            issueAt(
              parsed,
              [section, key],
              `\`${key}\` is declared twice in ${section} of ${dir}: here and at ${at}; keep one of them`,
            ),
          );
        }
      }
    }
  }
  return issues;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
