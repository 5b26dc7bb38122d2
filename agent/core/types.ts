/** The nouns that every layer shares. Plain data; see docs/architecture.md. */

import type { Kind } from '../../manifests-schema/kinds/index.ts';
import type { Fault, ReasonCode } from '../../manifests-schema/reasons.ts';
import type { Payload } from './payload.ts';
import type { Provenance } from './trust.ts';

export type { Kind };

/** `kind:locator`, e.g. `file:/etc/app.conf`, `unit:app.service`, `service:shop/web`. */
export type ResourceId = `${Kind}:${string}`;

/** Where a declaration stands in the fleet repository. Lines count from 1; `file` is relative to the repository. */
export interface Origin {
  file: string;
  line: number;
  layer: string;
}

/** One resource as the repository declares it, resolved. `hash` covers all of `spec`. */
export interface Desired<S = unknown> {
  id: ResourceId;
  spec: S;
  hash: string;
  /** Resources that are applied before this one. Ids that are not declared are ignored. */
  after: readonly ResourceId[];
  /** Subset of `after` whose failure does not block this resource. */
  optional?: readonly ResourceId[];
  /** Resources that are restarted after this one changed. An ordering edge as well. */
  notify: readonly ResourceId[];
  /** Resources that are reloaded after this one changed. An ordering edge as well. */
  reload?: readonly ResourceId[];
  /** Paths that it mounts and whose change is no reason to restart it. */
  quiet?: readonly string[];
  /** Directories that it mounts, and what a change of managed content in each asks of it. Missing ones ask for nothing. */
  follows?: readonly { path: string; verb: RefreshVerb }[];
  /** It is observed and reported, but never changed. */
  mode?: 'observe';
  /** It is never taken back by itself: its data moves forward only. */
  rollback?: 'off';
  /** The least time in ms that it is given to become well after a change. */
  patienceMs?: number;
  origin: Origin;
  /** Attribute → the place where its value was written, for resources that are merged from layers. */
  attributes?: Readonly<Record<string, Origin>>;
}

/** What the inventory knows: `intent` was written before acting, `hash` is what was last confirmed as applied. */
export interface Mark {
  hash: string | null;
  intent: string;
  /** See `Provider.memo`. */
  memo?: Readonly<Record<string, unknown>> | undefined;
}

/** One resource as the host has it. The engine fills in `mark` from the inventory. */
export interface Seen<F = unknown> {
  fact: F;
  mark?: Mark;
}

/** A named difference. `from`/`to` are short printable values; never secrets. */
export interface Reason {
  field: string;
  from?: string;
  to?: string;
}

export type Change =
  | { op: 'none' }
  | {
      op: 'create' | 'update' | 'replace';
      why: readonly Reason[];
      /** Nobody who is notified of changes need hear of it: the bytes are the same. */
      quiet?: true;
    };
/** What a notify asks for; a restart makes a reload superfluous. */
export type RefreshVerb = 'restart' | 'reload';
/** `release`: it is managed no more, and stays on the host. */
export type Operation = 'none' | 'create' | 'update' | 'replace' | 'remove' | 'release' | 'refresh';

export type { Issue } from '../../manifests-schema/issue.ts';

/** The facts that templates may use: only those that do not change from run to run. */
/** What the operating system calls itself, by the os-release(5) file that said so. */
export interface OsName {
  release: string;
  name: string;
}

export interface Facts {
  /** e.g. `Debian 12` */
  os: string;
  /** As Node names it: `x64`, `arm64`. */
  arch: string;
  cpus: number;
  /** Bytes. */
  memory: number;
  machine_id: string;
  /** Address of the interface with the default route; '' if there is none. */
  ipv4: string;
  ipv6: string;
}

export interface CommitInfo {
  /** The ref that was asked for, as written in agent.yaml. */
  ref: string;
  /** Full object id. */
  commit: string;
  /** `Name <mail>`. */
  author: string;
  /** First line of the message. */
  subject: string;
  /** ISO 8601, UTC. */
  committedAt: string;
  /** `Name <mail>` */
  committer?: string;
  /** Principal of the verified signature; null if none was asked for. */
  signer?: string | null;
  /** The tag that was followed, if `ref` is a tag or a pattern. */
  tag?: string;
  /** Changes if and only if the host's part of the repository changes. */
  content?: string;
  /** The commits since the previously accepted one, this one included, newest first; at most 50. */
  commits?: readonly SeenCommit[];
}

/** A commit of the fleet that this host has seen. */
export interface SeenCommit {
  commit: string;
  author: string;
  subject: string;
  committedAt: string;
  /** Whether it changed this host's part of the repository, so that it is applied. null if that is unknown. */
  touched: boolean | null;
}

/** The part of a commit that concerns this host. */
export interface Checkout {
  info: CommitInfo;
  /** The host's directory in the repository, e.g. `hosts/edge-01`. */
  hostPath: string;
  /** False when the commit has no such directory. */
  hostExists: boolean;
  files: Payload;
  /** How it came to be trusted; kept with its files. */
  provenance?: Provenance;
}

export type SyncState =
  | 'failed'
  | 'rolled-back'
  | 'held'
  | 'out-of-sync'
  | 'progressing'
  | 'synced'
  | 'unassigned'
  | 'unknown';
export type HealthState = 'degraded' | 'progressing' | 'healthy' | 'unknown';

/** One line of a plan. */
export interface PlannedAction {
  id: ResourceId;
  op: Operation;
  why: readonly Reason[];
  origin: Origin | null;
  /** Why a gate holds the action, in a sentence. Missing if none does. */
  held?: string;
  /** What changes in its texts, as `diff -u` shows it; only where that is asked for. */
  diff?: string;
}

/** What a run did, or failed to do, to one resource. */
export interface ActionRecord {
  id: ResourceId;
  op: Operation;
  why: readonly Reason[];
  result: 'done' | 'failed' | 'blocked' | 'held';
  /** The difference was not caused by a commit: something on the host had drifted. */
  drift: boolean;
  error?: { code: ReasonCode; message: string };
  /** When it is tried again, ISO 8601, where it is backed off. */
  until?: string;
  durationMs: number;
}

export interface Problem {
  id: string;
  reason: ReasonCode;
  message: string;
  file: string | null;
  line: number | null;
  /** Whose turn it is, where that is otherwise than its reason says. */
  turn?: Fault;
  /** First seen, ISO 8601; status has it. */
  since?: string;
  /** When it is tried again, or over, ISO 8601, where that is known. */
  until?: string;
}

/** What `resources` prints and `…/resources` publishes. */
export interface ResourceStatus {
  id: ResourceId;
  sync: 'synced' | 'out-of-sync' | 'failed' | 'held' | 'progressing';
  health: HealthState;
  /** Empty if all is well. */
  reason: ReasonCode | '';
}

/** Why work waits. Status shows it until the wait is over. */
export interface Gate {
  kind: 'pause' | 'pin' | 'window' | 'observe' | 'prune' | 'review' | 'upgrade';
  reason: string;
  /** ISO 8601; null if it is unknown. */
  until: string | null;
}

export type Trigger = 'start' | 'schedule' | 'push' | 'manual' | 'drift' | 'retry';

/** One reconcile, as history keeps it. */
export interface RunRecord {
  id: number;
  trigger: Trigger;
  startedAt: string;
  durationMs: number;
  sync: SyncState;
  /** Empty if all is well. */
  reason: ReasonCode | '';
  message: string;
  commit: CommitInfo | null;
  changed: number;
  failed: number;
  repaired: number;
  /** The first of the runs in a row that this one stands for: all of them found the same and had nothing to do. */
  quietFrom?: number;
}

/** An event in the outbox. The store numbers the events of a host with `seq`, without gaps. */
export interface AgentEvent {
  id: string;
  seq: number;
  at: string;
  type: 'run' | 'change' | 'drift' | 'repair' | 'rollback' | 'hold' | 'gap';
  run: number | null;
  data: Record<string, unknown>;
}
