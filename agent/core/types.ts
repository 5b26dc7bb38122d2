/** The nouns that every layer shares. Plain data; see docs/architecture.md. */

import type { Kind } from '../../manifests-schema/kinds/index.ts';
import type { Fault, ReasonCode } from '../../manifests-schema/reasons.ts';
import type { Payload } from './payload/payload.ts';
import type { Provenance } from './trust.ts';

export type { Kind };

/** `kind:locator`, e.g. `file:/etc/app.conf`, `unit:app.service`, `service:shop/web`. */
export type ResourceId = `${Kind}:${string}`;

/** The place of a declaration in the fleet repository. Lines count from 1; `file` is relative to the repository. */
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
  /** Paths that it mounts and whose change does not restart it. */
  quiet?: readonly string[];
  /**
   * Directories that it mounts, and what to do with it if managed content in them changes. Nothing is done for other
   * directories.
   */
  follows?: readonly { path: string; verb: RefreshVerb }[];
  /** It is observed and reported, but never changed. */
  mode?: 'observe';
  /** It is never rolled back automatically, because its data only moves forward. */
  rollback?: 'off';
  /** The minimum time in ms that it is given to become well after a change. */
  patienceMs?: number;
  origin: Origin;
  /** Attribute → the place where its value was written, for resources that are merged from layers. */
  attributes?: Readonly<Record<string, Origin>>;
}

/** The inventory's record: `intent` was written before the action, `hash` is of the last apply that was confirmed. */
export interface Mark {
  hash: string | null;
  intent: string;
  /** See `Provider.memo`. */
  memo?: Readonly<Record<string, unknown>> | undefined;
}

/** One resource as it is on the host. The engine fills in `mark` from the inventory. */
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
      /** Notified resources need not be restarted or reloaded: the bytes are the same. */
      quiet?: true;
    };
/** The action that a notify asks for; a restart includes a reload. */
export type RefreshVerb = 'restart' | 'reload';
/** `release`: it is no longer managed, and stays on the host. */
export type Operation = 'none' | 'create' | 'update' | 'replace' | 'remove' | 'release' | 'refresh';

export type { Issue } from '../../manifests-schema/issue.ts';

/** The name of the operating system, and the os-release(5) file that it was read from. */
export interface OsName {
  release: string;
  name: string;
}

/** The facts that templates may use: only those that do not change from run to run. */
export interface Facts {
  /** e.g. `Debian 12` */
  os: string;
  /** Architecture as Node names it: `x64`, `arm64`. */
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
  /** The configured ref, as written in agent.yaml. */
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
  /** Whether it changed this host's part of the repository, and so is applied. null if that is unknown. */
  touched: boolean | null;
}

/** The part of a commit that concerns this host. */
export interface Checkout {
  info: CommitInfo;
  /** The host's directory in the repository, e.g. `hosts/edge-01`. */
  hostPath: string;
  /** False if the commit has no such directory. */
  hostExists: boolean;
  files: Payload;
  /** Why it was trusted; stored with its files. */
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
  /** Why a gate holds the action, as a sentence. Missing if none does. */
  held?: string;
  /** The change of its texts, in the form of `diff -u`; only on request. */
  diff?: string;
}

/** The action of a run on one resource, and its result. */
export interface ActionRecord {
  id: ResourceId;
  op: Operation;
  why: readonly Reason[];
  result: 'done' | 'failed' | 'blocked' | 'held';
  /** No commit caused the difference: something on the host had drifted. */
  drift: boolean;
  error?: { code: ReasonCode; message: string };
  /** Time of the next try, ISO 8601, if it is backed off. */
  until?: string;
  durationMs: number;
}

export interface Problem {
  id: string;
  reason: ReasonCode;
  message: string;
  file: string | null;
  line: number | null;
  /** Who must act, if it differs from the reason's usual fault. */
  turn?: Fault;
  /** First seen, ISO 8601; set in status. */
  since?: string;
  /** Time of the next try, or of the end, ISO 8601, if known. */
  until?: string;
}

/** The state of one resource, as `resources` prints and `…/resources` publishes it. */
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

/** A command over the broker that asked for a run, or a hold. Whoever may publish there could have sent it. */
export interface CommandOrigin {
  id: string;
  /** As who sent it says; may be empty. */
  reason: string;
}

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
  /** The first of several consecutive runs that this one represents: all had the same result and nothing to do. */
  quietFrom?: number;
  /** The command over the broker that asked for it. */
  command?: CommandOrigin;
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
