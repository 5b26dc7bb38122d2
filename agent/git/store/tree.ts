/** This host's part of a commit: its place in the tree, its missing objects, and its files. */
import { parseYaml } from '../../../manifests-schema/yaml.ts';
import type { Content } from '../../core/payload/payload.ts';
import { AgentError } from '../../errors.ts';
import type { Objects } from '../pack/objects.ts';
import {
  isLfsPointer,
  type Layer,
  type LayerFiles,
  lfsPointer,
  MAX_ENTRIES,
  overweight,
  type Refused,
  readLayerFiles,
  resolveLink,
  tooMany,
} from './layer-files.ts';
import { type Entry, findEntry, parseTree } from './tree-entry.ts';

export interface View {
  layers: readonly Layer[];
  /** The blob of fleet.yaml. */
  fleet: string | null;
  hostExists: boolean;
  /** An entry at the place of a directory or of fleet.yaml that is neither. */
  misplaced: readonly Refused[];
}

/** Objects that several hosts of one commit have in common, read once. A command that reads a whole fleet creates it. */
export interface Shared {
  /** The entries of a directory. @throws MissingObject, DamagedObject */
  list(tree: string): Promise<ReadonlyMap<string, Entry>>;
  find(tree: string, name: string): Promise<Entry | null>;
  /** Layers of roles that are whole, by path. */
  layers: Map<string, Layer>;
  /** Files of roles, by path. */
  files: Map<string, Promise<LayerFiles>>;
}

/** Objects that must be fetched before the view is complete; empty if it is. */
export interface Located {
  /** Trees of which only the tree itself is needed: those on the path to a layer. */
  trees: readonly string[];
  /** Objects needed with all below them. */
  closures: readonly string[];
  /** Files and symbolic links whose directory is here and they are not: id → path. */
  files: ReadonlyMap<string, string>;
  /** Directories in roles/ that are not here, while it is not known yet which of them are named. */
  roles: readonly string[];
  view: View;
}

const MAX_DEPTH = 32;

/**
 * Finds the host's directory, fleet.yaml and the roles they name below `root`.
 * @param root object id of the commit's tree; always a resolved id: an unresolvable one must never look empty
 */
export async function locate(objects: Objects, root: string, hostPath: string, shared?: Shared): Promise<Located> {
  const trees = new Set<string>();
  const closures = new Set<string>();
  const files = new Map<string, string>();
  const entriesOf = async (oid: string, at: string) => parseTree(await objects.read(oid, 'tree'), at);
  const misplaced: Refused[] = [];
  const child = async (tree: string, name: string): Promise<Entry | null> => {
    if (shared) return shared.find(tree, name);
    if (await objects.has(tree)) return findEntry(await objects.read(tree, 'tree'), name);
    trees.add(tree);
    return null;
  };
  const descend = async (parts: readonly string[]): Promise<string | null> => {
    let tree = root;
    for (const [depth, part] of parts.entries()) {
      const entry = await child(tree, part);
      if (entry?.type !== 'tree') {
        if (entry && entry.type !== 'file') misplaced.push(notThere(parts.slice(0, depth + 1).join('/'), entry));
        return null;
      }
      tree = entry.oid;
    }
    return tree;
  };
  let visited = 0;
  /** Notes the missing objects of the closure of a tree. @returns true if it is complete. @param found takes its entries */
  const whole = async (tree: string, at: string, found: Entry[], depth = 0): Promise<boolean> => {
    if (!(await objects.has(tree))) {
      closures.add(tree);
      return false;
    }
    if (depth > MAX_DEPTH) throw invalid([`${at} is nested more than ${MAX_DEPTH} directories deep`]);
    const entries = (await entriesOf(tree, at)).map((entry) => ({ ...entry, name: `${at}/${entry.name}` }));
    visited += entries.length;
    if (visited > MAX_ENTRIES) throw invalid([tooMany(`${hostPath} with its roles`)]);
    const blobs = entries.filter(({ type }) => type === 'file' || type === 'link');
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
  if (fleetEntry && fleetEntry.type !== 'file') misplaced.push(notThere('fleet.yaml', fleetEntry));
  const fleet = fleetEntry?.type === 'file' ? fleetEntry.oid : null;
  const layers: Layer[] = [];
  /** Adds the layer; true when all of it is here. */
  const layer = async (path: string, tree: string): Promise<boolean> => {
    const known = shared?.layers.get(path);
    if (known) {
      layers.push(known);
      return true;
    }
    const entries: Entry[] = [];
    const found = { path, tree, entries };
    layers.push(found);
    const isWhole = await whole(tree, path, entries);
    if (isWhole && path !== hostPath) shared?.layers.set(path, found);
    return isWhole;
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
    view: { layers, fleet, hostExists: host !== null, misplaced },
  });
  if (!ready || trees.size > 0 || roles === null) return located(roles === null ? [] : await absentIn(roles));

  const named = [
    ...(fleet ? rolesIn('fleet.yaml', await objects.read(fleet, 'blob')) : []),
    ...(host ? await rolesOf(hostPath, 'host.yaml') : []),
  ];
  async function rolesOf(at: string, file: string): Promise<string[]> {
    const entries = layers.find(({ path }) => path === at)?.entries ?? [];
    const entry = await targetOf(objects, entries, `${at}/${file}`);
    return entry ? rolesIn(entry.name, await objects.read(entry.oid, 'blob')) : [];
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
    if (await layer(`roles/${role}`, tree)) named.push(...(await rolesOf(`roles/${role}`, 'role.yaml')));
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

/** All files of a complete view, and its entries that hosts refuse. */
export async function readView(objects: Objects, view: View, shared?: Shared): Promise<LayerFiles> {
  const contents = new Map<string, Content>();
  const executable = new Set<string>();
  const refused: Refused[] = [...view.misplaced];
  for (const layer of view.layers) {
    const known = shared?.files.get(layer.path);
    const reading = known ?? readLayerFiles(objects, layer);
    if (shared?.layers.has(layer.path)) shared.files.set(layer.path, reading);
    const found = await reading;
    refused.push(...found.refused);
    for (const [name, content] of found.contents) contents.set(name, content);
    for (const name of found.executable) executable.add(name);
  }
  if (view.fleet) {
    const bytes = await objects.read(view.fleet, 'blob');
    if (isLfsPointer(bytes)) refused.push({ file: 'fleet.yaml', message: lfsPointer('fleet.yaml') });
    contents.set('fleet.yaml', bytes);
  }
  return { contents, executable, refused };
}

/** All files of a whole view. @throws AgentError `InvalidRepository` with all that is wrong with their kinds */
export async function readFiles(objects: Objects, view: View): Promise<LayerFiles> {
  const found = await readView(objects, view);
  if (found.refused.length > 0) throw invalid(found.refused.map(({ message }) => message));
  return found;
}

/** The file of this name, or the one that a link of this name leads to. */
async function targetOf(objects: Objects, entries: readonly Entry[], file: string): Promise<Entry | undefined> {
  const entry = entries.find((e) => e.name === file);
  if (entry?.type !== 'link') return entry?.type === 'file' ? entry : undefined;
  const target = Buffer.from(await objects.read(entry.oid, 'blob')).toString('utf8');
  const where = resolveLink(file, target);
  return entries.find((e) => e.name === where && e.type === 'file');
}

const notThere = (file: string, { type }: Entry): Refused => ({ file, message: `${file} ${NOT_TAKEN[type]}` });
const NOT_TAKEN: Record<Entry['type'], string> = {
  submodule: 'is a submodule, which fairlead does not read; put the files into the repository',
  link: 'is a symbolic link, and fairlead follows none there; put the files themselves into the repository',
  tree: 'is a directory, and must be a file',
  file: 'is a file, and must be a directory',
};

export const tooHeavy = (file: string, size: number) => invalid([overweight(file, size)]);

const invalid = (wrong: readonly string[]) =>
  new AgentError({ code: 'InvalidRepository', phase: 'load', message: wrong.slice(0, 20).join('; ') });
