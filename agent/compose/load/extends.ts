/** `extends`: a service on top of another one, of this file or of another. Pure. */

import { mergeMaps } from '../merge/merge.ts';
import { applyResets } from '../merge/resets.ts';
import { service as serviceShape } from '../spec/spec-service.ts';
import { circle, didYouMean } from '../yaml/hints.ts';
import { child, clone, issue, type MapNode, type Node, stringOf } from '../yaml/node.ts';
import { parentOf } from '../yaml/paths.ts';
import { loadForExtends } from './files.ts';
import { type ExtendedFile, hostDirOf, type Loading, type Scope, spend } from './loading.ts';
import { locate } from './resolve.ts';

const MAX_DEPTH = 200;

interface Extending {
  loading: Loading;
  scope: Scope;
  services: MapNode;
  /** `file: service` of what is being extended, outermost first. */
  trail: readonly string[];
  resets: readonly (readonly string[])[];
}

/** Every service of the document that has an `extends` becomes what that means. */
export function applyExtends(
  loading: Loading,
  scope: Scope,
  document: MapNode,
  resets: readonly (readonly string[])[],
): void {
  const services = document.entries.get('services');
  if (services?.kind !== 'map') return;
  for (const name of services.entries.keys()) extend({ loading, scope, services, trail: [], resets }, name);
}

function extend(state: Extending, name: string): Node | undefined {
  const { loading, services } = state;
  const service = services.entries.get(name);
  if (service?.kind !== 'map') return service;
  const how = service.entries.get('extends');
  if (how === undefined) return service;
  const path = `services.${name}.extends`;
  const fail = (node: Node, message: string) => {
    loading.issues.push(issue(node.at, path, message));
    return undefined;
  };
  const without = { ...service, entries: new Map([...service.entries].filter(([key]) => key !== 'extends')) };
  // Once, and not again for each service that extends this one.
  services.entries.set(name, without);
  const reference = child(how, 'service') ?? how;
  const wanted = stringOf(reference);
  if (wanted === undefined)
    return fail(how, '`extends` names a service, or has `service` and perhaps `file`') ?? without;
  const unknown =
    how.kind === 'map' ? [...how.entries].find(([key]) => key !== 'service' && key !== 'file') : undefined;
  if (unknown) fail(unknown[1], `unknown key \`${unknown[0]}\`; valid here: service, file`);

  const other = openFile(state, child(how, 'file'), path);
  if (other === null) return without;
  const from = other ? (child(other.model, 'services') ?? other.model) : services;
  const file = other ? [...other.model.entries.values()][0]?.at.source.file : service.at.source.file;
  if (from.kind !== 'map' || !from.entries.has(wanted)) {
    const known = from.kind === 'map' ? [...from.entries.keys()] : [];
    const where = other ? `${file ?? 'that file'}` : 'this file';
    return (
      fail(reference, `\`${name}\` extends \`${wanted}\`, which ${where} does not have${didYouMean(wanted, known)}`) ??
      without
    );
  }
  const step = `${file}: ${wanted}`;
  const trail = state.trail.length > 0 ? state.trail : [`${service.at.source.file}: ${name}`];
  if (trail.includes(step)) return fail(how, `\`extends\` has a cycle: ${circle([...trail, step])}`) ?? without;
  if (trail.length > MAX_DEPTH) return fail(how, `services are extended more than ${MAX_DEPTH} deep`) ?? without;
  const resets = other ? [...state.resets, ...other.resets] : state.resets;
  const base = extend({ ...state, services: from, trail: [...trail, step], resets }, wanted);
  if (base?.kind !== 'map' || !spend(loading, base, how, path)) return without;
  const copy = clone(base) as MapNode;
  for (const reset of resets) applyResets(copy, [reset], ['services', name]);
  const merged = mergeMaps(copy, without, serviceShape, loading.issues, `services.${name}`);
  services.entries.set(name, merged);
  return merged;
}

/** undefined: no other file is named; null: it cannot be read, which has been said. */
function openFile(
  { loading, scope }: Extending,
  file: Node | undefined,
  path: string,
): ExtendedFile | undefined | null {
  if (file === undefined) return undefined;
  const written = stringOf(file);
  if (written === undefined) {
    loading.issues.push(issue(file.at, path, '`file` is the path of a compose file'));
    return null;
  }
  const repo = (file.kind === 'scalar' ? file.repo : undefined) ?? openPath(loading, written, file, path);
  if (repo === null) return null;
  const known = scope.extended.get(repo);
  if (known) return known;
  const content = loading.readModel(repo);
  if (content === undefined) {
    loading.issues.push(issue(file.at, path, `\`${written}\` is not in the repository; expected it at ${repo}`));
    return null;
  }
  const dir = parentOf(repo);
  const loaded = loadForExtends(loading, scope, {
    path: repo,
    text: content,
    layer: file.at.source.layer,
    dir,
    hostDir: hostDirOf(file.at.source, dir),
  });
  scope.extended.set(repo, loaded);
  return loaded;
}

/** Compose also fetches from git and registries; a host reads its own repository only. */
export function openPath(loading: Loading, written: string, node: Node, path: string): string | null {
  if (/^([a-z]+:\/\/|git@|github\.com\/|oci:)/.test(written)) {
    loading.issues.push(issue(node.at, path, `\`${written}\` is not in this repository; copy the file into it`));
    return null;
  }
  if (written.startsWith('/')) {
    loading.issues.push(
      issue(node.at, path, `\`${written}\` is an absolute path; name a file of the repository by a relative one`),
    );
    return null;
  }
  return locate(written, node, loading, path);
}
