/** Merges the files of one project into one model in its long form, in the order of Compose's own steps. Pure. */

import { SECTIONS } from '../../../manifests-schema/kinds/index.ts';
import { fill } from '../merge/fill.ts';
import { merge } from '../merge/merge.ts';
import { applyResets } from '../merge/resets.ts';
import { applyDefaults, checkRules } from '../merge/rules.ts';
import { enforceUnicity } from '../merge/unicity.ts';
import { project } from '../spec/spec.ts';
import { validate } from '../spec/validate.ts';
import { child, entriesOf, isNull, issue, list, type MapNode, map, type Node, stringOf, text } from '../yaml/node.ts';
import { readYaml, type YamlDocument } from '../yaml/yaml.ts';
import { applyExtends } from './extends.ts';
import { applyInclude } from './include.ts';
import { type FileToLoad, type Loading, type Scope, sourceOf } from './loading.ts';
import { lengthen } from './long-form.ts';
import { resolvePaths } from './resolve.ts';

/** A file that was parsed already. */
export interface ParsedFile extends FileToLoad {
  documents: YamlDocument[];
}

/** Sections of other kinds may stand in the same manifest. */

export function parseFile(loading: Loading, file: FileToLoad): ParsedFile {
  const { documents, issues } = readYaml(sourceOf(file), file.text);
  loading.issues.push(...issues);
  return { ...file, documents };
}

/** undefined if nothing of them can be read. */
export function loadModel(loading: Loading, scope: Scope, files: readonly ParsedFile[]): MapNode | undefined {
  let model: MapNode | undefined;
  for (const file of files) {
    for (const { root, resets } of file.documents) {
      if (root === undefined || isNull(root)) continue;
      if (root.kind !== 'map') {
        loading.issues.push(issue(root.at, '', 'a compose file is a mapping with `services`'));
        continue;
      }
      model = addDocument(loading, scope, file, model ?? map([], root.at), { root, resets });
    }
  }
  if (model === undefined) return undefined;
  applyDefaults(model);
  checkRules(model, loading.issues);
  resolvePaths(model, loading);
  resolveEnvironment(model, scope, loading);
  return model;
}

function addDocument(
  loading: Loading,
  scope: Scope,
  file: FileToLoad,
  model: MapNode,
  { root, resets }: YamlDocument & { root: Node },
): MapNode {
  const filled = fill(withoutOtherKinds(root), project, {
    get: (name) => scope.variables.get(name),
    issues: loading.issues,
    suspects: loading.suspects,
  });
  if (filled.kind !== 'map') return model;
  applyExtends(loading, scope, filled, resets);
  applyResets(model, resets);
  applyInclude(loading, { ...scope, including: [...scope.including, file.path] }, filled);
  const merged = enforceUnicity(merge(model, filled, project, loading.issues), project) as MapNode;
  validate(merged, project, loading.issues);
  const version = merged.entries.get('version');
  if (version)
    loading.issues.push(issue(version.at, 'version', '`version` is obsolete and has no effect; remove it', 'warning'));
  merged.entries.delete('version');
  return toLongForm(loading, merged);
}

/** Ports may turn out to be the same only once they are written out. */
function toLongForm(loading: Loading, model: MapNode): MapNode {
  const long = lengthen(model, project, loading) as MapNode;
  for (const [, service] of entriesOf(child(long, 'services'))) {
    const dns = child(service, 'dns');
    if (dns?.kind === 'list') dns.items = dns.items.filter((item) => !isNull(item) && stringOf(item) !== '');
  }
  return enforceUnicity(long, project) as MapNode;
}

function withoutOtherKinds(root: Node): Node {
  const sections: readonly string[] = SECTIONS;
  if (root.kind !== 'map' || !sections.some((key) => root.entries.has(key))) return root;
  return { ...root, entries: new Map([...root.entries].filter(([key]) => !sections.includes(key))) };
}

/** A file that a service is extended from: neither its includes nor its own extends are followed here. */
export function loadForExtends(
  loading: Loading,
  scope: Scope,
  file: FileToLoad,
): { model: MapNode; resets: YamlDocument['resets'] } {
  let model: MapNode | undefined;
  let last: YamlDocument['resets'] = [];
  for (const { root, resets } of parseFile(loading, file).documents) {
    if (root?.kind !== 'map') continue;
    const filled = fill(withoutOtherKinds(root), project, {
      get: (name) => scope.variables.get(name),
      issues: loading.issues,
      suspects: loading.suspects,
    });
    last = resets;
    if (model) applyResets(model, resets);
    const merged = enforceUnicity(model ? merge(model, filled, project, loading.issues) : filled, project);
    model = toLongForm(loading, merged as MapNode);
  }
  const place = { source: sourceOf(file), offset: 0 };
  if (model) resolvePaths(model, loading);
  return { model: model ?? map([], place), resets: last };
}

/** `environment: [NAME]`, and secrets and configs that are variables. */
function resolveEnvironment(model: MapNode, { variables }: Scope, loading: Loading): void {
  for (const [, service] of entriesOf(child(model, 'services'))) {
    const environment = child(service, 'environment');
    if (environment?.kind !== 'list' || service.kind !== 'map') continue;
    const items = environment.items.map((item) => {
      const name = stringOf(item);
      const value = name === undefined ? undefined : variables.get(name);
      return value === undefined ? item : text(`${name}=${value}`, item.at);
    });
    service.entries.set('environment', list(items, environment.at));
  }
  for (const section of ['secrets', 'configs']) {
    for (const [name, entry] of entriesOf(child(model, section))) {
      const variable = stringOf(child(entry, 'environment'));
      const value = variable === undefined ? undefined : variables.get(variable);
      if (value !== undefined) loading.values.set(`${section}.${name}`, value);
    }
  }
}
