/** `include`: another project's model, with its own directory and variables, brought into this one. Pure. */
import { EnvFileError, parseEnv } from '../merge/dotenv.ts';
import { project } from '../spec/spec.ts';
import { validate } from '../spec/validate.ts';
import { circle } from '../yaml/hints.ts';
import {
  child,
  entriesOf,
  issue,
  itemsOf,
  type MapNode,
  map,
  type Node,
  position,
  same,
  stringOf,
} from '../yaml/node.ts';
import { joinPath, parentOf } from '../yaml/paths.ts';
import { openPath } from './extends.ts';
import { loadModel, parseFile } from './files.ts';
import { hostDirOf, type Loading, type Scope, spend } from './loading.ts';
import { locate } from './resolve.ts';

const MAX_DEPTH = 50;
const SECTIONS = ['services', 'volumes', 'networks', 'secrets', 'configs'];

export function applyInclude(loading: Loading, scope: Scope, document: MapNode): void {
  const include = document.entries.get('include');
  if (include === undefined) return;
  document.entries.delete('include');
  const before = loading.issues.length;
  const shape = project.props?.include;
  if (shape) validate(include, shape, loading.issues, 'include');
  if (loading.issues.slice(before).some((i) => i.severity === 'error')) return;
  for (const [i, item] of itemsOf(include).entries()) includeOne(loading, scope, document, item, `include.${i}`);
}

function includeOne(loading: Loading, scope: Scope, document: MapNode, item: Node, path: string): void {
  const given = child(item, 'path') ?? item;
  const files = given.kind === 'list' ? given.items : [given];
  const repos = files.map((file) => openPath(loading, stringOf(file) ?? '', file, path));
  const [main] = repos;
  if (main === undefined || repos.includes(null)) return;
  const directory = directoryOf(loading, item, main as string, path);
  if (directory === null) return;
  const variables = variablesOf(loading, scope, item, directory.dir, path);
  const parsed = repos.flatMap((repo, i) => {
    const file = files[i] as Node;
    const content = loading.readModel(repo as string);
    if (scope.including.length > MAX_DEPTH) {
      loading.issues.push(issue(file.at, path, `files are included more than ${MAX_DEPTH} deep`));
      return [];
    }
    if (scope.including.includes(repo as string)) {
      const around = [...scope.including.slice(scope.including.indexOf(repo as string)), repo as string];
      loading.issues.push(issue(file.at, path, `\`include\` has a cycle: ${circle(around)}`));
      return [];
    }
    if (content === undefined) {
      loading.issues.push(
        issue(file.at, path, `\`${stringOf(file)}\` is not in the repository; expected it at ${repo}`),
      );
      return [];
    }
    loading.included.add(repo as string);
    return [parseFile(loading, { path: repo as string, text: content, layer: file.at.source.layer, ...directory })];
  });
  if (parsed.length < repos.length) return;
  const model = loadModel(loading, { ...scope, variables, extended: new Map() }, parsed);
  if (model && spend(loading, model, item, path)) bringIn(loading, document, model);
}

function directoryOf(
  loading: Loading,
  item: Node,
  main: string,
  path: string,
): { dir: string; hostDir: string } | null {
  const given = child(item, 'project_directory');
  const written = stringOf(given);
  if (given === undefined || written === undefined || written === '') {
    const dir = parentOf(main);
    return { dir, hostDir: hostDirOf(item.at.source, dir) };
  }
  // The included project then takes its files from that place on the host; their content in the repository is not known.
  if (written.startsWith('/')) {
    loading.issues.push(
      issue(
        given.at,
        path,
        '`project_directory` of an include must be relative, so that its files are found in the repository',
      ),
    );
    return null;
  }
  const dir = locate(written, given, loading, path);
  return dir === null ? null : { dir, hostDir: joinPath(given.at.source.hostDir, written) };
}

/** The variables of the project that includes come first, then those of the env files. */
function variablesOf(
  loading: Loading,
  scope: Scope,
  item: Node,
  dir: string,
  path: string,
): ReadonlyMap<string, string> {
  const given = child(item, 'env_file');
  const named = given === undefined ? [] : given.kind === 'list' ? given.items : [given];
  const env = new Map<string, string>();
  const files = named.flatMap((node) => {
    const repo = openPath(loading, stringOf(node) ?? '', node, path);
    if (repo === null) return [];
    if (loading.read(repo) !== undefined) return [{ repo, node }];
    loading.issues.push(issue(node.at, path, `\`${stringOf(node)}\` is not in the repository; expected it at ${repo}`));
    return [];
  });
  if (named.length === 0) {
    const repo = dir === '' ? '.env' : `${dir}/.env`;
    if (loading.read(repo) !== undefined) files.push({ repo, node: item });
  }
  for (const { repo } of files) {
    try {
      const read = parseEnv(loading.read(repo) ?? '', (name) => scope.variables.get(name) ?? env.get(name));
      for (const [name, value] of read) env.set(name, value);
    } catch (thrown) {
      if (!(thrown instanceof EnvFileError)) throw thrown;
      loading.issues.push({
        file: repo,
        line: thrown.line,
        column: 1,
        key: '',
        message: thrown.message,
        severity: 'error',
      });
    }
  }
  return new Map([...env, ...scope.variables]);
}

function bringIn(loading: Loading, document: MapNode, model: MapNode): void {
  for (const section of SECTIONS) {
    const entries = entriesOf(child(model, section));
    if (entries.length === 0) continue;
    const own = document.entries.get(section);
    const target = own?.kind === 'map' ? own : map([], (entries[0] as [string, Node])[1].at);
    for (const [name, value] of entries) {
      const there = target.entries.get(name);
      if (there && !same(there, value)) {
        const { file, line } = position(value.at);
        loading.issues.push(
          issue(
            there.at,
            `${section}.${name}`,
            `\`${section}.${name}\` is also brought in by \`include\`, from ${file}:${line}; rename one, or override it in a second file of the include`,
          ),
        );
      } else target.entries.set(name, value);
    }
    document.entries.set(section, target);
  }
}
