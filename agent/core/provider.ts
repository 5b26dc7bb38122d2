/** The interfaces between the engine and a kind, or the repository. */
import type { ReasonCode } from '../../manifests-schema/reasons.ts';
import type { AgentError } from '../errors.ts';
import type { Provenance } from './trust.ts';
import type { Change, Checkout, CommitInfo, Desired, Kind, Reason, RefreshVerb, ResourceId, Seen } from './types.ts';

/** `ok`: settled. `wait`: may still settle by itself. `bad`: will not settle by itself. */
export interface Health {
  state: 'ok' | 'wait' | 'bad';
  /** Why it is not `ok`, in a sentence. */
  message: string;
  /** A stable code if the cause is known, e.g. an outage; otherwise the code is `Unhealthy`. */
  code?: ReasonCode;
  /** The resource is `ok`, but an operator should look at this. */
  note?: { code: ReasonCode; message: string } | undefined;
  /**
   * It is `bad` now, but may become well by itself: a restart policy is active, or a healthcheck may still pass. After a change
   * the run waits for it until its patience ends.
   */
  heals?: true;
  /** The resource is `bad` only because it differs from the present declaration; it may be as an earlier commit declared it. */
  differs?: true;
  /** With `wait`: it runs, and only needs more time to be well. A patience shorter than that time does not fail it. */
  steadies?: true;
}

/** Health of a kind that works as soon as it is as declared. */
export const DIFFERS: Health = { state: 'bad', message: 'differs from its declaration', differs: true };

/** A decision that an operator must make before the change. */
export interface Decision {
  code: ReasonCode;
  reason: string;
  /** The option of `fairlead sync` that allows the change; null if only another commit, or manual work on this host, does. */
  liftedBy: 'adopt' | 'allowPrune' | null;
}

export interface Work<S = unknown, F = unknown> {
  change: Change;
  want: Desired<S>;
  seen: Seen<F> | undefined;
  /** Adds to the action's reasons in history: a job's output, the path where overwritten bytes are kept. */
  report?(note: Reason): void;
}

/** Progress of a long operation. */
export interface Progress {
  /** Name of the image that is being pulled. */
  image: string;
  doneBytes: number;
  /** The size known so far; it may still grow. */
  totalBytes: number;
}

/** A text on the host. @see Provider.texts */
export interface Text {
  /** Path of the text. */
  name: string;
  from: Uint8Array | null;
  to: Uint8Array | null;
}

/** A resource that is to be removed. */
export interface Gone<F = unknown> {
  id: ResourceId;
  seen: Seen<F>;
}

/** The context of work that is checked for doubts. */
export interface Around {
  /** Resources that will be removed, of all kinds. */
  gone: readonly { id: ResourceId; seen: Seen | undefined }[];
  declared: ReadonlyMap<ResourceId, Desired>;
  /** Whether it is declared, or was created or adopted here. */
  isManaged(id: ResourceId): boolean;
  /** The `memo` of the declaration that was applied last, even if the resource is missing on the host. */
  memoOf(id: ResourceId): Readonly<Record<string, unknown>> | undefined;
}

/** Directories of stacks that somebody else started and that are adopted with their directory. */
export interface Directories {
  /** Absolute path; null if the stack is in its default directory. */
  of(project: string): string | null;
  /** False if the host could not be asked; the next answer may differ. */
  isSure: boolean;
}

/** Why work waits for an operator, and what must stay until then. */
export interface Doubt {
  code: ReasonCode;
  /** A sentence. */
  reason: string;
  /** Removals that wait with it. */
  keeps: readonly ResourceId[];
}

/** Failures by id; an id without an entry succeeded. */
export type Failures = ReadonlyMap<ResourceId, AgentError>;

/**
 * One kind of resource. `diff`, `health`, `claims` are pure; the rest act on the real host. A method for many resources returns
 * failures by id, and throws only if it did nothing for any of them; a method for one (`refresh`, `release`) throws AgentError.
 * core/each.ts makes the first form from the second.
 */
export interface Provider<S = unknown, F = unknown> {
  readonly kind: Kind;
  /** Claims: what only one resource may own, such as `path:/etc/x`, `port:tcp/80`, `unit:x.service`, `container:web`. */
  claims(spec: S): readonly string[];
  /** False if only the state of something foreign is declared, so that a removal must leave the thing itself. Default true. */
  owns?(spec: S): boolean;
  /**
   * Data of the declaration that `remove` needs, because the declaration no longer exists by then; `remove` finds it in
   * `seen.mark.memo`.
   */
  memo?(spec: S): Readonly<Record<string, unknown>> | undefined;
  diff(want: Desired<S>, seen: Seen<F> | undefined): Change;
  health(want: Desired<S>, seen: Seen<F> | undefined): Health;
  /** Its own bound for becoming well after its start, in ms; null if it has none. Pure. */
  patienceMs?(want: Desired<S>, seen: Seen<F> | undefined): number | null;
  /**
   * Why the change needs an operator's decision. A plain sentence means: it would change something that fairlead neither
   * created nor adopted. Pure.
   */
  hold?(want: Desired<S>, seen: Seen<F> | undefined, change: Change): string | Decision | null;
  /** Called before a commit is loaded, because a stack's paths are relative to its directory. */
  directories?(): Promise<Directories>;
  /**
   * Work that must not be done without an operator's decision, found by examining the host. Called when the plan is made, for
   * the resources that would change; costs nothing if there are none. An error if nobody can tell for this resource.
   */
  doubts?(work: readonly Work<S, F>[], around: Around): Promise<ReadonlyMap<ResourceId, Doubt | AgentError>>;
  /**
   * Observes `ids` in one batched call. Ids that do not exist on the host are missing from the answer. Throws only if the whole
   * kind is unreachable, or if there is nobody to tell of a single failure.
   * @param wants the declarations of the ids that are declared; jobs and checks exist in their declarations only
   * @param options.healthAlone the answer is only for `health`, shortly after an apply: facts that it does not need may be left
   * out
   * @param options.failed called for each id that cannot be observed although others can: it is missing from the answer as well,
   * but must not count as missing on the host
   */
  observe(
    ids: readonly ResourceId[],
    signal: AbortSignal,
    wants?: ReadonlyMap<ResourceId, Desired<S>>,
    options?: { healthAlone?: boolean; failed?(id: ResourceId, error: AgentError): void },
  ): Promise<ReadonlyMap<ResourceId, Seen<F>>>;
  /**
   * Called before the first intent is recorded: keeps the original, so that a removal can put it back.
   * @returns failures by id
   */
  adopt?(work: readonly Work<S, F>[]): Failures | Promise<Failures>;
  /**
   * Downloads and verifies without disturbing anything.
   * @returns failures by id; throws only if the whole kind is unreachable
   */
  prepare?(work: readonly Work<S, F>[], signal: AbortSignal, tell: (progress: Progress) => void): Promise<Failures>;
  /**
   * Called before a full run plans: fetches changes from outside of the repository (an image whose tag was moved), so that the
   * plan includes them. Costs nothing if nothing is due, and disturbs nothing. Failures by id; null if it did nothing.
   * @param how.asked a person or a new commit triggered the run: check everything that should always be up to date
   */
  renew?(
    wants: readonly Desired<S>[],
    how: { asked: boolean; signal: AbortSignal; tell(progress: Progress): void },
  ): Promise<ReadonlyMap<ResourceId, AgentError> | null>;
  /** Called when all is well: removes leftovers such as unused images. @param kept every declaration that a rollback may need */
  tidy?(kept: readonly Desired<S>[], signal: AbortSignal): Promise<void>;
  /** Called once, after the intents are recorded and before the first apply (units: write all of them, one daemon-reload). */
  install?(work: readonly Work<S, F>[], signal: AbortSignal): Promise<Failures>;
  /** Applies work items that do not depend on each other. */
  apply(work: readonly Work<S, F>[], signal: AbortSignal): Promise<Failures>;
  /** Whether an apply mostly waits for something that runs by itself and may take long; the rest goes on meanwhile. Pure. */
  waits?(spec: S): boolean;
  /** Upper bound for an apply or a restart, in ms; missing if it is well below half an hour. */
  lastsMs?(spec: S): number;
  /**
   * Called after settle: removes what was kept until a change had proved itself, or reverts a failed change if its declaration
   * asks for that. Returns the new health of the resources that it reverted.
   */
  conclude?(
    settled: readonly { want: Desired<S>; health: Health }[],
    signal: AbortSignal,
  ): Promise<ReadonlyMap<ResourceId, Health>>;
  /** Releases its claims (stops it and sets it aside) for another resource; the same run recreates it. */
  release?(id: ResourceId, seen: Seen<F>, signal: AbortSignal): Promise<void>;
  /** The part that stays on the host when the resource is removed, or the original that is restored; null if nothing remains. */
  leaves?(gone: Gone<F>): Reason | null;
  /**
   * Work that must not start before this removal is done, besides work that takes one of its claims: both would use the same
   * thing. Pure; called within one kind.
   */
  yieldsTo?(gone: Gone<F>, work: readonly Work<S, F>[]): ResourceId[];
  /** The texts that people may read, before and after the change; null if there are none. They contain no secrets. */
  texts?(want: Desired<S>, seen: Seen<F> | undefined): readonly Text[];
  /** The fact in the form that `show` prints, if that is not the fact itself. */
  describe?(fact: F): unknown;
  /**
   * Restarts or reloads it. For a check, its time limit starts again.
   * @param sources the resources whose change asked for it, if they are known
   */
  refresh?(
    want: Desired<S>,
    signal: AbortSignal,
    verb?: RefreshVerb,
    report?: Work['report'],
    sources?: readonly ResourceId[],
  ): Promise<void>;
  /** Removes what fairlead created, in this order. A thing that is already gone is no error. */
  remove(gone: readonly Gone<F>[], signal: AbortSignal, report?: RemovalReport): Promise<Failures>;
  /**
   * Operations that are cheaper for many resources in one call (files: synced together; units: one daemon-reload) than one by
   * one.
   */
  readonly together?: readonly ('apply' | 'remove')[];
  /** Watches for changes that only the provider itself can notice. */
  readonly watcher?: Watcher;
}

/**
 * @param fate `stays`: the resource remains on the host and is only no longer managed; otherwise the note is about something
 * beside it
 */
export type RemovalReport = (id: ResourceId, note: Reason, fate?: 'stays') => void;

/**
 * Observes changes on the host as they happen, for the kinds it covers. What it reports is a hint: events may be lost, or
 * caused by fairlead itself, so the named resources are observed again.
 */
export interface Watcher {
  /** The kinds that a hint of `*` covers. */
  readonly kinds: readonly Kind[];
  /**
   * Resolves once events arrive, or once it is clear that they cannot yet; then it keeps trying. It hints `*` after every gap
   * in the events.
   */
  start(hint: (id: ResourceId | '*') => void, signal: AbortSignal): Promise<void>;
  /** Replaces the watched set; resources of other kinds are ignored. Hints every newly watched resource. */
  manage(resources: readonly Desired[]): void;
  /** Why some changes are missed, or soon will be; null if none are. */
  limit(): { reason: ReasonCode; message: string } | null;
}

/** Input of the review of a commit, which comes before any of its content is used. */
export interface ReviewRequest {
  /** The commit that this host accepted last, from any source; null if there is none. */
  accepted: string | null;
  /** The newest commit accepted from this url and ref; null if there is none. No older commit may follow it. */
  newest: Provenance | null;
  /** A person named this commit, or it is the target of a rollback: it may be older, but must still be trusted. */
  named: boolean;
  /** The provenance of an earlier acceptance, if it is known. */
  before?: Provenance | undefined;
  /** An operator allows the commit to be older. */
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
  /** Stored with the commit when it is accepted. */
  provenance: Provenance;
}

/** The fleet repository. Only this host's part of it is fetched. */
export interface Source {
  /** Url and ref, which are recorded as the source of an accepted commit. */
  readonly id: string;
  /**
   * Url, ref, path and the rules of trust, with the current content of the signers' files: under another policy an accepted
   * commit is reviewed again.
   */
  policy(): string;
  /** Whether only signed commits are applied; false if left out. */
  readonly asksForSignatures?: boolean;
  /**
   * The commit that the configured ref points to now. Throws AgentError `RepositoryUnreachable`, `AuthenticationFailed`,
   * `RefNotFound`.
   */
  head(signal: AbortSignal): Promise<string>;
  /**
   * Whether this commit may be trusted: it follows what was accepted, and is signed if that is required. Fetches only commits,
   * and nothing if they are here. Throws AgentError `CommitUnknown` if the repository has no such commit.
   */
  review(commit: string, request: ReviewRequest, signal: AbortSignal): Promise<Review>;
  /** Whether this source has already reviewed `commit` under the current policy without an objection. */
  vouchesFor(commit: string): boolean;
  /** This host's part of `commit`, fetched if it is not here yet. */
  checkout(commit: string, signal: AbortSignal): Promise<Checkout>;
}
