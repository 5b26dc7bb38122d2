/** The hosts of a fleet: the directories that the globs of fleet.yaml name. */
import type { Shared } from '../git/store/tree.ts';
import type { Entry } from '../git/store/tree-entry.ts';

export interface FleetHost {
  /** The last part of its directory's name. */
  name: string;
  /** Its directory in the repository. */
  path: string;
}

/** A path that a glob names and that is no directory of files. */
export interface NoHost {
  path: string;
  type: 'link' | 'submodule';
}

interface Found {
  hosts: FleetHost[];
  others: NoHost[];
}

/** @returns both by path */
export async function findHosts(shared: Shared, root: string, globs: readonly string[]): Promise<Found> {
  const found = new Map<string, Entry>();
  await Promise.all(globs.map((glob) => walk(shared, { tree: root, at: '', parts: partsOf(glob) }, found)));
  const sorted = [...found].sort(([a], [b]) => (a < b ? -1 : 1));
  const hosts: FleetHost[] = [];
  const others: NoHost[] = [];
  for (const [path, { type }] of sorted)
    if (type === 'tree') hosts.push({ path, name: path.slice(path.lastIndexOf('/') + 1) });
    else if (type !== 'file') others.push({ path, type });
  return { hosts, others };
}

type Part = RegExp | '**';
const partsOf = (glob: string): Part[] =>
  glob
    .split('/')
    .filter(Boolean)
    .map((part) => (part === '**' ? part : segment(part)));

/** `*` any characters of one name, `?` one character, `{a,b}` either; all else is itself. */
const segment = (part: string): RegExp => {
  const body = part
    .replace(/[.+^$()|[\]\\]/g, '\\$&')
    .replace(/\*+/g, '[^/]*')
    .replaceAll('?', '[^/]')
    .replace(/\{([^{}]*)\}/g, (_, list: string) => `(?:${list.split(',').join('|')})`)
    .replace(/[{}]/g, '\\$&');
  return new RegExp(`^${body}$`);
};

interface Place {
  tree: string;
  /** Path of the tree; empty for the top. */
  at: string;
  parts: readonly Part[];
}

/** `**` stands for any number of names, and for at least one at the end. */
async function walk(shared: Shared, { tree, at, parts }: Place, found: Map<string, Entry>): Promise<void> {
  const [part, ...rest] = parts;
  if (part === undefined) return;
  const below: Promise<void>[] = [];
  if (part === '**' && rest.length > 0) below.push(walk(shared, { tree, at, parts: rest }, found));
  for (const entry of (await shared.list(tree)).values()) {
    if (part !== '**' && !part.test(entry.name)) continue;
    const path = at === '' ? entry.name : `${at}/${entry.name}`;
    if (rest.length === 0) found.set(path, entry);
    if (entry.type !== 'tree') continue;
    const next = part === '**' ? parts : rest;
    if (next.length > 0) below.push(walk(shared, { tree: entry.oid, at: path, parts: next }, found));
  }
  await Promise.all(below);
}
