/** The daemon's API: HTTP + JSON on unix sockets. The command line knows the daemon by this file alone. */
import type {
  ActionDocument,
  HistoryDocument,
  HoldDocument,
  PlanDocument,
  RunDocument,
  ShowDocument,
} from '../../manifests-schema/documents.ts';
import type { EventDocument, StatusDocument } from '../../manifests-schema/payloads.ts';
import type { HistoryQuery, SyncLine, SyncRequest } from '../core/progress.ts';
import type { ResourceStatus, Trigger } from '../core/types.ts';

export type { HistoryQuery, SyncLine, SyncRequest };

/**
 * The subject of a plan: the commit that the ref names now, another commit, or the directory of a fleet repository on this
 * machine.
 */
export interface PlanRequest {
  dir?: string;
  /** Plan the working tree of the directory's repository, as the commit that it would make, instead of HEAD. */
  worktree?: boolean;
  /** With the texts that change. */
  diff?: boolean;
  commit?: string;
}

/**
 * The documents, as `manifests-schema/json` publishes them:
 * `GET /v1/plan?dir=&worktree=1&commit=&diff=1`, `GET /v1/resources/<id, percent-encoded>`,
 * `GET /v1/history?limit=&before=&since=&resource=&commit=&failed=1` (newest first, at most 1,000), `GET /v1/history/<run>`.
 */
export type { ActionDocument, HistoryDocument, HoldDocument, PlanDocument, RunDocument, ShowDocument };

/** `GET /v1/resources` */
export interface ResourcesDocument {
  schema: 1;
  resources: readonly ResourceStatus[];
}

/** `GET /v1/ids?like=`: resources that are, or were. Without `like`, all of them are matches. */
export interface IdsDocument {
  schema: 1;
  matches: string[];
  /** If nothing matches: similar ids. */
  near: string[];
}

export type HoldVerb = 'pause' | 'resume' | 'rollback';

/** Body of `POST /v1/pause`, `/v1/resume`, `/v1/rollback`; their answer is a HoldDocument with the current holds, or the ended ones of `resume`. */
export interface HoldRequest {
  /** pause: a duration such as 2h; until `resume` where it is left out. */
  for?: string;
  /** pause, resume: single resources, by id; the whole host where it is left out. */
  ids?: readonly string[];
  /** pause of single resources: number of the process for as long as which they are held. */
  holder?: number;
  /** pause: shown wherever the pause is. */
  reason?: string;
  /** rollback: a commit id, or its beginning; the last good one but what runs where it is left out. */
  commit?: string;
  /** rollback: also to a commit that did not settle here. */
  force?: boolean;
  /** The caller follows the next run by `POST /v1/sync` itself. */
  watched?: boolean;
}

/** The functions of the daemon that the server needs. `null` answers become 404. */
export interface ControlApi {
  status(): StatusDocument;
  plan(request: PlanRequest, signal: AbortSignal): Promise<PlanDocument>;
  resources(): ResourcesDocument;
  show(id: string, signal: AbortSignal): Promise<ShowDocument | null>;
  ids(like: string | null): IdsDocument;
  /**
   * `GET /v1/events?after=`, newline-delimited JSON without an end: every event from now on, and before them those
   * after `after` that the broker has not got yet. @returns ends the feed
   */
  events(after: number | null, tell: (event: EventDocument) => void): () => void;
  history(query: HistoryQuery, signal: AbortSignal): Promise<HistoryDocument>;
  run(id: number): RunDocument | null;
  /** Throws AgentError where the request cannot be followed. */
  hold(verb: HoldVerb, request: HoldRequest): Promise<HoldDocument>;
  /** Starts a run, or joins the queue for one; `line` gets the progress. Resolves when it ended. */
  sync(request: SyncRequest, trigger: Trigger, line: (line: SyncLine) => void): Promise<void>;
  version(): { version: string };
  /** `GET /metrics`: the agent's metrics in the text format of Prometheus. */
  metrics(): Promise<{ type: string; text: string }>;
}

/** Error body of every non-2xx answer. */
export interface ErrorBody {
  error: string;
}
