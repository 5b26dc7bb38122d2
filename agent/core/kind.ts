/**
 * The pure half of a kind: what core and engine must know about it. They never compare a kind with a word; they ask these
 * questions instead, and whoever adds a kind answers each of them once (docs/adding-a-kind.md). The other half, which acts on
 * the host, is `Provider`.
 */
import { kindOf } from './id.ts';
import type { Section } from './layer-content.ts';
import type { Kind, ResourceId } from './types.ts';

/** Questions about every resource of a kind. All are answered by every kind, so that no default is chosen by accident. */
export interface Traits<Spec = unknown> {
  /**
   * Whether observing it runs a program or sends a request. What runs something is observed only when its own state is asked
   * for: neither ahead of the answer of the git server nor as a neighbour of a resource that may have drifted.
   */
  readonly observing: 'free' | 'runs something';
  /**
   * Whether a difference from an applied declaration is drift: something on the host changed. Jobs and checks have nothing
   * on the host that could change; a job that is to run again, or a check that fails again, is not repaired.
   */
  readonly drifts: boolean;
  /**
   * How the confirmation of an apply is stored. `durable`: with an fsync, because a crash must not restart or run it twice.
   * `re-observable`: with the next write, because the next run finds the resource as it should be.
   */
  readonly confirm: 'durable' | 're-observable';
  /**
   * Whether creating one that notifies nobody cannot disturb what runs, so that `window.harmless: allow` lets it pass. True
   * of files alone: nothing reads a path that did not exist, while every other kind starts, runs or changes something.
   */
  readonly harmlessWhenNew: boolean;
  /**
   * Whether `decommission: true` leaves it on the host, whatever it declares about pruning. True of volumes alone: they are
   * the only kind that holds data which no repository has.
   */
  readonly survivesDecommission: boolean;
  /**
   * Whether it is a verdict on the others: it settles after every apply, whoever was changed, and its time to pass begins
   * when everything else is in place. True of checks alone: all other kinds are judged by themselves.
   */
  readonly judgesEveryRun: boolean;
  /**
   * Whether two equal declarations are one resource rather than an error. True of files alone: several services may mount one
   * path of the repository, and each stack declares the files below it.
   */
  readonly mayRepeat: boolean;
  /**
   * What a rollback does with it. Only jobs ever answer `skip`: a command has no former state to go back to, so it runs on
   * the way back only if its declaration says so.
   */
  onRollback(spec: Spec): 'run' | 'skip';
}

export interface KindDefinition<Spec = unknown> {
  readonly name: Kind;
  /** Key of a manifest whose entries declare it; null for what stacks declare. */
  readonly section: Section | null;
  /** Default order of apply, lowest first, counted from 0 without gaps; removal goes backwards. It only breaks ties. */
  readonly rank: number;
  readonly traits: Traits<Spec>;
}

/** All kinds of this program; `agent/kinds/index.ts` is the only file that lists them. */
export type KindTable = ReadonlyMap<Kind, KindDefinition>;

/** @throws TypeError if no kind has this id */
export function definitionOf(kinds: KindTable, id: ResourceId): KindDefinition {
  const found = kinds.get(kindOf(id));
  if (found === undefined) throw new TypeError(`not a resource id: ${id}`);
  return found;
}

export const traitsOf = (kinds: KindTable, id: ResourceId): Traits => definitionOf(kinds, id).traits;
export const rankOf = (kinds: KindTable, id: ResourceId): number => definitionOf(kinds, id).rank;
