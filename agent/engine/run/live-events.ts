/** Events of a run as they happen: what was done is reported while the run goes on, and not once more at its end. */
import type { ActionRecord, AgentEvent } from '../../core/types.ts';
import type { EngineDeps } from '../types.ts';

type Draft = Omit<AgentEvent, 'id' | 'seq'>;

export interface LiveEvents {
  /** Takes in an action that has ended. */
  tell(action: ActionRecord): void;
  /**
   * The run is at its end: nothing more is written from here.
   * @returns the events that wait to be written, and whether an action is told by those before them; each call counts one off
   */
  end(): { waiting: Draft[]; isTold(action: ActionRecord): boolean };
}

/** A short run writes all of its events with its record; a long one writes them this often, in ms. */
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
      // What cannot be written now is written with the record of the run.
      waiting = [...events, ...waiting];
    }
  };
  return {
    tell(action) {
      // What failed or is held is told once for all runs: the end of the run knows.
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
        isTold(action) {
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
