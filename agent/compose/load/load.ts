/** The files of one stack → its normalised project, as `docker compose config` would print it. Pure. */
import type { Issue, Origin } from '../../core/types.ts';
import { interpolate } from '../merge/interpolate.ts';
import { project as projectShape } from '../spec/spec.ts';
import {
  child,
  issue,
  type KeyPath,
  type MapNode,
  map,
  type Node,
  type Place,
  position,
  stringOf,
  toPlain,
} from '../yaml/node.ts';
import { baseName } from '../yaml/paths.ts';
import { checkConsistency } from './consistency.ts';
import { decode } from './decode.ts';
import { addFileEnvironments, addFileLabels } from './env-files.ts';
import { loadModel, type ParsedFile, parseFile } from './files.ts';
import { BUDGET, type FileToLoad, type Loading, tidy } from './loading.ts';
import { normaliseModel } from './normalise.ts';
import { refusals } from './refuse.ts';
import { chosenFiles } from './stack-files.ts';
import type { ComposeProject } from './types.ts';
import { atVariable, checkSwitches, variablesOf } from './variables.ts';

export interface ProjectInput {
  /** Directory of the stack in the repository. */
  dir: string;
  /** The same on the host, absolute: relative paths begin there. */
  hostDir: string;
  /** In the order in which they are merged. A layer's file may have a directory of its own. */
  files: readonly (Omit<FileToLoad, 'dir' | 'hostDir'> & Partial<Pick<FileToLoad, 'dir' | 'hostDir'>>)[];
  env: { path: string; text: string } | null;
  /** Weakest last: `vars`, then `.env`, then these built-ins. */
  vars: ReadonlyMap<string, string>;
  builtins: ReadonlyMap<string, string>;
  /** A file of the repository as text, undefined if there is none. */
  read(path: string): string | undefined;
  /** The same of a compose file, which must not be encrypted; where left out, `read`. */
  readModel?(path: string): string | undefined;
  /** Directories of the repository that relative paths must stay in. */
  roots: readonly string[];
}

export interface LoadedProject {
  project: ComposeProject;
  issues: Issue[];
  /** Place of a value of the project, or of its nearest parent; list items by number. */
  origin(path: KeyPath): Origin & { column: number };
  /** `x-…` of a value, as plain data. */
  extension(path: KeyPath, key: `x-${string}`): unknown;
  /** The path in the repository that a path of the project was made from. */
  repoPath(path: KeyPath): string | undefined;
  /** Content of secrets and configs that are variables: `secrets.name`, `configs.name`. Never shown. */
  values: ReadonlyMap<string, string>;
  /** Files of the repository that `include` brought in. */
  included: readonly string[];
  /** Services that no active profile has, with their profiles. */
  disabled: ReadonlyMap<string, readonly string[]>;
}

/** `project` has all that could be read; it is right only where no issue is an error. */
export function loadProject(input: ProjectInput): LoadedProject {
  const issues: Issue[] = [];
  const variables = variablesOf(input, issues);
  const loading: Loading = {
    issues,
    suspects: [],
    roots: input.roots,
    home: variables.get('HOME'),
    read: input.read,
    readModel: input.readModel ?? input.read,
    values: new Map(),
    included: new Set(),
    budget: { left: BUDGET },
  };
  checkSwitches(input, variables, issues);
  const files = chosenFiles(input, variables, issues).map((file) =>
    parseFile(loading, { ...file, dir: file.dir ?? input.dir, hostDir: file.hostDir ?? input.hostDir }),
  );
  const name = projectName(input, files, variables);
  checkGivenName(input, variables, issues);
  variables.set('COMPOSE_PROJECT_NAME', name);
  const empty = map([], {
    source: { file: input.files[0]?.path ?? input.dir, layer: '', dir: input.dir, hostDir: input.hostDir, lines: [0] },
    offset: 0,
  });
  const model = loadModel(loading, { variables, including: [], extended: new Map() }, files) ?? empty;
  if (model.entries.size === 0 && files.length > 0 && !issues.some((i) => i.severity === 'error'))
    issues.push(issue(model.at, '', 'this stack is empty; declare `services`'));
  if (name === '') issues.push(issue(model.at, 'name', 'this directory gives no project name; set `name`'));
  if (issues.some((i) => i.severity === 'error')) {
    convict(model, loading);
    return finish(emptyProject(name), model, loading, new Map());
  }
  normaliseModel(model, name, variables);
  const project = bind(model, name, issues);
  const disabled = disableByProfiles(project, model, variables);
  const guilty = convict(model, loading);
  addFileEnvironments(project, model, variables, loading);
  addFileLabels(project, model, loading);
  const report = (path: KeyPath, message: string) => {
    const node = nodeAt(model, path);
    if (guilty.has(placeOf(node.at))) return;
    issues.push(issue(node.at, path.join('.'), message));
  };
  checkConsistency(project, disabled, report);
  for (const service of Object.values(project.services))
    if (service.scale !== undefined && service.deploy) service.deploy.replicas = service.scale;
  dropUnused(project);
  issues.push(...refusals(model, project).map(withOverride));
  return finish(project, model, loading, disabled);
}

const placeOf = ({ source, offset }: Place): string => `${source.file} ${offset}`;

/**
 * Turns warnings about unset variables into errors, if what they spoil is still part of the project: a later file may have
 * replaced it, and a service may be off. @returns places of these
 */
function convict(model: MapNode, { suspects }: Loading): ReadonlySet<string> {
  if (suspects.length === 0) return new Set();
  const used = new Set<string>();
  const visit = (node: Node): void => {
    if (node.kind === 'scalar') used.add(placeOf(node.at));
    else for (const below of node.kind === 'list' ? node.items : node.entries.values()) visit(below);
  };
  visit(model);
  const guilty = suspects.filter(({ at }) => used.has(placeOf(at)));
  for (const { issue: told } of guilty) told.severity = 'error';
  return new Set(guilty.map(({ at }) => placeOf(at)));
}

const emptyProject = (name: string): ComposeProject => ({ name, services: {} });

function finish(
  project: ComposeProject,
  model: MapNode,
  loading: Loading,
  disabled: LoadedProject['disabled'],
): LoadedProject {
  return {
    project,
    issues: tidy(loading.issues),
    origin(path) {
      const { at } = nodeAt(model, path);
      return { ...position(at), layer: at.source.layer };
    },
    extension(path, key) {
      const found = child(nodeAt(model, path), key);
      return found === undefined ? undefined : toPlain(found);
    },
    repoPath(path) {
      const node = nodeAt(model, path);
      return node.kind === 'scalar' ? node.repo : undefined;
    },
    values: loading.values,
    included: [...loading.included],
    disabled,
  };
}

const OVERRIDE = /^(docker-)?compose\.override\.ya?ml$/;

/** Many a file of a development machine is merged because of its name alone, and its author does not know of hosts. */
function withOverride(told: Issue): Issue {
  const name = baseName(told.file);
  if (told.severity !== 'error' || !OVERRIDE.test(name)) return told;
  const main = name.replace('.override', '');
  return {
    ...told,
    message: `${told.message} (${name} is merged as \`docker compose\` merges it; \`x-fairlead: {files: [${main}]}\` in ${main} leaves it out)`,
  };
}

/** The value at a path, or as much of the way as there is. */
function nodeAt(root: Node, path: KeyPath): Node {
  let node = root;
  for (const step of path) {
    const next = node.kind === 'list' ? node.items[Number(step)] : child(node, String(step));
    if (next === undefined) break;
    node = next;
  }
  return node;
}

/** COMPOSE_PROJECT_NAME, the last `name` of the files, or the directory's name. */
function projectName(
  input: ProjectInput,
  files: readonly ParsedFile[],
  variables: ReadonlyMap<string, string>,
): string {
  const given = variables.get('COMPOSE_PROJECT_NAME');
  if (given) return cleanName(given);
  const names = files.flatMap((file) => file.documents.map(({ root }) => stringOf(child(root, 'name'))));
  const last = names.filter((n) => n !== undefined && n !== '').at(-1);
  return cleanName(last === undefined ? '' : quietly(last, variables)) || cleanName(input.dir.split('/').at(-1) ?? '');
}

function checkGivenName(input: ProjectInput, variables: ReadonlyMap<string, string>, issues: Issue[]): void {
  const given = variables.get('COMPOSE_PROJECT_NAME') ?? '';
  if (given === cleanName(given)) return;
  const message = `COMPOSE_PROJECT_NAME is \`${given}\`; a project's name has lower case letters, digits, - and _, and begins with a letter or digit`;
  issues.push(atVariable(input, 'COMPOSE_PROJECT_NAME', message));
}

/** Errors of the file are reported where the file is read. */
function quietly(template: string, variables: ReadonlyMap<string, string>): string {
  try {
    return interpolate(template, { get: (name) => variables.get(name) });
  } catch {
    return '';
  }
}

/** Compose Specification, "Top-level name": lower case letters, digits, - and _, beginning with a letter or digit. */
const cleanName = (text: string): string =>
  text
    .toLowerCase()
    .replace(/[^a-z0-9_-]/g, '')
    .replace(/^[_-]+/, '');

/** Takes the services that no active profile has out of the project. */
function disableByProfiles(
  project: ComposeProject,
  model: MapNode,
  variables: ReadonlyMap<string, string>,
): Map<string, readonly string[]> {
  const active = (variables.get('COMPOSE_PROFILES') ?? '').split(',').map((p) => p.trim());
  const disabled = new Map<string, readonly string[]>();
  const services = child(model, 'services');
  for (const [name, { profiles = [] }] of Object.entries(project.services)) {
    if (profiles.length === 0 || active.includes('*') || profiles.some((p) => active.includes(p))) continue;
    disabled.set(name, profiles);
    delete project.services[name];
    if (services?.kind === 'map') services.entries.delete(name);
  }
  return disabled;
}

function bind(model: MapNode, name: string, issues: Issue[]): ComposeProject {
  const project: Record<string, unknown> = { name, services: {} };
  for (const [key, node] of model.entries) {
    const shape = projectShape.props && Object.hasOwn(projectShape.props, key) ? projectShape.props[key] : undefined;
    if (key === 'name') continue;
    const value = shape ? decode(node, shape, { issues }, key) : toPlain(node);
    if (value !== undefined) project[key] = value;
  }
  return project as unknown as ComposeProject;
}

/** Networks, volumes, configs and secrets that no running service refers to. */
function dropUnused(project: ComposeProject): void {
  const services = Object.values(project.services);
  const used = {
    networks: services.flatMap((s) => Object.keys(s.networks ?? {})),
    volumes: services.flatMap((s) =>
      (s.volumes ?? []).flatMap((m) => (m.type === 'volume' && m.source ? [m.source] : [])),
    ),
    configs: services.flatMap((s) => (s.configs ?? []).map((c) => c.source ?? '')),
    secrets: services.flatMap((s) => (s.secrets ?? []).map((c) => c.source ?? '')),
  };
  for (const section of ['networks', 'volumes', 'configs', 'secrets'] as const) {
    const names = new Set(used[section]);
    const kept = Object.entries(project[section] ?? {}).filter(([key]) => names.has(key));
    if (kept.length > 0) project[section] = Object.fromEntries(kept) as never;
    else delete project[section];
  }
}
