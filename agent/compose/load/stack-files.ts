/** Which files a stack is made of: those with the usual names, or those that the repository names in their place. Pure. */
import type { Issue } from '../../core/types.ts';
import { InterpolationError, interpolate } from '../merge/interpolate.ts';
import { child, issue, type Node, stringOf } from '../yaml/node.ts';
import { baseName, isWithin, joinPath, parentOf } from '../yaml/paths.ts';
import { readYaml } from '../yaml/yaml.ts';
import type { ProjectInput } from './load.ts';
import { sourceOf } from './loading.ts';
import { atVariable } from './variables.ts';

type File = ProjectInput['files'][number];
type Variables = ReadonlyMap<string, string>;

const DEFAULTS = /^(docker-)?compose(\.override)?\.ya?ml$/;
const MAIN = /^(docker-)?compose\.ya?ml$/;
/** At the top level of a compose file: the files of the stack, for hosts alone. */
const KEY = 'x-fairlead.files';

/**
 * In the order in which they are merged; manifests of the directory still join them. `COMPOSE_FILE` of `vars` is stronger than
 * `x-fairlead: {files: […]}` of the stack's own file, and that than `COMPOSE_FILE` of its `.env`, which may be meant for a
 * development machine.
 */
export function chosenFiles(input: ProjectInput, variables: Variables, issues: Issue[]): readonly File[] {
  const names = variables.get('COMPOSE_FILE');
  if (input.vars.get('COMPOSE_FILE') && names) return namedByVariable(input, names, variables, issues);
  const lists = new Map<File, Node>();
  for (const file of input.files) {
    const list = listOf(input, file);
    if (list === undefined) continue;
    if (MAIN.test(baseName(file.path))) lists.set(file, list);
    else issues.push(withoutEffect(list, file.path));
  }
  if (lists.size > 0) return input.files.flatMap((file) => inItsPlace(input, file, lists, variables, issues));
  return names ? namedByVariable(input, names, variables, issues) : input.files;
}

/** Files that are not even looked at as YAML where they cannot say it. */
function listOf({ dir, hostDir }: ProjectInput, file: File): Node | undefined {
  if (!/x-fairlead/.test(file.text) || !/files/.test(file.text)) return undefined;
  const { documents } = readYaml(
    sourceOf({ ...file, dir: file.dir ?? dir, hostDir: file.hostDir ?? hostDir }),
    file.text,
  );
  const lists = documents.map(({ root }) => child(child(root, 'x-fairlead'), 'files'));
  return lists.findLast((list) => list !== undefined);
}

/** The files that a compose file names, in its place; of its directory nothing else that is merged for its name alone. */
function inItsPlace(
  input: ProjectInput,
  file: File,
  lists: ReadonlyMap<File, Node>,
  variables: Variables,
  issues: Issue[],
): File[] {
  const dir = parentOf(file.path);
  const list = lists.get(file);
  const main = [...lists.keys()].find(({ path }) => parentOf(path) === dir);
  if (list === undefined) return main !== undefined && DEFAULTS.test(baseName(file.path)) ? [] : [file];
  const wrong = (at: Node, message: string) => void issues.push(issue(at.at, KEY, message));
  const items = list.kind === 'list' ? list.items : [];
  const own = baseName(file.path);
  const names = items.map((item) => nameIn(item, variables));
  if (!names.includes(own))
    wrong(
      list,
      `\`files\` must be a list of compose files, with ${own} among them, such as [${own}, compose.prod.yaml]`,
    );
  return items.flatMap((item, i): File[] => {
    const name = names[i] ?? '';
    const path = joinPath(dir, name);
    if (path === file.path) return names.indexOf(name) === i ? [file] : [];
    const isBelow = name !== '' && !name.startsWith('/') && isWithin(path, dir);
    const text = isBelow ? (input.readModel ?? input.read)(path) : undefined;
    if (text === undefined) wrong(item, `\`${name}\` of \`files\` is not in the repository; expected it at ${path}`);
    else if (names.indexOf(name) !== i) wrong(item, `\`${name}\` occurs twice in \`files\`; remove one of them`);
    else {
      const named = { path, text, layer: file.layer, ...placeOf(input, file) };
      const more = listOf(input, named);
      if (more !== undefined) issues.push(withoutEffect(more, path));
      return [named];
    }
    return [];
  });
}

const withoutEffect = (list: Node, path: string): Issue =>
  issue(list.at, KEY, `\`files\` has no effect in ${path}; write it in the stack's compose.yaml`);

/** Compose takes relative paths of all its files from the directory of the first one. */
function placeOf({ dir }: ProjectInput, file: File): Pick<File, 'dir' | 'hostDir'> {
  const own = file.dir ?? dir;
  return { dir: own, ...(file.hostDir === undefined ? {} : { hostDir: file.hostDir }) };
}

function nameIn(item: Node, variables: Variables): string {
  try {
    return interpolate(stringOf(item) ?? '', { get: (name) => variables.get(name) });
  } catch (thrown) {
    if (thrown instanceof InterpolationError) return '';
    throw thrown;
  }
}

/** COMPOSE_FILE names the files in place of those with the usual names; manifests of the directory still join them. */
function namedByVariable(input: ProjectInput, names: string, variables: Variables, issues: Issue[]): readonly File[] {
  const { files, dir, read, readModel = read } = input;
  const usual = (file: File) => parentOf(file.path) === dir && DEFAULTS.test(baseName(file.path));
  const layer = files[0]?.layer ?? dir;
  const chosen = names.split(variables.get('COMPOSE_PATH_SEPARATOR') || ':').flatMap((name, i): File[] => {
    const path = joinPath(dir, name);
    const text = name.startsWith('/') || !isWithin(path, dir) ? undefined : readModel(path);
    const problem =
      text === undefined
        ? `\`${name}\` of COMPOSE_FILE is not in the repository; expected it at ${path}`
        : i === 0 && parentOf(path) !== dir
          ? `the first file of COMPOSE_FILE, \`${name}\`, must lie in the stack's own directory`
          : null;
    if (problem === null) return [{ path, text: text ?? '', layer }];
    issues.push(atVariable(input, 'COMPOSE_FILE', problem));
    return [];
  });
  return [...chosen, ...files.filter((file) => !usual(file))];
}
