/** The hosts that a change reaches: those that come to something else, or whose errors differ. */
import { contentOf } from '../git/trust/seen.ts';
import { type Fleet, type FleetHost, openFleet, type RenderDeps, renderFleetHost, viewOf } from './fleet.ts';
import { inTurns } from './in-turns.ts';
import { printableState } from './state.ts';
import type { FleetTree } from './tree.ts';

export interface Affected {
  host: string;
  path: string;
  change: 'added' | 'removed' | 'changed';
}

/** Equal to rendering every host at both trees and comparing, but a host of which git has the same files is not rendered. */
export async function affectedHosts(base: FleetTree, head: FleetTree, deps: RenderDeps): Promise<Affected[]> {
  const before = await openFleet(base);
  const after = await openFleet(head);
  const old = new Map(before.hosts.map((host) => [host.path, host]));
  const kept = new Set(after.hosts.map((host) => host.path));
  const affected: Affected[] = [];
  for (const { path, name } of before.hosts)
    if (!kept.has(path)) affected.push({ host: name, path, change: 'removed' });
  for (const { path, name } of after.hosts) if (!old.has(path)) affected.push({ host: name, path, change: 'added' });

  const mayDiffer = await differenceOf(before, after);
  const both = after.hosts.filter((host) => old.has(host.path));
  await inTurns(both, async (host) => {
    if (!(await mayDiffer(host))) return;
    const [was, is] = await Promise.all([stateOf(before, host, deps), stateOf(after, host, deps)]);
    if (was !== is) affected.push({ host: host.name, path: host.path, change: 'changed' });
  });
  return affected.sort((a, b) => (a.path < b.path ? -1 : 1));
}

const stateOf = async (fleet: Fleet, host: FleetHost, deps: RenderDeps): Promise<string> =>
  printableState(await renderFleetHost(fleet, host, deps));

/** Whether a host has other files in the one than in the other: asked of ids, without reading the files. */
async function differenceOf(before: Fleet, after: Fleet): Promise<(host: FleetHost) => Promise<boolean>> {
  const idAt = async ({ tree, shared }: Fleet, path: string): Promise<string | null> => {
    let at: string | null = tree.root;
    for (const part of path.split('/')) at = at && ((await shared.find(at, part))?.oid ?? null);
    return at;
  };
  const differs = async (path: string) => (await idAt(before, path)) !== (await idAt(after, path));
  // A role that is named but not there may have come, and the name of a role that came is near to one that is wrong.
  if (before.roles.join('\n') !== after.roles.join('\n') || (await differs('fleet.yaml'))) return async () => true;
  const rolesDiffer = await differs('roles');
  return async (host) => {
    if (await differs(host.path)) return true;
    if (!rolesDiffer) return false;
    const [was, is] = await Promise.all([viewOf(before, host), viewOf(after, host)]);
    return contentOf(was) !== contentOf(is);
  };
}
