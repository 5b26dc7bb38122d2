/**
 * The pure half of a kind: what core and engine must know about it. They never compare a kind with a name; they ask these
 * questions instead, and each kind answers every one of them (docs/adding-a-kind.md). The other half, which acts on the host,
 * is `Provider`.
 */
import type { Section } from '../../manifests-schema/kinds/index.ts';
import { kindOf } from './id.ts';
import type { Payload } from './payload/payload.ts';
import type { Desired, Issue, Kind, ResourceId } from './types.ts';

/** Questions about every resource of a kind. Every kind answers all of them, so that no default is chosen by accident. */
export interface Traits<Spec = unknown> {
  /**
   * Whether observing it runs a program or sends a request. If so, it is observed only when its state is needed: not while the
   * answer of the git server is awaited, and not as a neighbour of a resource that may have drifted.
   */
  readonly observing: 'free' | 'runs something';
  /**
   * Whether a difference from an applied declaration is drift. Jobs and checks have nothing on the host that could change: a
   * job that must run again, or a check that fails again, is no repair.
   */
  readonly drifts: boolean;
  /**
   * Fields of a change that the health check judges after the action, because something was started and ended again; missing if
   * there are none. If such a difference remains, that does not mean that the action had no effect: the health check may allow
   * it.
   */
  readonly toldByHealth?: readonly string[];
  /**
   * How the confirmation of an apply is stored. `durable`: with an fsync, because a crash must not restart or run it twice.
   * `re-observable`: with the next write, because the next run finds the resource as it should be.
   */
  readonly confirm: 'durable' | 're-observable';
  /**
   * Whether a new resource that notifies nobody cannot disturb anything that runs, so that `window.harmless: allow` lets it
   * pass. True for files alone: nothing reads a path that did not exist, while every other kind starts, runs or changes
   * something.
   */
  readonly harmlessWhenNew: boolean;
  /**
   * Whether `decommission: true` leaves it on the host, whatever it declares about pruning. True for volumes alone: no other
   * kind holds data that is not in the repository.
   */
  readonly survivesDecommission: boolean;
  /**
   * Whether it is a verdict on the others: it settles after every apply, whichever resource changed, and its time limit starts
   * when all others are in place. True for checks alone.
   */
  readonly judgesEveryRun: boolean;
  /**
   * Whether two equal declarations are one resource instead of an error. True for files alone: several services may mount one
   * path of the repository, and each stack declares the files below it.
   */
  readonly mayRepeat: boolean;
  /**
   * Whether a rollback runs it. Only jobs can answer `skip`: a command has no former state to restore, so a rollback runs it
   * only if its declaration says so.
   */
  onRollback(spec: Spec): 'run' | 'skip';
}

/** Input from which a kind makes the resources of one entry of a manifest. */
export interface RenderContext {
  /** The entry's key, as the last layer wrote it. */
  key: string;
  /** The manifest, as a path in the repository. */
  file: string;
  /** Directory in the repository that relative paths must not leave. */
  root: string;
  /** Files of the repository as this entry sees them: rendered and decrypted if the entry says so. */
  payload: Payload;
  /** An issue at an attribute of the entry; `[]` is the entry itself. */
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
  /** Groups of mutually exclusive attributes: the attribute that the last layer wrote removes the others. */
  readonly exclusive: readonly (readonly string[])[];
  /**
   * Attributes that contain further texts by name, each with its own `content` or `source` to render and decrypt. Only units
   * have one: their drop-ins.
   */
  readonly nested: readonly string[];
  /** The attribute that is meant if an entry is written as a plain value, `key: value`. Missing if every entry is a mapping. */
  readonly plain?: string;
  /** The locator of a key: two keys with one locator are the same entry. */
  locator(key: string): string;
  /** One merged entry of all layers → its resources. Pure. */
  render(entry: Entry, context: RenderContext): Rendered;
  /**
   * The spec marked as secret, because a secret went into it. Missing if no text of the entry can contain one.
   * @param entry as it was written
   */
  withSecret?(spec: Spec, entry: Entry): Spec;
  /** The spec says for each file of a source whether it is secret (`Payload.secret`), so a tree may contain both sorts. */
  readonly tellsSecrets?: boolean;
  /**
   * Why a line with a secret is a problem, or null; missing if only root can read the text. The message must not quote the
   * line.
   */
  secretLine?(line: string): Pick<Issue, 'severity' | 'message'> | null;
}

/** The path of a resource on the host. */
export interface Place {
  path: string;
  /** A change creates a new inode, which a mount of the path itself does not follow, so the user of the mount must restart. */
  replaced: boolean;
}

/** Something on the host that a declaration names and that another resource may provide. */
export interface Named {
  /** As in `KindDefinition.provides`, or `path:/a/b`: resources at this path, below it, or above it. */
  name: string;
  /** The resource works without it: if the provider fails, this resource is not blocked. */
  optional?: true;
  /** The resource is attached to it: if the provider is recreated, this resource is attached again. */
  attached?: true;
}

/** All resources of a host while edges are being inferred. */
export interface Drafts {
  get(id: ResourceId): Desired | undefined;
  /** The resources that have a place, in a fixed order. */
  placed(): readonly (Place & { id: ResourceId })[];
  /** Names in a directory at which, or below which, a resource is declared; sorted. */
  namesIn(directory: string): readonly string[];
  /** Adds an edge, unless either end is not declared or a written `after` has the opposite direction. */
  add(id: ResourceId, edge: 'after' | 'notify' | 'reload', other: ResourceId): void;
}

export interface KindDefinition<Spec = unknown, Entry = unknown> {
  readonly name: Kind;
  readonly traits: Traits<Spec>;
  /** null for kinds that only stacks declare. */
  readonly declared: Declared<Spec, Entry> | null;
  /** Paths of the host that it mounts: resources at or below them are applied first. */
  mounts?(spec: Spec): readonly string[];
  /** Its path on the host, if other resources may mount it. Files only: no other kind is at a path that users choose. */
  place?(spec: Spec): Place;
  /** Paths that it writes; the purge of a directory keeps them. */
  paths?(spec: Spec): readonly string[];
  /**
   * The resource whose locator contains this one's; it is applied first if it is declared as well. Files only: their locators
   * nest.
   */
  holder?(id: ResourceId): ResourceId | null;
  /**
   * Names of things that it provides for others, as `what:name`: `network:web`, `container:db`, `unit:web.service`, `user:app`,
   * `port:tcp/80`, `address:10.0.0.1`; `tree:/mnt/data` provides every path below. A resource that names it is applied after
   * it.
   */
  provides?(spec: Spec): readonly string[];
  /**
   * Names of things on the host that it uses, in the same form. The inferred edges only order resources, and attach again what
   * a replacement detached; they restart nothing and run no job.
   */
  names?(spec: Spec): readonly Named[];
  /** Adds edges of this resource, and edges to it, that follow from its kind. */
  edges?(resource: Desired<Spec>, all: Drafts): void;
  /** The spec with the parts that depend on all resources together; null if there are none. */
  complete?(spec: Spec, all: Drafts): Spec | null;
}

/** A kind with its place in the default order. */
export interface RankedKind extends KindDefinition {
  /** Default order of apply, starting at 0; removal uses the reverse. It only breaks ties between resources without an edge. */
  readonly rank: number;
}

/** All kinds; `agent/kinds/index.ts` is the only file that lists them. */
export type KindTable = ReadonlyMap<Kind, RankedKind>;

/** @param order the kinds in their default order of apply; kinds in one group have the same rank */
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
