/**
 * The pure half of a kind: what core and engine must know about it. They never compare a kind with a word; they ask these
 * questions instead, and whoever adds a kind answers each of them once (docs/adding-a-kind.md). The other half, which acts on
 * the host, is `Provider`.
 */
import type { Section } from '../../manifests-schema/kinds/index.ts';
import { kindOf } from './id.ts';
import type { Payload } from './payload.ts';
import type { Desired, Issue, Kind, ResourceId } from './types.ts';

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
   * Fields of a change that health judges after it, as of something that was started and ended again; missing if there are
   * none. That such a difference still stands shows no action without an effect: health may even allow it.
   */
  readonly toldByHealth?: readonly string[];
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

/** What a kind is given to make resources of one entry of a manifest. */
export interface RenderContext {
  /** The entry's key, as the last layer wrote it. */
  key: string;
  /** The manifest, as a path in the repository. */
  file: string;
  /** Directory in the repository that relative paths must not leave. */
  root: string;
  /** Files of the repository as this entry sees them: rendered and decrypted if the entry says so. */
  payload: Payload;
  /** What is wrong, at an attribute of the entry; `[]` is the entry itself. */
  issue(at: readonly string[], message: string): Issue;
  /** The resource `kind:locator`, with the hash of its spec and the edges that the entry names. */
  declare<S>(locator: string, spec: S): Desired<S>;
}

export interface Rendered {
  resources: Desired[];
  issues: Issue[];
}

/** How manifests declare a kind. */
export interface Declared<Spec = unknown, Entry = unknown> {
  /** Key of the manifest whose entries declare it. */
  readonly section: Section;
  /** Groups of attributes of which an entry has one: the one that the last layer chose takes out the others. */
  readonly exclusive: readonly (readonly string[])[];
  /**
   * Attributes that hold further texts by name, each with a `content` or `source` of its own to be rendered and decrypted.
   * Units alone have one, their drop-ins.
   */
  readonly nested: readonly string[];
  /**
   * The attribute that an entry stands for if it is written as a plain value, `key: value`. Missing if every entry is a mapping.
   * Missing for all kinds but those of which one word says everything.
   */
  readonly plain?: string;
  /** The locator that a key stands for: two keys with one locator are the same entry. */
  locator(key: string): string;
  /** One entry, merged from all layers → its resources. Pure. */
  render(entry: Entry, context: RenderContext): Rendered;
  /** The spec once a secret went into it: to be shown to nobody. Missing if no text of the entry can hold one. @param entry as it was written */
  withSecret?(spec: Spec, entry: Entry): Spec;
  /** Its specs themselves tell which file of a source is secret (`Payload.secret`), so that a tree may have others beside it. */
  readonly tellsSecrets?: boolean;
  /**
   * What is wrong with a line of its texts in which a secret is, or null; missing if a text is for the eyes of root alone.
   * The message must not quote the line.
   */
  secretLine?(line: string): Pick<Issue, 'severity' | 'message'> | null;
}

/** Where a resource lies on the host. */
export interface Place {
  path: string;
  /** A change puts another inode at the path, which a mount of the path alone does not follow: its user is restarted. */
  replaced: boolean;
}

/** Something of the host that a declaration names, and that another resource may provide. */
export interface Named {
  /** As in `KindDefinition.provides`, or `path:/a/b`: what lies at this path, below it, or holds it. */
  name: string;
  /** It goes on without it: a failure of what provides it does not block this resource. */
  optional?: true;
  /** It hangs on it: when what provides it is recreated, this resource is attached again. */
  attached?: true;
}

/** All resources of a host, while edges are inferred that nobody wrote down. */
export interface Drafts {
  get(id: ResourceId): Desired | undefined;
  /** Those with a place, in a fixed order. */
  placed(): readonly (Place & { id: ResourceId })[];
  /** Names in a directory at which, or below which, something is declared; sorted. */
  namesIn(directory: string): readonly string[];
  /** Adds an edge, unless either end is not declared, or a written `after` says the opposite. */
  add(id: ResourceId, edge: 'after' | 'notify' | 'reload', other: ResourceId): void;
}

export interface KindDefinition<Spec = unknown, Entry = unknown> {
  readonly name: Kind;
  readonly traits: Traits<Spec>;
  /** null for what stacks declare. */
  readonly declared: Declared<Spec, Entry> | null;
  /** Paths of the host that it mounts: what lies there, or below, is applied before it. */
  mounts?(spec: Spec): readonly string[];
  /** Where it lies, if others may mount it. Of files alone: nothing else is put at a path that people choose. */
  place?(spec: Spec): Place;
  /** Paths that it writes: a purged directory keeps them. */
  paths?(spec: Spec): readonly string[];
  /** The one whose locator holds this one's, which is applied first if a manifest declares it, too. Of files alone: their locators nest. */
  holder?(id: ResourceId): ResourceId | null;
  /**
   * What others can name because of it, as `what:name`: `network:web`, `container:db`, `unit:web.service`, `user:app`,
   * `port:tcp/80`, `address:10.0.0.1`; `tree:/mnt/data` provides every path below. Whoever names it comes after it.
   */
  provides?(spec: Spec): readonly string[];
  /**
   * What of the host it names, in the same words. The edges that follow are inferred: they order, and attach again what a
   * replacement detached, but restart nothing and run no job.
   */
  names?(spec: Spec): readonly Named[];
  /** Order that follows from what resources are: adds edges of this one, and to it. */
  edges?(resource: Desired<Spec>, all: Drafts): void;
  /** The spec with what only all resources together say of it; null if that is nothing. */
  complete?(spec: Spec, all: Drafts): Spec | null;
}

/** A kind among the others. */
export interface RankedKind extends KindDefinition {
  /** Default order of apply, from 0 up; removal goes backwards. It only breaks ties between resources that no edge orders. */
  readonly rank: number;
}

/** All kinds of this program; `agent/kinds/index.ts` is the only file that lists them. */
export type KindTable = ReadonlyMap<Kind, RankedKind>;

/** @param order the kinds in their default order of apply; those that stand together have the same rank */
export const kindTable = (order: readonly (readonly KindDefinition[])[]): KindTable =>
  new Map(order.flatMap((kinds, rank) => kinds.map((kind) => [kind.name, { ...kind, rank }])));

/** @throws TypeError if no kind has this id */
export function definitionOf(kinds: KindTable, id: ResourceId): RankedKind {
  const found = kinds.get(kindOf(id));
  if (found === undefined) throw new TypeError(`not a resource id: ${id}`);
  return found;
}

export const traitsOf = (kinds: KindTable, id: ResourceId): Traits => definitionOf(kinds, id).traits;
export const rankOf = (kinds: KindTable, id: ResourceId): number => definitionOf(kinds, id).rank;

/** The kind that a section of a manifest declares. @throws TypeError if none does */
export function declaredBy(kinds: KindTable, section: Section): { kind: KindDefinition; declared: Declared } {
  for (const kind of kinds.values()) if (kind.declared?.section === section) return { kind, declared: kind.declared };
  throw new TypeError(`no kind has the section ${section}`);
}

/** The id of an entry of a manifest. */
export function idOfEntry(kinds: KindTable, section: Section, key: string): ResourceId {
  const { kind, declared } = declaredBy(kinds, section);
  return `${kind.name}:${declared.locator(key)}`;
}
