/** The seams of the agent: what the engine asks of a kind, a repository, a journal. */
import type { ReasonCode } from '../../manifests-schema/reasons.ts';
import type { AgentError } from '../errors.ts';
import type { Provenance } from './trust.ts';
import type { Change, Checkout, CommitInfo, Desired, Kind, Reason, RefreshVerb, ResourceId, Seen } from './types.ts';

/** `ok`: settled. `wait`: may still settle by itself. `bad`: will not settle by itself. */
export interface Health {
  state: 'ok' | 'wait' | 'bad';
  /** Why it is not `ok`, in a sentence. */
  message: string;
  /** Stable, where it is known to be something else than `Unhealthy`, e.g. an outage. */
  code?: ReasonCode;
  /** It is `ok`, and there is something beside it that somebody must look at. */
  note?: { code: ReasonCode; message: string } | undefined;
  /**
   * It is `bad` now and may still become well without anybody's help: a restart policy is at work, a healthcheck may pass yet.
   * After a change it is waited for as long as its patience lasts.
   */
  heals?: true;
  /** With `wait`: it runs, and time alone makes it well. A patience that is shorter than that time ends nothing. */
  steadies?: true;
}

/** What a person has to decide before a change is made. */
export interface Decision {
  code: ReasonCode;
  reason: string;
  /** The option of `fairlead sync` that says yes; null if only another commit, or a hand on this host, does. */
  liftedBy: 'adopt' | 'allowPrune' | null;
}

export interface Work<S = unknown, F = unknown> {
  change: Change;
  want: Desired<S>;
  seen: Seen<F> | undefined;
  /** Adds to the action's reasons in history: a job's output, the place where overwritten bytes are kept. */
  report?(note: Reason): void;
}

/** Progress of something that takes long. */
export interface Progress {
  /** Name of the image that is being pulled. */
  image: string;
  doneBytes: number;
  /** Known size so far; it may still grow. */
  totalBytes: number;
}

/** A text on the host. @see Provider.texts */
export interface Text {
  /** Its path. */
  name: string;
  from: Uint8Array | null;
  to: Uint8Array | null;
}

/** A resource that is to be removed. */
export interface Gone<F = unknown> {
  id: ResourceId;
  seen: Seen<F>;
}

/** What else there is when work is looked at. */
export interface Around {
  /** What is to be removed, of all kinds. */
  gone: readonly { id: ResourceId; seen: Seen | undefined }[];
  declared: ReadonlyMap<ResourceId, Desired>;
  /** It is declared, or was made or adopted here. */
  isManaged(id: ResourceId): boolean;
  /** What `memo` said of the declaration that was applied last; also of what is gone from the host. */
  memoOf(id: ResourceId): Readonly<Record<string, unknown>> | undefined;
}

/** Where stacks lie that somebody else started, and that are adopted with their directory. */
export interface Directories {
  /** Absolute; null where a stack lies as it does by default. */
  of(project: string): string | null;
  /** False where the host could not be asked: another answer may come. */
  isSure: boolean;
}

/** Why work waits for a person, and what must stay meanwhile. */
export interface Doubt {
  code: ReasonCode;
  /** A sentence. */
  reason: string;
  /** Removals that wait with it. */
  keeps: readonly ResourceId[];
}

/** Failures by id: what is not in it went well. */
export type Failures = ReadonlyMap<ResourceId, AgentError>;

/**
 * One kind of resource. `diff`, `health`, `claims` are pure; the rest act on the real host.
 * What takes many resources returns failures by id, and throws only if it did nothing for any of them; what takes one
 * (`refresh`, `release`) throws AgentError. core/each.ts makes the first of the second.
 */
export interface Provider<S = unknown, F = unknown> {
  readonly kind: Kind;
  /** Claims: what only one resource may own, such as `path:/etc/x`, `port:tcp/80`, `unit:x.service`, `container:web`. */
  claims(spec: S): readonly string[];
  /** False if only a state of something foreign is declared, so that a removal must leave the thing itself. Default true. */
  owns?(spec: S): boolean;
  /** What `remove` must know of a declaration that no longer exists then; `remove` finds it in `seen.mark.memo`. */
  memo?(spec: S): Readonly<Record<string, unknown>> | undefined;
  diff(want: Desired<S>, seen: Seen<F> | undefined): Change;
  health(want: Desired<S>, seen: Seen<F> | undefined): Health;
  /** How long it may take from its start to become well, by a bound of its own, in ms; null where it has none. Pure. */
  patienceMs?(want: Desired<S>, seen: Seen<F> | undefined): number | null;
  /**
   * Why the change needs an operator's decision: as a sentence alone, it would change what fairlead neither created nor adopted.
   * Pure.
   */
  hold?(want: Desired<S>, seen: Seen<F> | undefined, change: Change): string | Decision | null;
  /** Asked before a commit is loaded, since a stack's paths begin in its directory. */
  directories?(): Promise<Directories>;
  /**
   * Work that must not be done without a person's word, found by a look at the host. Called when the plan is made, for what
   * would change; costs nothing where nothing does.
   */
  doubts?(work: readonly Work<S, F>[], around: Around): Promise<ReadonlyMap<ResourceId, Doubt>>;
  /**
   * Observes `ids` in one batched call. Ids that do not exist on the host are missing from the answer.
   * @param wants the declarations of the ids that are declared; jobs and checks exist in their declarations only
   * @param options.healthAlone the answer is only for `health`, a moment after an apply: what that does not need may be left out
   */
  observe(
    ids: readonly ResourceId[],
    signal: AbortSignal,
    wants?: ReadonlyMap<ResourceId, Desired<S>>,
    options?: { healthAlone: boolean },
  ): Promise<ReadonlyMap<ResourceId, Seen<F>>>;
  /** Called before the first intent is recorded: keeps the original, so that a removal can put it back. @returns failures by id */
  adopt?(work: readonly Work<S, F>[]): Failures | Promise<Failures>;
  /** Pulls and verifies without disturbing anything. @returns failures by id; throws only if the whole kind is unreachable */
  prepare?(work: readonly Work<S, F>[], signal: AbortSignal, tell: (progress: Progress) => void): Promise<Failures>;
  /**
   * Before a full run plans: fetches what changes outside of the repository (an image whose tag was moved), so that the
   * plan sees it; costs nothing where nothing is due. Disturbs nothing. Failures by id; null where it did nothing at all.
   * @param how.asked by a person or by a new commit: what is to be up to date always is looked at now
   */
  renew?(
    wants: readonly Desired<S>[],
    how: { asked: boolean; signal: AbortSignal; tell(progress: Progress): void },
  ): Promise<ReadonlyMap<ResourceId, AgentError> | null>;
  /** Called when all is well: removes leftovers such as unused images. @param kept every declaration that a rollback may need */
  tidy?(kept: readonly Desired<S>[], signal: AbortSignal): Promise<void>;
  /** Called once, after the intents are recorded and before the first apply (units: write all of them, one daemon-reload). */
  install?(work: readonly Work<S, F>[], signal: AbortSignal): Promise<Failures>;
  /** Applies work of which none waits for another. */
  apply(work: readonly Work<S, F>[], signal: AbortSignal): Promise<Failures>;
  /** Whether an apply of it mostly waits for something that runs by itself and may take long: the rest goes on meanwhile. Pure. */
  waits?(spec: S): boolean;
  /** How long an apply, or a restart, may last at most, in ms; missing where that is well below half an hour. */
  lastsMs?(spec: S): number;
  /**
   * After settle: lets go of what was kept until a change had proved itself, or takes the change back where it failed and
   * its declaration asks for that. Answers what is to be said of those then.
   */
  conclude?(
    settled: readonly { want: Desired<S>; health: Health }[],
    signal: AbortSignal,
  ): Promise<ReadonlyMap<ResourceId, Health>>;
  /** Releases its claims (it is stopped and set aside) for another resource; the same run recreates it. */
  release?(id: ResourceId, seen: Seen<F>, signal: AbortSignal): Promise<void>;
  /** What stays on the host when the resource is removed, or what is put back; null if it goes without a trace. */
  leaves?(gone: Gone<F>): Reason | null;
  /**
   * What of this work must not begin before this removal is done, besides what takes a claim of it: both would have the same
   * thing in hand. Pure; asked within one kind.
   */
  yieldsTo?(gone: Gone<F>, work: readonly Work<S, F>[]): ResourceId[];
  /** The texts of it that people may read, as they are and as they will be; null where there is none. Nothing secret. */
  texts?(want: Desired<S>, seen: Seen<F> | undefined): readonly Text[];
  /** The fact in the form that `show` prints, if that is not the fact itself. */
  describe?(fact: F): unknown;
  /**
   * Restarts or reloads it. For a check, its time to pass starts again.
   * @param sources the resources whose change asked for it, where that is known
   */
  refresh?(
    want: Desired<S>,
    signal: AbortSignal,
    verb?: RefreshVerb,
    report?: Work['report'],
    sources?: readonly ResourceId[],
  ): Promise<void>;
  /** Removes what fairlead created, in this order. It is no error if a thing is already gone. */
  remove(gone: readonly Gone<F>[], signal: AbortSignal, report?: RemovalReport): Promise<Failures>;
  /** Which of these are cheaper for many in one call (files: synced together; units: one daemon-reload) than one by one. */
  readonly together?: readonly ('apply' | 'remove')[];
  /** Watches for changes that only the provider itself can notice. */
  readonly watcher?: Watcher;
}

/** @param fate `stays`: it is on the host as before, and was only let go of; otherwise the note is of something beside it */
export type RemovalReport = (id: ResourceId, note: Reason, fate?: 'stays') => void;

/**
 * Hears of changes on the host as they happen, for the kinds it covers. What it says is a hint: an event may be lost or
 * come of our own doing, so what it names is observed again.
 */
export interface Watcher {
  /** The kinds that a hint of `*` stands for. */
  readonly kinds: readonly Kind[];
  /**
   * Resolves once events are heard, or once it is clear that they cannot be yet: then it goes on trying.
   * After every gap in what it heard it hints `*`.
   */
  start(hint: (id: ResourceId | '*') => void, signal: AbortSignal): Promise<void>;
  /** Replaces what is watched; resources of other kinds are ignored. Hints every resource that is newly watched. */
  manage(resources: readonly Desired[]): void;
  /** Why some changes are missed, or soon will be; null if all is well. */
  limit(): { reason: ReasonCode; message: string } | null;
}

/** What a commit is reviewed against before anything in it is used. */
export interface ReviewRequest {
  /** The commit that this host accepted last, from wherever; null where that is none. */
  accepted: string | null;
  /** The newest that was accepted from this very url and ref; null where that is none. Nothing older may come after it. */
  newest: Provenance | null;
  /** Somebody named this commit, or it is gone back to: it may be older, and must be trusted all the same. */
  named: boolean;
  /** What it was accepted as at an earlier time, where that is known. */
  before?: Provenance | undefined;
  /** A person's word that it may be older. */
  allowRewind: boolean;
}

export interface Hold {
  reason: ReasonCode;
  message: string;
}

export interface Review {
  info: CommitInfo;
  /** Why nothing of this commit may be applied; null if it may. */
  hold: Hold | null;
  /** What is to be kept with the commit when it is accepted. */
  provenance: Provenance;
}

/** The fleet repository. Only this host's part of it is fetched. */
export interface Source {
  /** Url and ref: what an accepted commit came from. */
  readonly id: string;
  /**
   * Url, ref, path and what makes a commit trusted, the files of signers as they are now included: under another policy an
   * accepted commit is reviewed again.
   */
  policy(): string;
  /** The commit that the configured ref names now. Throws AgentError `RepositoryUnreachable`, `AuthenticationFailed`, `RefNotFound`. */
  head(signal: AbortSignal): Promise<string>;
  /**
   * May this commit be trusted: does it follow what was accepted, is it signed as asked? Fetches commits only, and nothing
   * where they are here. Throws AgentError `CommitUnknown` where the repository has no such commit.
   */
  review(commit: string, request: ReviewRequest, signal: AbortSignal): Promise<Review>;
  /** This very source, under the policy of now, has found nothing against `commit`. */
  vouchesFor(commit: string): boolean;
  /** This host's part of `commit`, fetched if it is not here yet. */
  checkout(commit: string, signal: AbortSignal): Promise<Checkout>;
}
