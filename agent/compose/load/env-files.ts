/** `env_file` and `label_file`: what they say goes below what the service itself says. Pure, given the reader. */
import { EnvFileError, parseEnv } from '../merge/dotenv.ts';
import { child, issue, itemsOf, type MapNode, type Node, stringOf } from '../yaml/node.ts';
import { type Loading, spend } from './loading.ts';
import type { ComposeProject } from './types.ts';

export function addFileEnvironments(
  project: ComposeProject,
  model: MapNode,
  variables: ReadonlyMap<string, string>,
  loading: Loading,
): void {
  for (const [name, service] of Object.entries(project.services)) {
    const node = child(child(model, 'services'), name);
    const files = itemsOf(child(node, 'env_file'));
    if (files.length === 0) continue;
    const read = new Map<string, string>();
    for (const [i, file] of files.entries()) {
      const path = `services.${name}.env_file.${i}`;
      const given = child(file, 'path');
      const format = stringOf(child(file, 'format')) ?? '';
      const required = child(file, 'required');
      const optional =
        required?.kind === 'scalar' && (required.value === false || /^(false|no|off|n)$/i.test(String(required.value)));
      if (format !== '' && format !== 'raw') {
        loading.issues.push(
          issue(file.at, `${path}.format`, `\`${format}\` is not a format of env files; only \`raw\` is`),
        );
        continue;
      }
      const content = given && contentOf(given, optional, loading, path);
      if (content === undefined) continue;
      // The project's variables are the strongest, then the service's own, then those of the files above.
      const lookUp = (variable: string) => variables.get(variable) ?? service.environment?.[variable] ?? undefined;
      for (const [key, value] of parse({ content, format, lookUp, earlier: read }, loading)) read.set(key, value);
    }
    const merged = { ...Object.fromEntries(read), ...service.environment };
    if (Object.keys(merged).length > 0) service.environment = merged;
  }
}

export function addFileLabels(project: ComposeProject, model: MapNode, loading: Loading): void {
  for (const [name, service] of Object.entries(project.services)) {
    const files = itemsOf(child(child(child(model, 'services'), name), 'label_file'));
    const read = new Map<string, string>();
    for (const [i, file] of files.entries()) {
      const content = contentOf(file, false, loading, `services.${name}.label_file.${i}`);
      if (content === undefined) continue;
      const lookUp = (variable: string) => read.get(variable);
      for (const [key, value] of parse({ content, format: '', lookUp, earlier: read }, loading)) read.set(key, value);
    }
    if (read.size > 0) service.labels = { ...Object.fromEntries(read), ...service.labels };
  }
}

interface FileContent {
  repo: string;
  text: string;
}

function contentOf(node: Node, optional: boolean, loading: Loading, path: string): FileContent | undefined {
  const { read, issues } = loading;
  const written = stringOf(node) ?? '';
  const repo = node.kind === 'scalar' ? node.repo : undefined;
  const text = repo === undefined ? undefined : read(repo);
  // A variable has at least this many letters, more or less.
  if (repo !== undefined && text !== undefined)
    return spend(loading, 1 + Math.ceil(text.length / 5), node, path) ? { repo, text } : undefined;
  if (repo === undefined)
    issues.push(
      issue(
        node.at,
        path,
        `\`${written}\` is an absolute path; an agent reads files of the repository, so name one by a relative path`,
      ),
    );
  else if (!optional)
    issues.push(issue(node.at, path, `file \`${repo}\` is not in the repository; add it, or say \`required: false\``));
  return undefined;
}

interface EnvFile {
  content: FileContent;
  format: string;
  lookUp(name: string): string | undefined;
  /** Variables of the files before this one. */
  earlier: ReadonlyMap<string, string>;
}

function parse({ content, format, lookUp, earlier }: EnvFile, { issues }: Loading): ReadonlyMap<string, string> {
  const { repo, text } = content;
  try {
    return format === 'raw' ? parseRaw(text, lookUp) : parseEnv(text, lookUp, earlier);
  } catch (thrown) {
    if (!(thrown instanceof EnvFileError)) throw thrown;
    issues.push({ file: repo, line: thrown.line, column: 1, key: '', message: thrown.message, severity: 'error' });
    return new Map();
  }
}

/** `NAME=value` to the end of the line, without quotes or variables. */
function parseRaw(text: string, lookUp: (name: string) => string | undefined): Map<string, string> {
  const found = new Map<string, string>();
  for (const [i, raw] of text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .entries()) {
    const line = raw.trimStart();
    if (line === '' || line.startsWith('#')) continue;
    const at = line.indexOf('=');
    const name = at < 0 ? line : line.slice(0, at);
    if (name === '' || /\s/.test(name))
      throw new EnvFileError(`\`${name.slice(0, 60)}\` is not a variable's name`, i + 1);
    const value = at < 0 ? lookUp(name) : line.slice(at + 1);
    if (value !== undefined) found.set(name, value);
  }
  return found;
}
