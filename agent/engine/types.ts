/** The types of the engine. Everything that acts on the host, the repository or the store is passed in. */

import type { ReasonCode } from '../../manifests-schema/reasons.ts';
import type { ClockDoubt } from '../core/clock-doubt.ts';
import type { KindTable } from '../core/kind.ts';
import type { Proof } from '../core/plan/blame.ts';
import type { Plan } from '../core/plan/plan.ts';
import type { Holder } from '../core/plan/resource-pause.ts';
import type { SyncLine, Waiting } from '../core/progress.ts';
import type { Provider, Source } from '../core/provider.ts';
import type { Var } from '../core/render/layers.ts';
import type { HostSettings } from '../core/render/render.ts';
import type {
  ActionRecord,
  Checkout,
  CommandOrigin,
  CommitInfo,
  Desired,
  Gate,
  Issue,
  Kind,
  Problem,
  ResourceId,
  ResourceStatus,
  Seen,
  SyncState,
  Trigger,
} from '../core/types.ts';
import type { AgentUpgrade } from '../core/version/agent-upgrade.ts';
import type { AgentError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Store } from '../store/db.ts';
import type { Snapshots } from '../store/snapshots.ts';
import type { Clock } from '../system/clock.ts';

export interface Loaded {
  resources: readonly Desired[];
  issues: readonly Issue[];
  host: HostSettings;
  /** agent.yaml's labels, overridden by host.yaml's. */
  labels: Readonly<Record<string, string>>;
  /** Merged from all layers, each with its origin. */
  vars: ReadonlyMap<string, Var>;
  /** The host's layers, lowest first. */
  layers: readonly string[];
  /** Encrypted files that went into a resource. */
  secrets: readonly string[];
  /** Project → its model as `docker compose config` prints it; null if compose/ does not provide it. */
  compose: Readonly<Record<string, unknown>> | null;
  /** Inferred edges that would have closed a cycle, each as a sentence; missing if there are none. */
  dropped?: readonly string[];
  /** Hash of the whole desired state: equal content has the same hash under every commit id. */
  content(): string;
  byId(): ReadonlyMap<ResourceId, Desired>;
  /** `resources` in dependency order. */
  ordered(): readonly Desired[];
}

/** The state to which repairs bring the host between two full runs. */
export interface Holding {
  /** Its files are not included: they are in `loaded`. */
  checkout: Checkout;
  loaded: Loaded;
}

/** A server that the host must be able to reach: its repository or its channel. */
export interface Endpoint {
  /** One word for it: `repository`, or the name of the channel. */
  name: string;
  /**
   * The consequence if it is only silent after a commit: the commit is rolled back (`rolls back`), or the silence is only
   * reported (`is reported`). Silence is never proof, because whoever controls the network or the server can cause it.
   */
  silence: 'rolls back' | 'is reported';
  /** Resolves when the server answered over a new connection; throws AgentError. */
  probe(signal: AbortSignal): Promise<void>;
}

export interface Unreachable {
  endpoint: Endpoint;
  message: string;
  /** `here`: the cause is on this host (no route, no name, its own trust or packet filter). */
  reach: 'here' | 'silent';
}

/** Checks after a new commit that every endpoint which was reachable before it is still reachable. */
export interface ConnectivityGuard {
  /** Resolves with the names of the reachable endpoints; nothing may be changed before that. */
  ready: Promise<readonly string[]>;
  /** Called when everything is applied: starts to probe while the commit settles. */
  look(): void;
  /**
   * Waits until the endpoints that were reachable before are reachable again.
   * @param moved the host changed after `look`, so its answer is outdated
   * @returns the endpoints that stayed unreachable; null if the agent was stopped before that was known
   */
  lost(moved: boolean, limitMs: number): Promise<Unreachable[] | null>;
}

/** What could not be observed, and why: this run must not change any of these resources. See `awayOf`. */
export interface Unobserved {
  /** Whole kinds (Docker engine down, no D-Bus). */
  unreachable: ReadonlyMap<Kind, AgentError>;
  /** Single resources of a kind that answers. */
  failed: ReadonlyMap<ResourceId, AgentError>;
}

export interface Observed extends Unobserved {
  seen: ReadonlyMap<ResourceId, Seen>;
}

/** Resources that could not be observed, and why. */
export type Away = ReadonlyMap<ResourceId, AgentError>;

/** An observation of the host that was made before it was needed. */
export interface Prefetched {
  /**
   * The observation, once; null if it was made for something else or may be outdated. It leaves out resources whose observation
   * runs a program.
   */
  take(loaded: Loaded): Promise<Observed> | null;
  /** Discards the observation, because something was changed meanwhile. */
  drop(): void;
}

/** Work that may outlive the run which started it: see steps/background.ts. */
export interface BackgroundWork {
  /**
   * Starts the work, or waits for the same work if it already runs; a different declaration starts when the former has ended.
   */
  begin(work: {
    id: ResourceId;
    hash: string;
    /** ISO 8601. */
    since: string;
    /** When it is stopped at the latest, ISO 8601; null if it has no limit. */
    until: string | null;
    act(): Promise<ActionRecord | null>;
  }): Promise<ActionRecord | null>;
  /** Forgets results that no run has taken, except of these ids. */
  forgetOthers(ids: ReadonlySet<ResourceId>): void;
  /** The run that waits for these ends without them. */
  leave(ids: Iterable<ResourceId>): void;
  /** The work that is running now. */
  left(): readonly Waiting[];
}

/** Failures, with the time of their next try: see steps/backoff.ts. */
export interface Backoff {
  /** Why it must not be tried yet; null if it may be. A different declaration may always be tried. */
  held(id: ResourceId, hash: string): { error: AgentError; until: string } | null;
  failed(id: ResourceId, hash: string, error: AgentError): void;
  well(id: ResourceId): void;
  /** Everything may be tried at once, as if it had never failed. */
  clear(): void;
  /** The same, but only if another commit is tried than the last time. */
  trying(commit: string): void;
  /** Reports a sign that a cause has ended. @returns whether this allows something to be tried */
  hint(isConcerned: (id: ResourceId, code: ReasonCode) => boolean): boolean;
  /** Time until the first retry is allowed, in ms; null if nothing waits. */
  dueMs(): number | null;
}

export interface EngineDeps {
  source: Source;
  load(checkout: Checkout): Promise<Loaded>;
  /** The variables that `load` depends on besides the commit: the same object as long as it did not change. */
  localVars?(): unknown;
  /** Removes known secrets from every string of plain data. Applied to everything that leaves a run. */
  redact<T>(value: T): T;
  kinds: KindTable;
  providers: ReadonlyMap<Kind, Provider>;
  store: Store;
  /** Directory of the store and the repository, named in messages if its disk fails. */
  stateDir: string;
  snapshots: Snapshots;
  /** Repository and broker; each probe makes a new connection. */
  endpoints: readonly Endpoint[];
  clock: Clock;
  /** Why this host's date is doubted; null if it is believed. Missing: it is always believed. */
  clockDoubt?(): Promise<ClockDoubt | null>;
  log: Log;
  /** State that outlives a run; missing if each run stands alone. */
  background?: BackgroundWork;
  backoff?: Backoff;
  /** Installs another version of the agent; missing if this process does not do that. */
  upgrade?: AgentUpgrade;
  /** Whether a process that holds a pause still runs; missing if no process can hold one. */
  isAlive?(holder: Holder): boolean;
}

/** The request for a run: plain data. */
export interface Asked {
  trigger: Trigger;
  allowPrune: boolean;
  /** Take over resources that already exist and differ, by recreating them. */
  adopt?: boolean;
  /** Start services without the data that they leave behind. */
  allowEmpty?: boolean;
  /** A branch may move to a commit that is older than the accepted one. */
  allowRewind: boolean;
  /** Try the head again although its content is known to be bad; no window holds it. */
  force: boolean;
  /** The command over the broker that asked for it. */
  command?: CommandOrigin;
  /** The resources that may have drifted; a run observes no others. Missing or null in a full run. */
  hinted?: ReadonlySet<ResourceId> | null;
}

/** How a run communicates with its caller. */
export interface RunIO {
  signal: AbortSignal;
  /** Whether another run was requested, so that waiting for settle may end early. */
  superseded(): boolean;
  /** Whether another full run was requested, by somebody or by the schedule. */
  hasNext(): boolean;
  /** Waits for something that changes nothing on the host. Repairs may run meanwhile; they have ended when this resolves. */
  yielding<T>(wait: Promise<T>): Promise<T>;
  emit(line: SyncLine): void;
}

export interface RunRequest extends Asked, RunIO {}

/** Intermediate results that a run uses once. */
interface RunScratch {
  /** An observation of the host, made while the repository was asked. */
  prefetched: Prefetched | null;
  /** The probes of the endpoints, started while a new commit is fetched. */
  guard: ConnectivityGuard | null;
  /** The content that the host was held to until now; null if there is none, or if it cannot be read any more. */
  former: Loaded | null;
  /** Why the head waits for another version of the agent. */
  upgrade: Gate | null;
}

/** The plan made from an observation of the host. */
export interface Planned {
  loaded: Loaded;
  plan: Plan;
  /** Resources and removals that could not be observed, and why. */
  away: Away;
  gate: Gate | null;
}

/** One run: dependencies, request, callbacks and intermediate results. */
export interface Run extends EngineDeps {
  background: BackgroundWork;
  backoff: Backoff;
  asked: Asked;
  io: RunIO;
  scratch: RunScratch;
}

/** The result of converging to one commit. */
export interface Outcome {
  /** The commit itself is invalid: nothing of it was applied. */
  rejected: boolean;
  commit: CommitInfo | null;
  mode: 'enforce' | 'observe';
  /** Labels of the host under this commit; null if it could not be read. */
  labels: Readonly<Record<string, string>> | null;
  gate: Gate | null;
  /**
   * `well`: everything is well. `partly`: everything but what needs an operator on this host. `unwell`: the commit itself did
   * not settle. `open`: undecided (an outage, a stop, a newer request). `untouched`: nothing was applied.
   */
  verdict: Proof | 'untouched';
  /** The commit that has now proved itself; null if none has. */
  converged: CommitInfo | null;
  /** Set if the commit was rolled back. */
  rollback?: { from: string; to: string; well: boolean };
  actions: readonly ActionRecord[];
  resources: readonly ResourceStatus[];
  problems: readonly Problem[];
  /** Warnings about the declaration that are no errors. */
  warnings: readonly Issue[];
  hostStates: readonly SyncState[];
  /** Empty if all is well. */
  reason: ReasonCode | '';
  message: string;
}
