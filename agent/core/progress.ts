/** Options of a run and of history, and the progress lines that a run emits. */
import type { StatusDocument } from '../../manifests-schema/payloads.ts';
import type { ActionRecord, CommitInfo, RunRecord } from './types.ts';

/** Body of `POST /v1/sync`. */
export interface SyncRequest {
  force?: boolean;
  adopt?: boolean;
  allowRewind?: boolean;
  allowPrune?: boolean;
  /** A word about data, which is given on the host alone: no command of a broker carries it. */
  allowEmpty?: boolean;
}

/** What a run is at; in the `queue` it waits for the one before it. */
export type Phase = 'queue' | 'fetch' | 'plan' | 'prepare' | 'apply' | 'settle' | 'rollback';

/** Something that is not well yet, or that a run waits for: since when, and until when at most (null: no bound). */
export interface Waiting {
  id: string;
  message: string;
  since: string;
  until: string | null;
}

/** `POST /v1/sync` answers newline-delimited JSON: any number of progress lines, then one `done`. */
export type SyncLine =
  /**
   * `waiting`: what is not well yet, and why, while things settle. `withinMs`: `detail` may last so long, and nothing need be
   * said meanwhile.
   */
  | {
      type: 'phase';
      phase: Phase;
      detail?: string;
      waiting?: readonly Waiting[];
      withinMs?: number;
    }
  /** An image is being pulled; a few times a second. `totalBytes` grows as the engine hears of further layers. */
  | { type: 'progress'; image: string; doneBytes: number; totalBytes: number }
  /** The repository answered: the run is about this commit. */
  | { type: 'commit'; commit: CommitInfo }
  | { type: 'action'; action: ActionRecord }
  | { type: 'done'; run: RunRecord; status: StatusDocument };

export interface HistoryQuery {
  limit?: number;
  /** Older runs than this one. */
  before?: number;
  since?: string;
  resource?: string;
  /** Hex digits that a commit id begins with, in lower case. */
  commit?: string;
  failed?: boolean;
}
