/** The hosts that a change reaches: those that come to something else, or whose errors differ. */
import { readChain } from '../core/layers.ts';
import { union } from '../core/union.ts';
import { type Fleet, type FleetHost, openFleet, ownPaths, type RenderDeps, renderFleetHost } from './fleet.ts';
import { printableState } from './state.ts';
import type { FleetTree } from './tree.ts';

export interface Affected {
  host: string;
  path: string;
  change: 'added' | 'removed' | 'changed';
}

/** Hosts whose files are in memory at one time. */
const CHUNK = 200;

/** Equal to rendering every host at both trees and comparing, but only what a changed file can reach is rendered. */
export async function affectedHosts(base: FleetTree, head: FleetTree, deps: RenderDeps): Promise<Affected[]> {
  const before = await openFleet(base);
  const after = await openFleet(head);
  const changes = await changedPaths(base, head);
  const touched = new Set([...(await reached(before, changes)), ...(await reached(after, changes))]);
  const old = new Map(before.hosts.map((host) => [host.path, host]));
  const kept = new Set(after.hosts.map((host) => host.path));
  const affected: Affected[] = [];
  for (const { path, name } of before.hosts)
    if (!kept.has(path)) affected.push({ host: name, path, change: 'removed' });
  for (const { path, name } of after.hosts) if (!old.has(path)) affected.push({ host: name, path, change: 'added' });

  const both = after.hosts.filter((host) => old.has(host.path) && touched.has(host.path));
  for (let i = 0; i < both.length; i += CHUNK) {
    const hosts = both.slice(i, i + CHUNK);
    const was = await states(before, hosts, deps);
    const is = await states(after, hosts, deps);
    for (const { name, path } of hosts)
      if (was.get(path) !== is.get(path)) affected.push({ host: name, path, change: 'changed' });
  }
  return affected.sort((a, b) => (a.path < b.path ? -1 : 1));
}

async function states(fleet: Fleet, hosts: readonly FleetHost[], deps: RenderDeps): Promise<Map<string, string>> {
  const read = await fleet.tree.read(hosts.flatMap((host) => ownPaths(fleet, host)));
  const found = new Map<string, string>();
  for (const host of hosts) {
    const own = new Map(
      ownPaths(fleet, host).flatMap((p) => (read.has(p) ? [[p, read.get(p) ?? new Uint8Array()]] : [])),
    );
    found.set(host.path, printableState(await renderFleetHost(fleet, host, deps, own)));
  }
  return found;
}

const hostFiles = (fleet: Fleet): string[] => {
  const known = new Set(fleet.tree.paths);
  return fleet.hosts.map((h) => `${h.path}/host.yaml`).filter((p) => known.has(p));
};

/** Hosts in whose directory or roles a changed file lies; all of them where it is fleet.yaml. */
async function reached(fleet: Fleet, changed: readonly string[]): Promise<string[]> {
  if (changed.includes('fleet.yaml')) return fleet.hosts.map((h) => h.path);
  const below = (dir: string) => hasBelow(changed, `${dir}/`);
  const settings = hasBelow(changed, 'roles/') ? await fleet.tree.read(hostFiles(fleet)) : null;
  return fleet.hosts
    .filter((host) => {
      if (below(host.path)) return true;
      if (settings === null) return false;
      const chain = readChain(union(settings, fleet.shared), host.path, fleet.cache);
      // A role that is named but not there may have come.
      return chain.issues.length > 0 || chain.layers.some((layer) => below(layer.dir));
    })
    .map((host) => host.path);
}

function hasBelow(sorted: readonly string[], prefix: string): boolean {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] ?? '') < prefix) low = middle + 1;
    else high = middle;
  }
  return sorted[low]?.startsWith(prefix) ?? false;
}

/** Paths whose content differs, is new, or is gone. */
async function changedPaths(base: FleetTree, head: FleetTree): Promise<string[]> {
  const was = await identities(base);
  const is = await identities(head);
  const changed = new Set<string>();
  for (const [path, id] of was) if (is.get(path) !== id) changed.add(path);
  for (const path of is.keys()) if (!was.has(path)) changed.add(path);
  return [...changed].sort();
}

async function identities(tree: FleetTree): Promise<ReadonlyMap<string, string>> {
  const known = tree.oids ?? new Map(await tree.read(tree.paths));
  const text = (id: string | Uint8Array) => (typeof id === 'string' ? id : Buffer.from(id).toString('latin1'));
  return new Map([...known].map(([path, id]) => [path, `${tree.executable(path) ? 'x' : '-'} ${text(id)}`]));
}
