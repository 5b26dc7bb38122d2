/** This host's part of a commit: where it lies in the tree, what of it is missing here, and its files. */
import { parseYaml } from '../../../manifests-schema/yaml.ts';
import { type Content, sizeOf } from '../../core/payload.ts';
import { AgentError } from '../../errors.ts';
import type { Objects } from '../pack/objects.ts';
import { type Entry, findEntry, parseTree } from './tree-entry.ts';

/** One directory that belongs to this host: its own, or a role's. */
interface Layer {
  path: string;
  tree: string;
  /** All that lies in it but its directories, by path, in the order of its trees. */
  entries: readonly Entry[];
}

export interface View {
  layers: readonly Layer[];
  /** The blob of fleet.yaml. */
  fleet: string | null;
  hostExists: boolean;
}

/** What must be fetched before more can be said. Nothing missing: the view is whole. */
export interface Located {
  /** Trees of which only themselves are needed: those on the way. */
  trees: readonly string[];
  /** Objects needed with all below them. */
  closures: readonly string[];
  /** Files whose directory is here and they are not: id → path. */
  files: ReadonlyMap<string, string>;
  /** Directories in roles/ that are not here, while it is not known yet which of them are named. */
  roles: readonly string[];
  view: View;
}

/** Largest payload file in bytes: 64 MiB (docs/manifests.md, "files"). */
export const MAX_BLOB = 64 * 1024 * 1024;
const MAX_DEPTH = 32;
/** Entries of all directories: one that is entered again and again, as a hostile tree has it, would have no end. */
const MAX_ENTRIES = 200_000;

/**
 * Finds the host's directory, fleet.yaml and the roles they name below `root`.
 * @param root object id of the commit's tree; always a resolved id: an unresolvable one must never look empty
 */
export async function locate(objects: Objects, root: string, hostPath: string): Promise<Located> {
  const trees = new Set<string>();
  const closures = new Set<string>();
  const files = new Map<string, string>();
  const entriesOf = async (oid: string, at: string) => parseTree(await objects.read(oid, 'tree'), at);
  const child = async (tree: string, name: string): Promise<Entry | null> => {
    if (await objects.has(tree)) return findEntry(await objects.read(tree, 'tree'), name);
    trees.add(tree);
    return null;
  };
  const descend = async (parts: readonly string[]): Promise<string | null> => {
    let tree = root;
    for (const part of parts) {
      const entry = await child(tree, part);
      if (entry?.type !== 'tree') return null;
      tree = entry.oid;
    }
    return tree;
  };
  let visited = 0;
  /** Notes what of the closure of a tree is not here; true when all of it is. @param found takes in what lies below it */
  const whole = async (tree: string, at: string, found: Entry[], depth = 0): Promise<boolean> => {
    if (!(await objects.has(tree))) {
      closures.add(tree);
      return false;
    }
    if (depth > MAX_DEPTH) throw invalid([`${at} is nested more than ${MAX_DEPTH} directories deep`]);
    const entries = (await entriesOf(tree, at)).map((entry) => ({ ...entry, name: `${at}/${entry.name}` }));
    visited += entries.length;
    if (visited > MAX_ENTRIES) throw invalid([tooMany(`${hostPath} with its roles`)]);
    const blobs = entries.filter(({ type }) => type === 'file');
    const absent = new Set(await objects.lacking(blobs.map(({ oid }) => oid)));
    if (absent.size > 0) for (const { oid, name } of blobs) if (absent.has(oid)) files.set(oid, name);
    let all = absent.size === 0;
    for (const entry of entries) {
      if (entry.type !== 'tree') found.push(entry);
      else if (!(await whole(entry.oid, entry.name, found, depth + 1))) all = false;
    }
    return all;
  };

  const host = await descend(segments(hostPath));
  const roles = await descend(['roles']);
  if (roles !== null && !(await objects.has(roles))) trees.add(roles);
  const fleetEntry = await child(root, 'fleet.yaml');
  const fleet = fleetEntry?.type === 'file' ? fleetEntry.oid : null;
  const layers: Layer[] = [];
  /** Adds the layer; true when all of it is here. */
  const layer = async (path: string, tree: string): Promise<boolean> => {
    const entries: Entry[] = [];
    layers.push({ path, tree, entries });
    return whole(tree, path, entries);
  };
  if (fleet !== null && !(await objects.has(fleet))) closures.add(fleet);
  const ready = [fleet === null || (await objects.has(fleet)), host === null || (await layer(hostPath, host))].every(
    Boolean,
  );
  const located = (possible: readonly string[] = []): Located => ({
    trees: [...trees],
    closures: [...closures],
    files,
    roles: possible,
    view: { layers, fleet, hostExists: host !== null },
  });
  if (!ready || trees.size > 0 || roles === null) return located(roles === null ? [] : await absentIn(roles));

  const named = [
    ...(fleet ? rolesIn('fleet.yaml', await objects.read(fleet, 'blob')) : []),
    ...(host ? await rolesOf(host, hostPath, 'host.yaml') : []),
  ];
  async function rolesOf(tree: string, at: string, file: string): Promise<string[]> {
    const entry = (await entriesOf(tree, at)).find((e) => e.name === file && e.type === 'file');
    return entry ? rolesIn(`${at}/${file}`, await objects.read(entry.oid, 'blob')) : [];
  }
  async function absentIn(tree: string): Promise<string[]> {
    if (!(await objects.has(tree))) return [];
    const below = (await entriesOf(tree, 'roles')).filter((e) => e.type === 'tree').map((e) => e.oid);
    const here = await Promise.all(below.map((oid) => objects.has(oid)));
    return below.filter((_, at) => !here[at]);
  }
  const seen = new Set<string>();
  for (let role = named.shift(); role !== undefined; role = named.shift()) {
    if (seen.has(role)) continue;
    seen.add(role);
    // A role that does not exist is for the manifests' own checks to say.
    const tree = await descend(['roles', ...segments(role)]);
    if (tree === null) continue;
    if (await layer(`roles/${role}`, tree)) named.push(...(await rolesOf(tree, `roles/${role}`, 'role.yaml')));
  }
  return located();
}

/** Whether all of the view is here. */
export const isWhole = ({ trees, closures, files }: Located): boolean =>
  trees.length + closures.length + files.size === 0;

/** `roles:` of host.yaml, role.yaml or fleet.yaml; whatever else is wrong with the file is said when it is loaded. */
function rolesIn(file: string, bytes: Uint8Array): string[] {
  const { value } = parseYaml(file, Buffer.from(bytes).toString('utf8'));
  const roles = typeof value === 'object' && value !== null ? (value as { roles?: unknown }).roles : undefined;
  return Array.isArray(roles) ? roles.filter((r): r is string => typeof r === 'string' && isRoleName(r)) : [];
}

const isRoleName = (role: string) => segments(role).length > 0 && !segments(role).some((s) => s === '.' || s === '..');
const segments = (path: string) => path.split('/').filter(Boolean);

/** Ids of all that a view holds, for keeping. */
export async function idsOf(objects: Objects, root: string, hostPath: string, view: View): Promise<string[]> {
  const ids = [root, ...(view.fleet ? [view.fleet] : [])];
  for (const parts of [segments(hostPath), ...view.layers.map((l) => segments(l.path)), ['roles']]) {
    let tree = root;
    for (const part of parts) {
      const entry = findEntry(await objects.read(tree, 'tree'), part);
      if (entry?.type !== 'tree') break;
      tree = entry.oid;
      ids.push(tree);
    }
  }
  const below = async (tree: string): Promise<void> => {
    for (const e of parseTree(await objects.read(tree, 'tree'), '')) {
      if (e.type !== 'submodule') ids.push(e.oid);
      if (e.type === 'tree') await below(e.oid);
    }
  };
  for (const layer of view.layers) await below(layer.tree);
  return ids;
}

export interface Files {
  contents: Map<string, Content>;
  /** Names of those that git has as executables; a link's name, where it names one. */
  executable: Set<string>;
}

/** All files of a whole view. @throws AgentError `InvalidRepository` with all that is wrong with their kinds */
export async function readFiles(objects: Objects, view: View): Promise<Files> {
  const files = new Map<string, Content>();
  const executable = new Set<string>();
  const wrong: string[] = [];
  for (const layer of view.layers) {
    const links = new Map<string, string>();
    const own = new Map<string, Content>();
    for (const { name, type, oid, executable: isExecutable } of layer.entries) {
      if (isExecutable) executable.add(name);
      if (type === 'submodule')
        wrong.push(`${name} is a submodule, which fairlead does not read; put the files into the repository`);
      else if (type === 'link') links.set(name, Buffer.from(await objects.read(oid, 'blob')).toString('utf8'));
      else {
        const content = (await objects.stored?.(oid)) ?? (await objects.read(oid, 'blob'));
        if (sizeOf(content) > MAX_BLOB) wrong.push(overweight(name, sizeOf(content)));
        else if (content instanceof Uint8Array && isLfsPointer(content))
          wrong.push(`${name} is a Git LFS pointer, not the file; commit the file itself (fairlead fetches no LFS)`);
        else own.set(name, content);
      }
    }
    for (const [at, target] of links) {
      // Links to directories of links double what there is, each time.
      if (own.size > MAX_ENTRIES) throw invalid([tooMany(layer.path)]);
      const why = follow(layer.path, at, target, { own, links, executable });
      const named = `${at} is a symbolic link to ${JSON.stringify(target)}, ${why}`;
      if (why) wrong.push(`${named}; use \`link:\` under \`files\` for links on the host`);
    }
    for (const [name, bytes] of own) files.set(name, bytes);
  }
  if (view.fleet) files.set('fleet.yaml', await objects.read(view.fleet, 'blob'));
  if (wrong.length > 0) throw invalid(wrong);
  return { contents: files, executable };
}

interface Followed {
  own: Map<string, Content>;
  links: ReadonlyMap<string, string>;
  executable: Set<string>;
}

/**
 * A link within its layer stands for the file, or the files, it names; one that leaves the layer is refused.
 * @returns why it cannot be followed, or null
 */
function follow(layer: string, at: string, target: string, { own, links, executable }: Followed): string | null {
  const where = resolveLink(at, target);
  if (where === null || !(where === layer || where.startsWith(`${layer}/`))) return `which leads out of ${layer}`;
  if (at.startsWith(`${where}/`)) return 'which is a directory it lies in itself';
  const file = own.get(where);
  const below = file ? [] : [...own].filter(([name]) => name.startsWith(`${where}/`));
  const put = (name: string, from: string, content: Content) => {
    own.set(name, content);
    if (executable.has(from)) executable.add(name);
  };
  if (file) put(at, where, file);
  for (const [name, bytes] of below) put(at + name.slice(where.length), name, bytes);
  if (file || below.length > 0) return null;
  return links.has(where) ? 'which is a link again' : 'where there is nothing';
}

/** null where it is absolute, or climbs out of the repository. */
function resolveLink(at: string, target: string): string | null {
  if (target.startsWith('/') || target.includes('\0')) return null;
  const parts = at.split('/').slice(0, -1);
  for (const part of target.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') parts.push(part);
    else if (parts.pop() === undefined) return null;
  }
  return parts.join('/');
}

const tooMany = (where: string) => `${where} has more than ${MAX_ENTRIES} files and directories`;
const overweight = (file: string, size: number) => `${file} has ${size} bytes; payload files may have 64 MiB at most`;
export const tooHeavy = (file: string, size: number) => invalid([overweight(file, size)]);

const LFS = Buffer.from('version https://git-lfs.github.com/spec/v1\n');
const isLfsPointer = (bytes: Uint8Array) => bytes.length < 1024 && LFS.equals(bytes.subarray(0, LFS.length));

const invalid = (wrong: readonly string[]) =>
  new AgentError({ code: 'InvalidRepository', phase: 'load', message: wrong.slice(0, 20).join('; ') });
