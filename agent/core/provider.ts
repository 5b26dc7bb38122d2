/** The seams of the agent: what the engine asks of a kind, a repository, a journal. */
import type { ReasonCode } from '../../manifests-schema/reasons.ts';
import type { AgentError } from '../errors.ts';
import type { Provenance } from './trust.ts';
import type { Change, Checkout, CommitInfo, Desired, Kind, Reason, RefreshVerb, ResourceId, Seen } from './types.ts';

/** `ok` settled, `wait` on its way there, `bad` will not get there by itself. */
export interface Health {
  state: 'ok' | 'wait' | 'bad';
  /** Why, in a sentence, when not `ok`. */
  message: string;
  /** Stable, where it is known to be something else than `Unhealthy`, e.g. an outage. */
  code?: ReasonCode;
}

export interface Work<S = unknown, F = unknown> {
  change: Change;
  want: Desired<S>;
  seen: Seen<F> | undefined;
  /** Tells history what came of it: a job's output, where overwritten bytes are kept. */
  report?(note: Reason): void;
}

/** How far something long has come. */
export interface Progress {
  /** What is being fetched: an image's name. */
  image: string;
  doneBytes: number;
  /** As far as it is known yet: it may grow. */
  totalBytes: number;
}

/** Something that is to go. */
export interface Gone<F = unknown> {
  id: ResourceId;
  seen: Seen<F>;
}

/**
 * One kind of resource. `diff`, `health`, `claims` are pure; the rest act on the real host.
 * Failures are thrown as AgentError by apply, refresh and remove; batched calls return them by id.
 */
export interface Provider<S = unknown, F = unknown> {
  readonly kind: Kind;
  /** What only one owner may hold: `path:/etc/x`, `port:tcp/80`, `unit:x.service`, `container:web`. */
  claims(spec: S): readonly string[];
  /** False where only a state of something foreign is declared: removing must leave the thing itself. Default true. */
  owns?(spec: S): boolean;
  /** What `remove` has to know of a declaration that is gone by then: it finds it in `seen.mark.memo`. */
  memo?(spec: S): Readonly<Record<string, unknown>> | undefined;
  diff(want: Desired<S>, seen: Seen<F> | undefined): Change;
  health(want: Desired<S>, seen: Seen<F> | undefined): Health;
  /** Why the change waits for a person, in a sentence: it would touch what fairlead neither made nor took over. Pure. */
  hold?(want: Desired<S>, seen: Seen<F> | undefined, change: Change): string | null;
  /**
   * State of `ids`, one batched call; ids that do not exist on the host are missing from the answer.
   * @param wants the declarations of those that are declared; jobs and checks live in these alone
   * @param options.healthAlone the answer is only for `health`, a moment after an apply: what that does not need may be left out
   */
  observe(
    ids: readonly ResourceId[],
    signal: AbortSignal,
    wants?: ReadonlyMap<ResourceId, Desired<S>>,
    options?: { healthAlone: boolean },
  ): Promise<ReadonlyMap<ResourceId, Seen<F>>>;
  /** Before the first intent is recorded for these: keeps what is there now, so that it can be put back. Failures by id. */
  adopt?(
    work: readonly Work<S, F>[],
  ): ReadonlyMap<ResourceId, AgentError> | Promise<ReadonlyMap<ResourceId, AgentError>>;
  /** Pull, verify: disturbs nothing. Failures by id; throws only where the whole kind is out of reach. */
  prepare?(
    work: readonly Work<S, F>[],
    signal: AbortSignal,
    tell: (progress: Progress) => void,
  ): Promise<ReadonlyMap<ResourceId, AgentError>>;
  /**
   * Before a full run plans: fetches what changes outside of the repository (an image whose tag was moved), so that the
   * plan sees it; costs nothing where nothing is due. Disturbs nothing. Failures by id; null where it did nothing at all.
   * @param how.asked by a person or by a new commit: what is to be up to date always is looked at now
   */
  renew?(
    wants: readonly Desired<S>[],
    how: { asked: boolean; signal: AbortSignal; tell(progress: Progress): void },
  ): Promise<ReadonlyMap<ResourceId, AgentError> | null>;
  /** All is well: what only went before may go, such as images that nobody needs. @param kept all that may be gone back to */
  tidy?(kept: readonly Desired<S>[], signal: AbortSignal): Promise<void>;
  /** Once, after prepare and after the intents are recorded, before the first apply (units: write all, one daemon-reload). */
  install?(work: readonly Work<S, F>[], signal: AbortSignal): Promise<ReadonlyMap<ResourceId, AgentError>>;
  apply(work: Work<S, F>, signal: AbortSignal): Promise<void>;
  /** `apply` of many that do not wait for each other, where that is cheaper. Failures by id; throws only where none was done. */
  applyAll?(work: readonly Work<S, F>[], signal: AbortSignal): Promise<ReadonlyMap<ResourceId, AgentError>>;
  /**
   * After settle: lets go of what was kept until a change had proved itself, or takes the change back where it failed and
   * its declaration asks for that. Answers what is to be said of those then.
   */
  conclude?(
    settled: readonly { want: Desired<S>; health: Health }[],
    signal: AbortSignal,
  ): Promise<ReadonlyMap<ResourceId, Health>>;
  /** Lets go of what it claims (stopped and set aside), for another that needs it; it is made anew in the same run. */
  release?(id: ResourceId, seen: Seen<F>, signal: AbortSignal): Promise<void>;
  /** A fact as `show` prints it, where that is not the fact itself. */
  describe?(fact: F): unknown;
  /** What a notify does. A check begins its time to pass anew. */
  refresh?(want: Desired<S>, signal: AbortSignal, verb?: RefreshVerb, report?: Work['report']): Promise<void>;
  /** Removes what fairlead made. Removing what is not there is no error. */
  remove(id: ResourceId, seen: Seen<F>, signal: AbortSignal, report?: Work['report']): Promise<void>;
  /** Hears of changes that nobody but the provider itself can hear of. */
  readonly watcher?: Watcher;
  /** `remove` of many at once, where that is cheaper (units: one daemon-reload; containers: side by side). Failures by id. */
  removeAll?(
    gone: readonly Gone<F>[],
    signal: AbortSignal,
    report?: (id: ResourceId, note: Reason) => void,
  ): Promise<ReadonlyMap<ResourceId, AgentError>>;
}

/**
 * Hears of changes on the host as they happen, for the kinds it covers. What it says is a hint: an event may be lost or
 * come of our own doing, so what it names is observed again.
 */
export interface Watcher {
  /** What a hint of `*` stands for. */
  readonly kinds: readonly Kind[];
  /**
   * Resolves once events are heard, or once it is clear that they cannot be yet: then it goes on trying.
   * After every gap in what it heard it hints `*`.
   */
  start(hint: (id: ResourceId | '*') => void, signal: AbortSignal): Promise<void>;
  /** What to watch from now on, instead of what was before; other kinds are passed over. Hints what is newly watched. */
  manage(resources: readonly Desired[]): void;
  /** Why some of it goes unheard, or soon will; null where all is well. */
  limit(): { reason: ReasonCode; message: string } | null;
}

/** What a commit is judged against before anything of it is used. */
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
  /** Why nothing of this commit may be applied; null where it may. */
  hold: Hold | null;
  /** What is to be kept with the commit when it is accepted. */
  provenance: Provenance;
}

/** The fleet repository, of which only this host's part is fetched. */
export interface Source {
  /** Url and ref: what an accepted commit came from. */
  readonly id: string;
  /**
   * Url, ref, path and what makes a commit trusted, the files of signers as they are now included: under another policy an
   * accepted commit is judged anew.
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
