/** Options of a run and of history, and the progress lines that a run emits. */
import type { StatusDocument } from '../../manifests-schema/payloads.ts';
import type { ActionRecord, CommitInfo, RunRecord } from './types.ts';

/** Body of `POST /v1/sync`. */
export interface SyncRequest {
  force?: boolean;
  adopt?: boolean;
  allowRewind?: boolean;
  allowPrune?: boolean;
  /** Lets a service start with empty data. It can be given on the host only: no command over the broker carries it. */
  allowEmpty?: boolean;
}

/** Phases of a run; in the `queue` it waits for the run before it. */
export type Phase = 'queue' | 'fetch' | 'plan' | 'prepare' | 'apply' | 'settle' | 'rollback';

/** Something that is not well yet, or that a run waits for, with its start and its latest end (null: unbounded). */
export interface Waiting {
  id: string;
  message: string;
  since: string;
  until: string | null;
}

/** `POST /v1/sync` answers newline-delimited JSON: any number of progress lines, then one `done`. */
export type SyncLine =
  /**
   * `waiting`: what is not well yet, and why, while resources settle. `withinMs`: `detail` may take this long without further
   * output.
   */
  | {
      type: 'phase';
      phase: Phase;
      detail?: string;
      waiting?: readonly Waiting[];
      withinMs?: number;
    }
  /**
   * An image is being pulled; sent a few times a second. `totalBytes` grows when the Docker engine learns of further layers.
   */
  | { type: 'progress'; image: string; doneBytes: number; totalBytes: number }
  /** The repository answered: the run is about this commit. */
  | { type: 'commit'; commit: CommitInfo }
  | { type: 'action'; action: ActionRecord }
  | { type: 'done'; run: RunRecord; status: StatusDocument };

export interface HistoryQuery {
  limit?: number;
  /** Only runs older than this one. */
  before?: number;
  since?: string;
  resource?: string;
  /** Hex digits at the beginning of a commit id, in lower case. */
  commit?: string;
  failed?: boolean;
}
