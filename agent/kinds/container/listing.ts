/** The Docker engine's list of containers, by project and service. Pure. */
import type { ContainerSummary } from '../../system/docker/docker.ts';
import { HASH, HOOK, isReplica, PROJECT, SERVICE } from '../docker/labels.ts';
import { hasAsideName } from './fact.ts';
import { type Candidate, numberOf, ownOf } from './mine.ts';
import type { Peer } from './request.ts';

export interface Listing {
  membersOf(project: string, service: string): readonly ContainerSummary[];
  /** Containers without a project, by name or id. */
  unlabelled(ref: string): ContainerSummary | undefined;
  /** Leftover hook containers of fairlead for this service. */
  leftHooksOf(project: string, service: string): readonly ContainerSummary[];
  /**
   * Each service's first container, whose namespaces, volumes and name others use. All other containers by `container:NAME`.
   */
  peersOf(project: string): ReadonlyMap<string, Peer>;
}

/**
 * @param known the peers of each project from the last call, which this call updates: a map stays the same object if nothing
 * changed
 */
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
    unlabelled: (ref) =>
      all.find((c) => c.Labels[PROJECT] === undefined && (c.Id === ref || c.Names.includes(`/${ref}`))),
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

/** Hook containers of `docker compose` are left for Compose to remove. */
const isOurHook = ({ Labels }: ContainerSummary): boolean => Labels[HOOK] !== undefined && Labels[HASH] !== undefined;

const keyOf = (project: string, service: string): string => `${project}/${service}`;

export function peersIn(all: readonly ContainerSummary[], project: string): Map<string, Peer> {
  const peers = new Map<string, Peer>(
    all.flatMap((c) =>
      c.Names.map((name): [string, Peer] => [`container:${name.slice(1)}`, { id: c.Id, name: name.slice(1) }]),
    ),
  );
  const members = all.filter((c) => c.Labels[PROJECT] === project && isReplica(c.Labels) && !isAside(c));
  for (const [service, group] of Map.groupBy(members, (c) => c.Labels[SERVICE] ?? '')) {
    const [first] = ownOf(group, candidateOf)
      .mine.map(candidateOf)
      .sort((a, b) => numberOf(a) - numberOf(b));
    if (first) peers.set(service, { id: first.id, name: first.name });
  }
  return peers;
}

export const candidateOf = ({ Id: id, Names, State, Labels }: ContainerSummary): Candidate => ({
  id,
  name: (Names[0] ?? '').replace(/^\//, ''),
  status: State,
  labels: Labels,
});

/** Whether the container is not its service's current one: set aside, unfinished, or failed. */
export const isAside = ({ Names }: ContainerSummary): boolean => Names.some(hasAsideName);

function isSame(a: ReadonlyMap<string, Peer>, b: ReadonlyMap<string, Peer>): boolean {
  if (a.size !== b.size) return false;
  for (const [key, { id, name }] of a) {
    const other = b.get(key);
    if (other?.id !== id || other.name !== name) return false;
  }
  return true;
}
