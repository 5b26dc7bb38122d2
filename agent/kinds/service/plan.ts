/** Plans the work on each container of a service, with reasons. Pure. */
import type { ServiceSpec } from '../../compose/stack/model.ts';
import type { Change, Desired, Reason, Seen } from '../../core/types.ts';
import type { ContainerInfo } from '../../system/docker/docker.ts';
import { differences } from '../container/diff.ts';
import {
  isCompleted,
  isGivenUp,
  memberOf,
  nameOf,
  type Replica,
  type ServiceFact,
  stateOf,
} from '../container/fact.ts';
import { refusedBefore, replicaHealth } from '../container/health.ts';
import { isChangeable, isLive, nameDifference, networkDifferences } from '../container/live.ts';
import { HASH, WORKING_DIR } from '../docker/labels.ts';
import { whyStopFirst } from './order.ts';

interface Because {
  replica: Replica;
  why: readonly Reason[];
}

type Surroundings = Pick<ServiceFact, 'peers' | 'moves' | 'discards'>;

export interface Roll {
  /** Containers that are changed while they run, or started. */
  live: readonly Because[];
  /** Containers that are recreated. */
  replace: readonly Because[];
  /** Containers that an interrupted replacement set aside, and that match the declaration: they are put back. */
  back: readonly Replica[];
  /** Numbers without a container. */
  missing: readonly number[];
  /** Superfluous containers: those with the highest numbers. */
  extra: readonly Replica[];
  /** Leftovers of changes that ended or were abandoned. */
  leftovers: readonly Replica[];
}

/** Fields through which a container may still refer to a replaced one. */
const FOLLOWS = ['network_mode', 'pid', 'ipc'];
const INTERRUPTED = 'set aside by an interrupted replacement';

export function diff(want: Desired<ServiceSpec>, seen: Seen<ServiceFact> | undefined): Change {
  const { spec } = want;
  const missing: Reason = { field: 'container', from: 'missing', to: 'running' };
  if (seen === undefined) return spec.replicas === 0 ? { op: 'none' } : { op: 'create', why: [missing] };
  const { fact, mark } = seen;
  // Somebody is working on a service that matched before: it is observed again when they are done.
  if (fact.underway !== null && mark?.hash === want.hash) return NOTHING;
  const roll = rollOf(want, fact);
  const anew = roll.replace.flatMap((r) => r.why);
  const why = distinct([...anew, ...roll.live.flatMap((r) => r.why)]);
  if (roll.back.length > 0) why.push({ field: 'container', from: INTERRUPTED, to: 'running' });
  const has = fact.replicas.length;
  if (has === 0 && roll.missing.length > 0) why.push(missing);
  else if (roll.missing.length + roll.extra.length > 0)
    why.push({ field: 'scale', from: String(has), to: String(spec.replicas) });
  const left = [...roll.leftovers.map((r) => nameOf(r.info)), ...fact.leftHooks];
  if (left.length > 0)
    why.push({
      field: 'container',
      from: left.join(', '),
      to: 'removed: left behind by a change',
    });
  if (why.length === 0) return { op: 'none' };
  if (roll.replace.length > 0) return { op: 'replace', why: [...why, ...order(spec, roll)] };
  return { op: has === 0 && roll.missing.length > 0 ? 'create' : 'update', why };
}

/** Caches matches: the same container, declaration and surroundings need no second comparison. */
export function createServiceDiff(): typeof diff {
  const matched = new WeakMap<
    ContainerInfo,
    Pick<Replica, 'image'> & Pick<ServiceFact, 'peers' | 'discards'> & { spec: ServiceSpec }
  >();
  return (want, seen) => {
    const fact = seen?.fact;
    const unlike = (r: Replica): boolean => {
      const known = matched.get(r.info);
      return (
        known?.spec !== want.spec ||
        known.peers !== fact?.peers ||
        known.discards !== fact.discards ||
        known.image !== r.image
      );
    };
    const plain = fact !== undefined && isPlain(want.spec, fact);
    if (plain && !fact.replicas.some(unlike)) return NOTHING;
    const change = diff(want, seen);
    if (plain && change.op === 'none')
      for (const { info, image } of fact.replicas)
        matched.set(info, { spec: want.spec, peers: fact.peers, discards: fact.discards, image });
    return change;
  };
}

const NOTHING: Change = { op: 'none' };

/** The service has the declared number of containers, no others beside them, and no image that moved. */
const isPlain = (spec: ServiceSpec, { replicas, parked, fresh, failed, leftHooks, moves }: ServiceFact): boolean =>
  replicas.length === spec.replicas &&
  parked.length + fresh.length + failed.length + leftHooks.length === 0 &&
  !(moves.size > 0 && replicas.some(({ info }) => moves.has(info.Id)));

/** Why the new containers do not start first although that was requested. */
const order = (spec: ServiceSpec, { replace }: Roll): Reason[] => {
  const why = replace.map(({ replica }) => whyStopFirst(spec, replica)).find((reason) => reason !== null);
  return why ? [{ field: 'order', from: 'start-first', to: `stop-first: ${why}` }] : [];
};

export function rollOf(want: Desired<ServiceSpec>, fact: ServiceFact): Roll {
  const { spec } = want;
  const kept = fact.replicas.slice(0, spec.replicas);
  const completed = [...fact.completed].filter((n) => n <= spec.replicas).slice(0, spec.replicas - kept.length);
  const taken = new Set([...kept.map((r) => r.number), ...completed]);
  const free: number[] = [];
  for (let n = 1; free.length < spec.replicas - kept.length - completed.length; n++) if (!taken.has(n)) free.push(n);
  const refused = refusedBefore(spec, want.hash, fact) !== undefined;
  const parked = new Map(fact.parked.map((r) => [r.number, r]));
  const aside = free.flatMap((n) => parked.get(n) ?? []);
  const judged = kept.map((replica) => ({ replica, why: [...whyOf(want, replica, fact), ...dead(replica)] }));
  const isAnew = ({ why }: Because) => why.some((reason) => !isLive(reason));
  // A refused declaration is not tried again, and its predecessor is kept running.
  const live = refused ? kept.map((replica) => ({ replica, why: [] })) : judged.filter((j) => !isAnew(j));
  const back = aside.filter((r) => refused || isRight(want, r, fact));
  /** Whether it matches the declaration and its successor does not. */
  const comesBack = (r: Replica) =>
    judged.some((j) => j.replica.number === r.number && isAnew(j)) && isRight(want, r, fact);
  return {
    live: live
      .map(({ replica, why }) => ({ replica, why: [...why, ...stopped(spec, replica)] }))
      .filter((l) => l.why.length > 0),
    // Containers that do not run come first.
    replace: [
      ...aside
        .filter((r) => !back.includes(r))
        .map((replica) => ({ replica, why: [{ field: 'container', from: INTERRUPTED, to: 'running' }] })),
      ...(refused ? [] : judged.filter(isAnew)),
    ],
    back,
    missing: free.filter((n) => !parked.has(n)),
    extra: fact.replicas.slice(spec.replicas),
    leftovers: [
      ...fact.parked.filter((r) => isDone(spec, r, kept) && !aside.includes(r) && !comesBack(r)),
      ...others(want, fact, judged),
    ],
  };
}

/** Whether a container that was set aside is no longer needed: its successor is well, or its number is gone. */
function isDone(spec: ServiceSpec, parked: Replica, kept: readonly Replica[]): boolean {
  const successor = kept.find((r) => r.number === parked.number);
  return successor === undefined || replicaHealth(spec, successor).state === 'ok';
}

function others(want: Desired<ServiceSpec>, fact: ServiceFact, judged: readonly Because[]): Replica[] {
  const goesOn = (fresh: Replica) =>
    judged.some(({ replica, why }) => replica.number === fresh.number && why.some((reason) => !isLive(reason)));
  return [
    ...fact.fresh.filter((r) => !goesOn(r)),
    ...fact.failed.filter((r) => refusedBefore(want.spec, want.hash, { ...fact, failed: [r] }) === undefined),
  ];
}

/** The differences between one container and the declaration. */
export function whyOf(
  want: Desired<ServiceSpec>,
  replica: Replica,
  { peers, moves, discards }: Surroundings,
): Reason[] {
  const { info, image } = replica;
  const spec = memberOf(want.spec, replica.number);
  // A container of this very declaration differs only if somebody changed it.
  const own = info.Config.Labels?.[HASH] === want.hash;
  const why = [
    ...nameDifference(spec, info),
    ...networkDifferences(spec, info),
    ...differences(spec, info, image, { peers, discards }),
  ].filter((reason) => !own || isChangeable(reason) || FOLLOWS.includes(reason.field));
  const moved = moves.get(info.Id) ?? [];
  return [...why, ...moved.filter((move) => !why.some((reason) => reason.field === move.field))];
}

/** Whether the container matches the declaration, except for live settings. */
export const isRight = (want: Desired<ServiceSpec>, replica: Replica, fact: Surroundings): boolean =>
  whyOf(want, replica, fact).every(isLive);

/** A removal that did not finish left it: it can be neither started nor renamed. */
const dead = ({ info }: Replica): Reason[] =>
  info.State.Status === 'dead' ? [{ field: 'container', from: 'dead', to: 'running' }] : [];

function stopped(spec: ServiceSpec, replica: Replica): Reason[] {
  const { info, interrupted } = replica;
  if (info.State.Running || info.State.Restarting || isCompleted(spec, replica) || isGivenUp(replica)) return [];
  const from = `${stateOf(info)}${interrupted ? ' when the engine was stopped' : ''}`;
  return [{ field: 'state', from, to: 'running' }];
}

/** Reasons that several containers share are reported once. */
const distinct = (why: readonly Reason[]): Reason[] => [
  ...new Map(why.map((reason) => [JSON.stringify(reason), reason])).values(),
];

/** Somebody else started it and it differs: an operator decides (docs/compose.md, "Adopting a running stack"). */
export function hold(
  { spec, id }: Desired<ServiceSpec>,
  seen: Seen<ServiceFact> | undefined,
  change: Change,
): string | null {
  if (seen === undefined || seen.mark !== undefined || change.op === 'none' || spec.adopt === 'recreate') return null;
  const foreign = seen.fact.replicas.filter(({ info }) => info.Config.Labels?.[HASH] === undefined);
  if (foreign.length === 0 || change.why.every((r) => r.field === 'state')) return null;
  const names = foreign.map(({ info }) => nameOf(info)).join(', ');
  const fields = [...new Set(change.why.map((r) => r.field))].join(', ');
  return `${names} ${foreign.length > 1 ? 'were' : 'was'} not started by fairlead and ${foreign.length > 1 ? 'differ' : 'differs'} from ${id} in ${fields}; ${change.why.some((r) => r.field === 'volumes') ? elsewhere(spec, foreign) : ''}set x-fairlead.adopt: recreate, or run \`fairlead sync --adopt\``;
}

/** A container that was started from another directory mounts files of that directory. */
function elsewhere({ projectDir }: ServiceSpec, foreign: readonly Replica[]): string {
  const [directory = ''] = foreign.flatMap(({ info }) => info.Config.Labels?.[WORKING_DIR] ?? []);
  return directory === '' || directory === projectDir
    ? ''
    : `it was started from ${directory}: if that is to stay its directory, set x-fairlead: {project_directory: ${directory}} at the top level of the stack; otherwise `;
}
