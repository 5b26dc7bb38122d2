/** Turns the files of one stack into resources. Pure. */
import { notReadable } from '../core/payload/encrypted.ts';
import type { Payload } from '../core/payload/payload.ts';
import { textOrIssue } from '../core/strict-text.ts';
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
  /** `decrypt` of the `x-fairlead` at its top level, as written: which files stay encrypted. */
  decrypt?: unknown;
}

/** Weaker than the stack's own .env (docs/compose.md, "Variables"). */
const BUILTINS = ['FAIRLEAD_HOST', 'FAIRLEAD_FLEET'];

export function loadStack(input: StackInput): Stack {
  const { read, readModel, unread } = readersOf(input.payload);
  const vars = Object.entries(input.vars);
  const given = {
    dir: input.dir,
    env: input.env,
    read,
    readModel,
    vars: new Map(vars.filter(([name]) => !BUILTINS.includes(name))),
    builtins: new Map(vars.filter(([name]) => BUILTINS.includes(name))),
    roots: [...new Set([input.layer, 'roles'])],
  };
  const load = (hostDir: string) => loadProject({ ...given, hostDir, files: filesOf(input, hostDir) });
  let hostDir = `${input.treeRoot}/${input.dir}`;
  let loaded = load(hostDir);
  const own = loaded.extension([], 'x-fairlead') as { project_directory?: unknown; decrypt?: unknown } | undefined;
  if (typeof own?.project_directory === 'string' && own.project_directory.startsWith('/')) {
    hostDir = joinPath('/', own.project_directory);
    loaded = load(hostDir);
  }
  const adopted = own?.project_directory === undefined ? (input.adopted?.(loaded.project.name) ?? null) : null;
  if (adopted !== null) {
    hostDir = adopted;
    loaded = load(hostDir);
    loaded.issues.push(keptDirectory(input, loaded.project.name, adopted));
  }
  const told = { included: loaded.included, decrypt: own?.decrypt };
  loaded.issues.push(...unread);
  const isWrong = loaded.issues.some((i) => i.severity === 'error');
  const issues = fairleadIssues(loaded, input.payload, { isWhole: !isWrong });
  if (isWrong) return { resources: [], issues: tidy([...loaded.issues, ...issues]), ...told };
  const config = printed(loaded.project);
  if (issues.length > 0) return { resources: [], issues: tidy([...loaded.issues, ...issues]), config, ...told };
  const stack = toResources({ input, loaded, hostDir });
  const resources = stack.issues.some((i) => i.severity === 'error') ? [] : stack.resources;
  return { resources, issues: tidy([...loaded.issues, ...unread, ...stack.issues]), config, ...told };
}

/** A warning until a manifest declares the directory, which otherwise depends on the memory of this host. */
const keptDirectory = ({ files, dir }: StackInput, project: string, directory: string): Issue => ({
  ...{ file: files[0]?.path ?? dir, line: 1, column: 1, key: 'x-fairlead.project_directory', severity: 'warning' },
  message: `stack ${project} was started from ${directory}, which is kept as its directory; write \`x-fairlead: {project_directory: ${directory}}\` at the top level to say so in the repository`,
});

/** Text of the files that are parsed. A file that is no text is an issue, and counts as empty. */
function readersOf(payload: Payload) {
  const unread: Issue[] = [];
  const read = (path: string): string | undefined => {
    const bytes = payload.get(path);
    if (bytes === undefined) return undefined;
    const { text, issue } = textOrIssue(path, bytes);
    if (issue) unread.push(issue);
    return text ?? '';
  };
  /** Compose files are read by everybody who validates the repository. */
  const readModel = (path: string): string | undefined => {
    if (!payload.secret?.(path)) return read(path);
    const message = notReadable(path, 'compose files are read without a key');
    unread.push({ file: path, line: 1, column: 1, key: '', severity: 'error', message });
    return '';
  };
  return { read, readModel, unread };
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
