/** The daemon's API: HTTP + JSON on unix sockets. The command line knows the daemon by this file alone. */
import type { StatusDocument } from '../../manifests-schema/payloads.ts';
import type { HistoryQuery, SyncLine, SyncRequest } from '../core/progress.ts';
import type { ActionRecord, Issue, PlannedAction, ResourceStatus, RunRecord, Trigger } from '../core/types.ts';

export type { HistoryQuery, SyncLine, SyncRequest };

/** What is planned: the commit that the ref names now, or a fleet repository's directory on this machine. */
export interface PlanRequest {
  dir?: string;
}

/** `GET /v1/plan?dir=` */
export interface PlanDocument {
  schema: 1;
  commit: string | null;
  /** Non-empty: the commit cannot be planned. */
  issues: Issue[];
  /** Set where something other than the declaration failed (git, engine): a sentence. */
  error: string | null;
  /** The whole plan is held: why. */
  held: string | null;
  actions: PlannedAction[];
}

/** `GET /v1/resources` */
export interface ResourcesDocument {
  schema: 1;
  resources: ResourceStatus[];
}

/** `GET /v1/resources/<id, percent-encoded>` */
export interface ShowDocument {
  schema: 1;
  id: string;
  origin: { file: string; line: number; layer: string } | null;
  /** Attribute → where its value was written, for what is merged from layers. */
  attributes: Readonly<Record<string, { file: string; line: number; layer: string }>>;
  commit: {
    commit: string;
    author: string;
    committer: string;
    subject: string;
    committedAt: string;
    signer: string | null;
  } | null;
  /** Printable form of the declaration; secrets and file bytes are replaced by `(n bytes, sha256 …)`. */
  desired: unknown;
  /** Printable form of what the host has, null where it has nothing. */
  actual: unknown;
  status: ResourceStatus | null;
  /** Newest first. */
  history: { run: number; at: string; action: ActionRecord }[];
}

/** `GET /v1/history?limit=&since=&resource=&commit=&failed=1`, newest first */
export interface HistoryDocument {
  schema: 1;
  runs: RunRecord[];
}

/** `GET /v1/history/<run>` */
export interface RunDocument {
  schema: 1;
  run: RunRecord;
  actions: ActionRecord[];
}

export type HoldVerb = 'pause' | 'resume' | 'rollback';

/** Body of `POST /v1/pause`, `/v1/resume`, `/v1/rollback`. */
export interface HoldRequest {
  /** pause: a duration such as 2h; until `resume` where it is left out. */
  for?: string;
  /** pause: shown wherever the pause is. */
  reason?: string;
  /** rollback: a commit id, or its beginning; the last good one but what runs where it is left out. */
  commit?: string;
}

/** Their answer: what stands now; for `resume`, what stood until now. */
export interface HoldDocument {
  schema: 1;
  pause: { until: string | null; reason: string; at: string } | null;
  pin: { commit: string; at: string } | null;
  /** The commit that this host has accepted. */
  commit: string | null;
}

/** What the server needs of the daemon. `null` answers become 404. */
export interface ControlApi {
  status(): StatusDocument;
  plan(request: PlanRequest, signal: AbortSignal): Promise<PlanDocument>;
  resources(): ResourcesDocument;
  show(id: string, signal: AbortSignal): Promise<ShowDocument | null>;
  history(query: HistoryQuery): HistoryDocument;
  run(id: number): RunDocument | null;
  /** Throws AgentError where the request cannot be followed. */
  hold(verb: HoldVerb, request: HoldRequest): HoldDocument;
  /** Starts a run, or joins the queue for one; `line` gets the progress. Resolves when it ended. */
  sync(request: SyncRequest, trigger: Trigger, line: (line: SyncLine) => void): Promise<void>;
  version(): { version: string };
}

/** Error body of every non-2xx answer. */
export interface ErrorBody {
  error: string;
}
