/** What the engine works with: everything that acts is passed in. */

import type { ReasonCode } from '../../manifests-schema/reasons.ts';
import type { AgentUpgrade } from '../core/agent-upgrade.ts';
import type { Proof } from '../core/blame.ts';
import type { ClockDoubt } from '../core/clock-doubt.ts';
import type { KindTable } from '../core/kind.ts';
import type { Var } from '../core/layers.ts';
import type { Plan } from '../core/plan.ts';
import type { SyncLine, Waiting } from '../core/progress.ts';
import type { Provider, Source } from '../core/provider.ts';
import type { HostSettings } from '../core/render.ts';
import type { Holder } from '../core/resource-pause.ts';
import type {
  ActionRecord,
  Checkout,
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
import type { AgentError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Store } from '../store/db.ts';
import type { Snapshots } from '../store/snapshots.ts';
import type { Clock } from '../system/clock.ts';

export interface Loaded {
  resources: readonly Desired[];
  issues: readonly Issue[];
  host: HostSettings;
  /** agent.yaml's labels with host.yaml's above them. */
  labels: Readonly<Record<string, string>>;
  /** Merged from all layers, each with its place. */
  vars: ReadonlyMap<string, Var>;
  /** The host's layers, lowest first. */
  layers: readonly string[];
  /** Encrypted files that reached a resource. */
  secrets: readonly string[];
  /** Project → its model as `docker compose config` prints it; null where compose/ does not give it. */
  compose: Readonly<Record<string, unknown>> | null;
  /** Inferred edges that would have closed a cycle, each in a sentence; missing if there are none. */
  dropped?: readonly string[];
  /** Hash of all that the host would be made to be: the same content is the same under every commit id. */
  content(): string;
  byId(): ReadonlyMap<ResourceId, Desired>;
  /** `resources` in dependency order. */
  ordered(): readonly Desired[];
}

/** What the host is held to between two full runs. */
export interface Holding {
  /** Without its files: they are in `loaded`. */
  checkout: Checkout;
  loaded: Loaded;
}

/** A far end that the host must be able to reach: its repository, its channel. */
export interface Endpoint {
  /** What it is to people, in one word: `repository`, or the name of the channel. */
  name: string;
  /**
   * What mere silence of it means after a commit: it `takes back` the commit, or `is told`. Whoever holds the network or the
   * far end can be silent at will, so it is never proof.
   */
  silence: 'takes back' | 'is told';
  /** Resolves when the far end answered over a connection made now; throws AgentError. */
  probe(signal: AbortSignal): Promise<void>;
}

export interface Unreachable {
  endpoint: Endpoint;
  message: string;
  /** `here`: this host itself says so (no route, no name, its own trust or packet filter). */
  reach: 'here' | 'silent';
}

/** Watches over one new commit that what could be reached before can be reached after it. */
export interface ConnectivityGuard {
  /** Resolves with the names of what can be reached: nothing may be changed before that. */
  ready: Promise<readonly string[]>;
  /** Everything is applied: looks, while the commit settles. */
  look(): void;
  /**
   * Waits until what could be reached before can be reached again.
   * @param moved something was changed after `look`, so that its answer says nothing
   * @returns what stayed out of reach; null if the agent was stopped before that was known
   */
  lost(moved: boolean, limitMs: number): Promise<Unreachable[] | null>;
}

export interface Observed {
  seen: ReadonlyMap<ResourceId, Seen>;
  /** Kinds that could not be observed (engine down, no D-Bus): nothing of them may be touched in this run. */
  unreachable: ReadonlyMap<Kind, AgentError>;
}

/** An observation of the host that was taken before it was needed. */
export interface Prefetched {
  /** What was seen, once; null where it is not what is asked for now, or may be outdated. What runs something to be observed is not in it. */
  take(loaded: Loaded): Promise<Observed> | null;
  /** Something was changed meanwhile. */
  drop(): void;
}

/** Work that is awaited aside: see steps/aside.ts. */
export interface AsideWork {
  /** Begins it, or waits for what was begun already; another declaration begins when the former one has ended. */
  begin(work: {
    id: ResourceId;
    hash: string;
    /** ISO 8601. */
    since: string;
    /** When it is stopped at the latest, ISO 8601; null if it may take as long as it likes. */
    until: string | null;
    act(): Promise<ActionRecord | null>;
  }): Promise<ActionRecord | null>;
  /** What ended unheard and is none of these is of no meaning any more. */
  forgetOthers(ids: ReadonlySet<ResourceId>): void;
  /** The run that waits for these ends without them. */
  leave(ids: Iterable<ResourceId>): void;
  /** What runs now. */
  left(): readonly Waiting[];
}

/** What failed, and when it is tried again: see steps/backoff.ts. */
export interface Backoff {
  /** Why it is not to be tried yet; null if it may be. Another declaration may always be. */
  held(id: ResourceId, hash: string): { error: AgentError; until: string } | null;
  failed(id: ResourceId, hash: string, error: AgentError): void;
  well(id: ResourceId): void;
  /** Everything may be tried now, as if it had never failed. */
  clear(): void;
  /** The same if another commit is tried than the last time. */
  trying(commit: string): void;
  /** A sign that a cause has ended. @returns whether anything may be tried by that */
  hint(isConcerned: (id: ResourceId, code: ReasonCode) => boolean): boolean;
  /** Until the first may be tried again, in ms; null if nothing waits. */
  dueMs(): number | null;
}

export interface EngineDeps {
  source: Source;
  load(checkout: Checkout): Promise<Loaded>;
  /** What `load` goes by besides the commit: the same object as long as nothing of it changed. */
  localVars?(): unknown;
  /** Takes known secrets out of every string of plain data: of all that leaves a run. */
  redact<T>(value: T): T;
  kinds: KindTable;
  providers: ReadonlyMap<Kind, Provider>;
  store: Store;
  /** Where store and repository are kept, to name it if its disk fails. */
  stateDir: string;
  snapshots: Snapshots;
  /** Repository and broker, to be reached over connections made now. */
  endpoints: readonly Endpoint[];
  clock: Clock;
  /** Why this host's date cannot be believed, or not yet; null if it is. Missing: it always is. */
  clockDoubt?(): Promise<ClockDoubt | null>;
  log: Log;
  /** What outlives the runs of a process; missing if every run stands for itself. */
  aside?: AsideWork;
  backoff?: Backoff;
  /** Puts another version of the agent in place; missing where that is nobody's business here. */
  upgrade?: AgentUpgrade;
  /** Whether a process that holds something still runs; missing if none can. */
  isAlive?(holder: Holder): boolean;
}

/** What was asked of a run: plain data. */
export interface Asked {
  trigger: Trigger;
  allowPrune: boolean;
  /** Take over what runs already and differs, by recreating it. */
  adopt?: boolean;
  /** Start services without the data that they leave behind. */
  allowEmpty?: boolean;
  /** A branch may go behind what was accepted. */
  allowRewind: boolean;
  /** Try the head again although its content is known to be bad; no window holds it. */
  force: boolean;
  /** Only these may have drifted, and the rest is not looked at; missing or null in a full run. */
  hinted?: ReadonlySet<ResourceId> | null;
}

/** How a run talks to whoever started it. */
export interface RunIO {
  signal: AbortSignal;
  /** Somebody asks for another run: a wait for things to settle may end early. */
  superseded(): boolean;
  /** Somebody, or the schedule, asks for another full run. */
  hasNext(): boolean;
  /** Waits for something that touches nothing on the host: repairs may go on meanwhile, and have ended when it answers. */
  yielding<T>(wait: Promise<T>): Promise<T>;
  emit(line: SyncLine): void;
}

export interface RunRequest extends Asked, RunIO {}

/** What a run found out early and uses once. */
interface RunScratch {
  /** A look that was taken at the host while the repository was asked. */
  prefetched: Prefetched | null;
  /** What can be reached, asked for while a new commit is fetched. */
  guard: ConnectivityGuard | null;
  /** What the host went by until now; null where there is no such thing, or where it cannot be read any more. */
  former: Loaded | null;
  /** The head waits for another version of the agent: why. */
  upgrade: Gate | null;
}

/** A look at the host, and what is to be done about it. */
export interface Planned {
  loaded: Loaded;
  observed: Observed;
  plan: Plan;
  /** Resources and removals of kinds that could not be observed. */
  away: ReadonlySet<ResourceId>;
  gate: Gate | null;
}

/** One run: what the engine works with, what was asked, how to talk, and its scratch pad. */
export interface Run extends EngineDeps {
  aside: AsideWork;
  backoff: Backoff;
  asked: Asked;
  io: RunIO;
  scratch: RunScratch;
}

/** What converging to one commit came to. */
export interface Outcome {
  /** The commit itself is at fault: nothing of it was applied. */
  rejected: boolean;
  commit: CommitInfo | null;
  mode: 'enforce' | 'observe';
  /** Of the host under this commit; null where it could not be read. */
  labels: Readonly<Record<string, string>> | null;
  gate: Gate | null;
  /**
   * All is well; or all but what needs a hand on this host; or the commit itself did not settle; or that is open (an outage, a
   * stop, a newer request); or nothing was touched.
   */
  verdict: Proof | 'untouched';
  /** The commit that has proved itself now; null where that is not so. */
  converged: CommitInfo | null;
  /** The commit was taken back. */
  rollback?: { from: string; to: string; well: boolean };
  actions: readonly ActionRecord[];
  resources: readonly ResourceStatus[];
  problems: readonly Problem[];
  /** What is odd about the declaration and no error. */
  warnings: readonly Issue[];
  hostStates: readonly SyncState[];
  /** Empty when all is well. */
  reason: ReasonCode | '';
  message: string;
}
