/** One stack, from its files to resources. Pure. */
import type { Desired, Issue } from '../core/types.ts';
import { loadProject, type ProjectInput } from './load/load.ts';
import { tidy } from './load/loading.ts';
import type { ComposeProject } from './load/types.ts';
import { fairleadIssues } from './stack/fairlead-issues.ts';
import type { StackInput } from './stack/input.ts';
import { toResources } from './stack/resources.ts';
import { isWithin, joinPath, parentOf } from './yaml/paths.ts';

export interface Stack {
  resources: Desired[];
  issues: Issue[];
  /** The stack as `docker compose config --format json` prints it. */
  config?: ({ name: string } & Record<string, unknown>) | undefined;
  /** Files of the repository that `include` brought in: they are no stacks of their own. */
  included: readonly string[];
}

/** Weaker than the stack's own .env (docs/compose.md, "Where the variables come from"). */
const BUILTINS = ['FAIRLEAD_HOST', 'FAIRLEAD_FLEET'];

export function loadStack(input: StackInput): Stack {
  const decoder = new TextDecoder();
  const read = (path: string) => {
    const bytes = input.decrypt?.(path) ?? input.payload.get(path);
    return bytes === undefined ? undefined : decoder.decode(bytes);
  };
  const vars = Object.entries(input.vars);
  const given = {
    dir: input.dir,
    env: input.env,
    read,
    vars: new Map(vars.filter(([name]) => !BUILTINS.includes(name))),
    builtins: new Map(vars.filter(([name]) => BUILTINS.includes(name))),
    roots: [...new Set([input.layer, 'roles'])],
  };
  const load = (hostDir: string) => loadProject({ ...given, hostDir, files: filesOf(input, hostDir) });
  let loaded = load(`${input.treeRoot}/${input.dir}`);
  const own = loaded.extension([], 'x-fairlead') as { project_directory?: unknown } | undefined;
  if (typeof own?.project_directory === 'string' && own.project_directory.startsWith('/'))
    loaded = load(joinPath('/', own.project_directory));
  const { included } = loaded;
  if (loaded.issues.some((i) => i.severity === 'error')) return { resources: [], issues: loaded.issues, included };
  const config = printed(loaded.project);
  const issues = fairleadIssues(loaded, input.payload);
  if (issues.length > 0) return { resources: [], issues: tidy([...loaded.issues, ...issues]), config, included };
  const stack = toResources({ input, loaded });
  const resources = stack.issues.length > 0 ? [] : stack.resources;
  return { resources, issues: tidy([...loaded.issues, ...stack.issues]), config, included };
}

/** Every dollar doubled, as Compose prints it, so that it can be read again. */
const printed = (project: ComposeProject): Stack['config'] =>
  JSON.parse(JSON.stringify(project).replaceAll('$', '$$$$')) as Stack['config'];

/** A file of another layer is relative to its own directory, and belongs to that layer. */
function filesOf({ dir, layer, files, treeRoot }: StackInput, hostDir: string): ProjectInput['files'] {
  return files.map(({ path, text }) => {
    const own = parentOf(path);
    return {
      path,
      text,
      dir: own,
      layer: isWithin(path, layer) ? layer : path.split('/').slice(0, 2).join('/'),
      hostDir: own === dir ? hostDir : `${treeRoot}/${own}`,
    };
  });
}
