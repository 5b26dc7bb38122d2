/** What is to be done with each container of a service, and why. Pure. */
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
  /** Changed while they run, or started. */
  live: readonly Because[];
  /** Made anew. */
  replace: readonly Because[];
  /** Set aside by a replacement that was cut off, and still right: they come back. */
  back: readonly Replica[];
  /** Numbers of which there is no container. */
  missing: readonly number[];
  /** More than there are to be: the highest numbers. */
  extra: readonly Replica[];
  /** Of changes that are over, or were given up. */
  leftovers: readonly Replica[];
}

/** Of these a container may be left behind by another one's replacement. */
const FOLLOWS = ['network_mode', 'pid', 'ipc'];
const INTERRUPTED = 'set aside by an interrupted replacement';

export function diff(want: Desired<ServiceSpec>, seen: Seen<ServiceFact> | undefined): Change {
  const { spec } = want;
  const missing: Reason = { field: 'container', from: 'missing', to: 'running' };
  if (seen === undefined) return spec.replicas === 0 ? { op: 'none' } : { op: 'create', why: [missing] };
  const { fact, mark } = seen;
  // What was as declared and differs now is what somebody is at work on: that is looked at again when they are done.
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

/** Remembers what matched: the same container, declaration and surroundings need no second comparison. */
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

/** As many containers as are to be, nothing beside them, and no image that moved. */
const isPlain = (spec: ServiceSpec, { replicas, parked, fresh, failed, leftHooks, moves }: ServiceFact): boolean =>
  replicas.length === spec.replicas &&
  parked.length + fresh.length + failed.length + leftHooks.length === 0 &&
  !(moves.size > 0 && replicas.some(({ info }) => moves.has(info.Id)));

/** Why the new ones are not started first, where that is asked for. */
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
  // What was refused is not tried again, and what runs in its place is kept running.
  const live = refused ? kept.map((replica) => ({ replica, why: [] })) : judged.filter((j) => !isAnew(j));
  const back = aside.filter((r) => refused || isRight(want, r, fact));
  /** It is what the declaration asks for, and what took its place is not. */
  const comesBack = (r: Replica) =>
    judged.some((j) => j.replica.number === r.number && isAnew(j)) && isRight(want, r, fact);
  return {
    live: live
      .map(({ replica, why }) => ({ replica, why: [...why, ...stopped(spec, replica)] }))
      .filter((l) => l.why.length > 0),
    // What does not run at all comes first.
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

/** What was set aside is not needed any more: what came in its place is well, or its number is gone. */
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

/** Where one container differs from the declaration. */
export function whyOf(
  want: Desired<ServiceSpec>,
  replica: Replica,
  { peers, moves, discards }: Surroundings,
): Reason[] {
  const { info, image } = replica;
  const spec = memberOf(want.spec, replica.number);
  // What was made from this very declaration differs only where somebody changed it since.
  const own = info.Config.Labels?.[HASH] === want.hash;
  const why = [
    ...nameDifference(spec, info),
    ...networkDifferences(spec, info),
    ...differences(spec, info, image, { peers, discards }),
  ].filter((reason) => !own || isChangeable(reason) || FOLLOWS.includes(reason.field));
  const moved = moves.get(info.Id) ?? [];
  return [...why, ...moved.filter((move) => !why.some((reason) => reason.field === move.field))];
}

/** What was set aside is what the declaration asks for. */
export const isRight = (want: Desired<ServiceSpec>, replica: Replica, fact: Surroundings): boolean =>
  whyOf(want, replica, fact).every(isLive);

/** A removal that was not done to its end left it: it can be neither started nor renamed. */
const dead = ({ info }: Replica): Reason[] =>
  info.State.Status === 'dead' ? [{ field: 'container', from: 'dead', to: 'running' }] : [];

function stopped(spec: ServiceSpec, replica: Replica): Reason[] {
  const { info, interrupted } = replica;
  if (info.State.Running || info.State.Restarting || isCompleted(spec, replica) || isGivenUp(replica)) return [];
  const from = `${stateOf(info)}${interrupted ? ' when the engine was stopped' : ''}`;
  return [{ field: 'state', from, to: 'running' }];
}

/** Alike in several containers, told once. */
const distinct = (why: readonly Reason[]): Reason[] => [
  ...new Map(why.map((reason) => [JSON.stringify(reason), reason])).values(),
];

/** Somebody else started it and it differs: an operator decides (docs/compose.md, "What runs already"). */
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

/** What was started from another directory mounts that one's files. */
function elsewhere({ projectDir }: ServiceSpec, foreign: readonly Replica[]): string {
  const [directory = ''] = foreign.flatMap(({ info }) => info.Config.Labels?.[WORKING_DIR] ?? []);
  return directory === '' || directory === projectDir
    ? ''
    : `it was started from ${directory}: if that is to stay its directory, set x-fairlead: {project_directory: ${directory}} at the top level of the stack; otherwise `;
}
