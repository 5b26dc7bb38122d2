/** Events of a run as they happen: actions are reported while the run goes on, and not again at its end. */
import type { ActionRecord, AgentEvent } from '../../../core/types.ts';
import type { EngineDeps } from '../../types.ts';

type Draft = Omit<AgentEvent, 'id' | 'seq'>;

export interface LiveEvents {
  /** Reports an action that has ended. */
  tell(action: ActionRecord): void;
  /**
   * Ends the run: nothing more is written from here.
   * @returns the events that are not written yet, and a function that says whether an action was already reported; each call
   * counts one off
   */
  end(): { waiting: Draft[]; wasReported(action: ActionRecord): boolean };
}

/** A short run writes all of its events with its record; a long one writes them at this interval, in ms. */
const PAUSE_MS = 500;

export function createLiveEvents({ store, clock }: EngineDeps, run: number): LiveEvents {
  let waiting: Draft[] = [];
  let timer: NodeJS.Timeout | null = null;
  const told = new Map<string, number>();
  const flush = () => {
    timer = null;
    const events = waiting;
    waiting = [];
    try {
      store.outbox.push(events);
    } catch {
      // Events that cannot be written now are written with the record of the run.
      waiting = [...events, ...waiting];
    }
  };
  return {
    tell(action) {
      // A failed or held action is reported once over all runs; only the end of the run knows whether it is new.
      if (action.result !== 'done') return;
      waiting.push(actionEvent(action, run, clock.now().toISOString()));
      const key = keyOf(action);
      told.set(key, (told.get(key) ?? 0) + 1);
      timer ??= setTimeout(flush, PAUSE_MS).unref();
    },
    end() {
      if (timer !== null) clearTimeout(timer);
      timer = null;
      return {
        waiting,
        wasReported(action) {
          const left = told.get(keyOf(action)) ?? 0;
          if (left > 0) told.set(keyOf(action), left - 1);
          return left > 0;
        },
      };
    },
  };
}

const keyOf = ({ id, op, result }: ActionRecord): string => JSON.stringify([id, op, result]);

export function actionEvent(action: ActionRecord, run: number, at: string): Draft {
  const data = {
    resource: action.id,
    op: action.op,
    why: action.why,
    result: action.result,
    error: action.error ?? null,
  };
  if (action.result === 'held') return { at, type: 'hold', run, data };
  if (action.drift) return { at, type: action.result === 'done' ? 'repair' : 'drift', run, data };
  return { at, type: 'change', run, data };
}
