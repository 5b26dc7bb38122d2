/** Lists the files of one layer, follows its links, and names entries that hosts refuse (submodules, LFS pointers, large files). */
import { type Content, sizeOf } from '../../core/payload/payload.ts';
import { AgentError } from '../../errors.ts';
import { type Objects, OversizedObject } from '../pack/objects.ts';
import type { Entry } from './tree-entry.ts';

/** One directory that belongs to a host: its own directory, or that of a role. */
export interface Layer {
  path: string;
  tree: string;
  /** All entries except directories, by path, in the order of the trees. */
  entries: readonly Entry[];
}

/** A path that no host takes, and why. */
export interface Refused {
  file: string;
  message: string;
}

export interface LayerFiles {
  contents: ReadonlyMap<string, Content>;
  /** Paths of executable files, also of links to them. */
  executable: ReadonlySet<string>;
  refused: readonly Refused[];
}

/** Largest payload file in bytes: 64 MiB (docs/manifests.md, "files"). */
export const MAX_BLOB = 64 * 1024 * 1024;
/** Entries of all directories: one that is entered again and again, as a hostile tree has it, would have no end. */
export const MAX_ENTRIES = 200_000;

/** @throws MissingObject, DamagedObject; AgentError `InvalidRepository` if links form a cycle */
export async function readLayerFiles(objects: Objects, layer: Layer): Promise<LayerFiles> {
  const own = new Map<string, Content>();
  const executable = new Set<string>();
  const refused: Refused[] = [];
  const refuse = (file: string, message: string) => refused.push({ file, message });
  const links = new Map<string, string>();
  for (const { name, type, oid, executable: isExecutable } of layer.entries) {
    if (isExecutable) executable.add(name);
    if (type === 'submodule')
      refuse(name, `${name} is a submodule, which fairlead does not read; put the files into the repository`);
    else if (type === 'link') links.set(name, Buffer.from(await objects.read(oid, 'blob')).toString('utf8'));
    else {
      const content = await contentOf(objects, oid);
      if (content instanceof OversizedObject) refuse(name, overweight(name, content.size));
      else if (sizeOf(content) > MAX_BLOB) refuse(name, overweight(name, sizeOf(content)));
      else if (content instanceof Uint8Array && isLfsPointer(content)) refuse(name, lfsPointer(name));
      else own.set(name, content);
    }
  }
  for (const [at, target] of links) {
    // Links to directories of links double the number of entries each time.
    if (own.size > MAX_ENTRIES)
      throw new AgentError({ code: 'InvalidRepository', phase: 'load', message: tooMany(layer.path) });
    const why = follow(layer.path, at, target, { own, links, executable });
    const named = `${at} is a symbolic link to ${JSON.stringify(target)}, ${why}`;
    if (why) refuse(at, `${named}; use \`link:\` under \`files\` for links on the host`);
  }
  return { contents: own, executable, refused };
}

async function contentOf(objects: Objects, oid: string): Promise<Content | OversizedObject> {
  try {
    return (await objects.stored?.(oid)) ?? (await objects.read(oid, 'blob'));
  } catch (thrown) {
    if (thrown instanceof OversizedObject) return thrown;
    throw thrown;
  }
}

interface Followed {
  own: Map<string, Content>;
  links: ReadonlyMap<string, string>;
  executable: Set<string>;
}

/**
 * A link within its layer is replaced by its target; one that leaves the layer is refused.
 * @returns why it cannot be followed, or null
 */
function follow(layer: string, at: string, target: string, { own, links, executable }: Followed): string | null {
  const where = resolveLink(at, target);
  if (where === null || !(where === layer || where.startsWith(`${layer}/`)))
    return `which leads out of ${layer}; share files by a role (roles/<role>), and values by \`vars\` of fleet.yaml or a role`;
  if (at.startsWith(`${where}/`)) return 'which is a directory that contains it';
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

/** Null if it is absolute or leaves the repository. */
export function resolveLink(at: string, target: string): string | null {
  if (target.startsWith('/') || target.includes('\0')) return null;
  const parts = at.split('/').slice(0, -1);
  for (const part of target.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') parts.push(part);
    else if (parts.pop() === undefined) return null;
  }
  return parts.join('/');
}

export const tooMany = (where: string) => `${where} has more than ${MAX_ENTRIES} files and directories`;
export const overweight = (file: string, size: number) =>
  `${file} has ${size} bytes; payload files may have 64 MiB at most`;

export const lfsPointer = (file: string) =>
  `${file} is a Git LFS pointer, not the file; commit the file itself (fairlead fetches no LFS)`;
const LFS = Buffer.from('version https://git-lfs.github.com/spec/v1\n');
export const isLfsPointer = (bytes: Uint8Array) => bytes.length < 1024 && LFS.equals(bytes.subarray(0, LFS.length));
