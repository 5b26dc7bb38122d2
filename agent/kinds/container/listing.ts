/** The engine's list of containers, by project and service. Pure. */
import type { ContainerSummary } from '../../system/docker/docker.ts';
import { HASH, HOOK, isReplica, NUMBER, PROJECT, SERVICE } from '../docker/labels.ts';
import { hasAsideName } from './fact.ts';
import type { Peer } from './request.ts';

export interface Listing {
  membersOf(project: string, service: string): readonly ContainerSummary[];
  /** Containers of ours in which something was run for it, and that were left behind. */
  leftHooksOf(project: string, service: string): readonly ContainerSummary[];
  /** Each service's first container: the one whose namespaces, volumes and name others use. All others by `container:NAME`. */
  peersOf(project: string): ReadonlyMap<string, Peer>;
}

/** @param known peers of projects as they were last asked for, kept up to date: those that are the same stay the very same map */
export function listingOf(
  all: readonly ContainerSummary[],
  known = new Map<string, ReadonlyMap<string, Peer>>(),
): Listing {
  const byService = (of: readonly ContainerSummary[]) =>
    Map.groupBy(of, ({ Labels }) => keyOf(Labels[PROJECT] ?? '', Labels[SERVICE] ?? ''));
  const members = byService(all.filter((c) => isReplica(c.Labels)));
  const leftHooks = byService(all.filter(isOurHook));
  const looked = new Set<string>();
  return {
    membersOf: (project, service) => members.get(keyOf(project, service)) ?? [],
    leftHooksOf: (project, service) => leftHooks.get(keyOf(project, service)) ?? [],
    peersOf(project) {
      const former = known.get(project);
      if (former && looked.has(project)) return former;
      looked.add(project);
      const now = peersIn(all, project);
      const answer = former && isSame(former, now) ? former : now;
      known.set(project, answer);
      return answer;
    },
  };
}

/** Those of `docker compose` are its own to remove. */
const isOurHook = ({ Labels }: ContainerSummary): boolean => Labels[HOOK] !== undefined && Labels[HASH] !== undefined;

const keyOf = (project: string, service: string): string => `${project}/${service}`;

export function peersIn(all: readonly ContainerSummary[], project: string): Map<string, Peer> {
  const peers = new Map<string, Peer>(
    all.flatMap((c) =>
      c.Names.map((name): [string, Peer] => [`container:${name.slice(1)}`, { id: c.Id, name: name.slice(1) }]),
    ),
  );
  const number = (c: ContainerSummary) => Number(c.Labels[NUMBER]) || 1;
  const nameIn = (c: ContainerSummary) => (c.Names[0] ?? '').replace(/^\//, '');
  const members = all.filter((c) => c.Labels[PROJECT] === project && isReplica(c.Labels) && !isAside(c));
  for (const c of members.sort((a, b) => number(b) - number(a)))
    peers.set(c.Labels[SERVICE] ?? '', { id: c.Id, name: nameIn(c) });
  return peers;
}

/** Not what its service is known by: set aside, not finished, or failed. */
export const isAside = ({ Names }: ContainerSummary): boolean => Names.some(hasAsideName);

function isSame(a: ReadonlyMap<string, Peer>, b: ReadonlyMap<string, Peer>): boolean {
  if (a.size !== b.size) return false;
  for (const [key, { id, name }] of a) {
    const other = b.get(key);
    if (other?.id !== id || other.name !== name) return false;
  }
  return true;
}
