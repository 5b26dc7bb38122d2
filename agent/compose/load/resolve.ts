/** Relative paths made absolute, each from the directory of the file that wrote it. Pure. */
import type { Issue } from '../../core/types.ts';
import {
  child,
  entriesOf,
  issue,
  itemsOf,
  type MapNode,
  type Node,
  type Source,
  stringOf,
  text,
} from '../yaml/node.ts';
import { isWithin, joinPath } from '../yaml/paths.ts';

/** Directories of the repository that this host reads. */
export interface Reach {
  roots: readonly string[];
  /** HOME of the stack's variables; undefined if there is none. */
  home?: string | undefined;
  issues: Issue[];
}

/** All paths of a model in its long form. */
export function resolvePaths(model: MapNode, reach: Reach): void {
  for (const [name, service] of entriesOf(child(model, 'services'))) {
    if (service.kind !== 'map') continue;
    const at = `services.${name}`;
    replaceItems(child(service, 'label_file'), (item, i) => resolvePath(item, reach, `${at}.label_file.${i}`));
    for (const [i, item] of itemsOf(child(service, 'env_file')).entries())
      replace(item, 'path', reach, `${at}.env_file.${i}.path`);
    replace(child(service, 'extends'), 'file', reach, `${at}.extends.file`);
    for (const [i, mount] of itemsOf(child(service, 'volumes')).entries()) {
      if (stringOf(child(mount, 'type')) !== 'bind' || mount.kind !== 'map') continue;
      if (!mount.entries.has('source'))
        reach.issues.push(issue(mount.at, `${at}.volumes.${i}`, 'a mount of type bind needs its `source`'));
      else replace(mount, 'source', reach, `${at}.volumes.${i}.source`);
    }
  }
  for (const section of ['configs', 'secrets'])
    for (const [name, value] of entriesOf(child(model, section)))
      replace(value, 'file', reach, `${section}.${name}.file`);
  for (const [name, volume] of entriesOf(child(model, 'volumes'))) {
    const options = child(volume, 'driver_opts');
    if (stringOf(child(volume, 'driver')) === 'local' && stringOf(child(options, 'o')) === 'bind')
      replace(options, 'device', reach, `volumes.${name}.driver_opts.device`);
  }
}

function replaceItems(node: Node | undefined, change: (item: Node, i: number) => Node): void {
  if (node?.kind === 'list') node.items = node.items.map(change);
}

function replace(owner: Node | undefined, key: string, reach: Reach, path: string): void {
  const value = child(owner, key);
  if (owner?.kind === 'map' && value !== undefined) owner.entries.set(key, resolvePath(value, reach, path));
}

function resolvePath(node: Node, reach: Reach, path: string): Node {
  const written = stringOf(node);
  if (written === undefined || written === '' || written.startsWith('/') || /^([a-zA-Z]:[\\/]|\\\\)/.test(written))
    return node;
  const home = inHome(written, reach);
  if (home !== null) return text(home, node.at);
  const repo = locate(written, node, reach, path);
  if (repo === null) return node;
  return { ...text(joinPath(node.at.source.hostDir, written), node.at), repo };
}

/** `~` and `~/…` begin at HOME; null if there is no such path. */
const inHome = (written: string, { home }: Reach): string | null =>
  home?.startsWith('/') && /^~(\/|$)/.test(written) ? joinPath(home, `.${written.slice(1)}`) : null;

/**
 * The file of the repository that a relative path names; null, with an issue, if it lies outside the directories of this
 * host.
 */
export function locate(written: string, { at }: Node, { roots, home, issues }: Reach, path: string): string | null {
  if (written.startsWith('~')) {
    issues.push(
      issue(
        at,
        path,
        `\`${written}\` begins in a home directory, and HOME is not ${home === undefined ? 'set' : 'an absolute path'}; set HOME in \`vars\` or .env, or write an absolute path`,
      ),
    );
    return null;
  }
  const repo = inRepository(at.source, written);
  if (repo !== null && roots.some((root) => isWithin(repo, root))) return repo;
  const why = repo === null ? 'leaves the repository' : `is outside of what this host reads (${roots.join(', ')})`;
  issues.push(
    issue(
      at,
      path,
      `\`${written}\` ${why}; put what it names below it, share files by a role (roles/<role>), and values by \`vars\` of fleet.yaml or a role`,
    ),
  );
  return null;
}

/** null if it is outside of the repository. */
export function inRepository(source: Pick<Source, 'dir'>, written: string): string | null {
  const path = joinPath(source.dir === '' ? '.' : source.dir, written);
  return path === '..' || path.startsWith('../') ? null : path === '.' ? '' : path;
}
