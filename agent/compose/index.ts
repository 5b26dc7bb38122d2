/** One stack, from its files to resources. Pure; a later version reads all of Compose. */
import { check, issueAt } from '../../manifests-schema/check.ts';
import { type KeyPath, type Parsed, parseYaml } from '../../manifests-schema/yaml.ts';
import type { Sha256 } from '../core/hash.ts';
import type { Desired, Issue } from '../core/types.ts';
import { InterpolationError, interpolate, parseEnv } from './interpolate.ts';
import { isMap, mergeFiles } from './merge.ts';
import { normalise } from './normalise.ts';
import { type ComposeFile, composeSchema, IMPOSSIBLE, LATER } from './schema.ts';

export interface StackInput {
  /** Directory in the repository. */
  dir: string;
  layer: string;
  /** In the order in which they are merged. */
  files: readonly { path: string; text: string }[];
  env: { path: string; text: string } | null;
  vars: Record<string, string>;
  /** Path in the repository → bytes. */
  payload: ReadonlyMap<string, Uint8Array>;
  /** Absolute directory on the host below which relative mounts live. */
  treeRoot: string;
  sha256: Sha256;
}

export interface Stack {
  resources: Desired[];
  issues: Issue[];
  /** The stack as `docker compose config --format json` prints it. */
  config?: { name: string } & Record<string, unknown>;
}

export function loadStack(input: StackInput): Stack {
  const env = input.env ? parseEnv(input.env.text) : new Map<string, string>();
  // Later wins: what the fleet sets stands above the stack's own .env.
  const vars = new Map([...env, ...Object.entries(input.vars)]);
  const issues: Issue[] = [];
  let merged: Record<string, unknown> = {};
  const parsedFiles: Parsed[] = [];
  for (const { path, text } of input.files) {
    const parsed = parseYaml(path, text);
    parsedFiles.push(parsed);
    issues.push(...parsed.issues);
    if (parsed.issues.length > 0 || parsed.value === null) continue;
    if (!isMap(parsed.value)) issues.push(issueAt(parsed, [], 'a compose file is a mapping with `services`'));
    else merged = mergeFiles(merged, readFile(parsed, parsed.value, vars, issues));
  }
  if (issues.some((i) => i.severity === 'error')) return { resources: [], issues };
  const where = nearestFile(parsedFiles);
  const checked = check<ComposeFile>(composeSchema, where, merged);
  if (!checked.ok) return { resources: [], issues: [...issues, ...checked.issues] };
  const stack = normalise({ input, file: checked.value, where, vars });
  return { resources: stack.resources, issues: [...issues, ...stack.issues] };
}

/** One file: without other kinds' sections, interpolated, its impossible keys reported. */
function readFile(
  parsed: Parsed,
  value: Record<string, unknown>,
  vars: ReadonlyMap<string, string>,
  issues: Issue[],
): Record<string, unknown> {
  if (Object.hasOwn(value, 'version'))
    issues.push(issueAt(parsed, ['version'], '`version` is obsolete and has no effect', 'warning'));
  const own = Object.entries(value).filter(
    ([key]) => !['version', 'files', 'units'].includes(key) && !key.startsWith('x-'),
  );
  const walk = (node: unknown, path: KeyPath): unknown => {
    if (typeof node === 'string') {
      try {
        return interpolate(node, vars).text;
      } catch (thrown) {
        if (!(thrown instanceof InterpolationError)) throw thrown;
        issues.push(issueAt(parsed, path, thrown.message));
        return '';
      }
    }
    if (Array.isArray(node)) return node.map((item, i) => walk(item, [...path, i]));
    if (!isMap(node)) return node;
    const named = path.length === 2 && ['services', 'networks', 'volumes'].includes(String(path[0]));
    const kept = Object.entries(node).filter(([key]) => {
      if (named && key.startsWith('x-')) return false;
      const why = named
        ? (IMPOSSIBLE[key] ?? (LATER.includes(key) ? 'is not supported by this version yet' : undefined))
        : undefined;
      if (why) issues.push(issueAt(parsed, [...path, key], `\`${key}\`: ${why}`));
      return why === undefined;
    });
    return Object.fromEntries(kept.map(([key, item]) => [key, walk(item, [...path, key])]));
  };
  for (const [key] of own.filter(([k]) => ['configs', 'secrets', 'include', 'models'].includes(k))) {
    issues.push(issueAt(parsed, [key], `\`${key}\`: is not supported by this version yet`));
  }
  return Object.fromEntries(own.map(([key, item]) => [key, walk(item, [key])]));
}

/** Places of the merged model: in the last file that has the key. */
function nearestFile(files: readonly Parsed[]): Parsed & { fileOf(path: KeyPath): string } {
  const holder = (path: KeyPath): Parsed | undefined => {
    for (let depth = path.length; depth > 0; depth--) {
      const found = files.findLast((f) => has(f.value, path.slice(0, depth)));
      if (found) return found;
    }
    return files.at(-1);
  };
  const first = files[0];
  return {
    file: first?.file ?? '',
    value: first?.value,
    issues: [],
    locate: (path) => holder(path)?.locate(path) ?? { line: 1, column: 1 },
    fileOf: (path) => holder(path)?.file ?? '',
  };
}

function has(value: unknown, path: KeyPath): boolean {
  let node = value;
  for (const step of path) {
    if (isMap(node) && Object.hasOwn(node, step)) node = node[step];
    else if (Array.isArray(node) && typeof step === 'number') node = node[step];
    else return false;
  }
  return node !== undefined;
}
