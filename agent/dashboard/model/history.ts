/** A host's history, and what changed there since a time. Pure. */
import { numberIn, objectIn, objectsIn, type Plain, parseObject, textIn, timeIn } from './plain.ts';
import { MAX } from './row.ts';
import { shortId } from './words.ts';

export interface PastRun {
  readonly id: number;
  readonly trigger: string;
  readonly at: number | null;
  readonly sync: string;
  readonly message: string;
  readonly commit: string;
  readonly subject: string;
  readonly author: string;
  readonly changed: number;
  readonly failed: number;
  readonly repaired: number;
  readonly actions: readonly Action[];
  /** `actions` may list only some of them. */
  readonly actionsTotal: number;
}

export interface Action {
  readonly id: string;
  readonly op: string;
  readonly result: string;
  readonly isDrift: boolean;
  /** Fields that differed, and what failed. */
  readonly why: string;
}

const MAX_RUNS = 50;
const MAX_FIELDS = 20;

/** The newest first; null for what cannot be read. */
export function historyOf(payload: string): PastRun[] | null {
  const document = parseObject(payload);
  if (document === null || document.schema !== 1) return null;
  return objectsIn(document.runs, MAX_RUNS).map((run) => {
    const commit = objectIn(run.commit);
    const actions = objectsIn(run.actions, MAX_RUNS).map(actionIn);
    return {
      id: numberIn(run.id) ?? 0,
      trigger: textIn(run.trigger, MAX.word),
      at: timeIn(run.startedAt),
      sync: textIn(run.sync, MAX.word),
      message: textIn(run.message, MAX.message),
      commit: textIn(commit.commit, MAX.word),
      subject: textIn(commit.subject, MAX.subject),
      author: textIn(commit.author, MAX.subject),
      changed: numberIn(run.changed) ?? 0,
      failed: numberIn(run.failed) ?? 0,
      repaired: numberIn(run.repaired) ?? 0,
      actions,
      actionsTotal: Math.max(actions.length, numberIn(run.actionsTotal) ?? 0),
    };
  });
}

const actionIn = (action: Plain): Action => ({
  id: textIn(action.id, MAX.id),
  op: textIn(action.op, MAX.word),
  result: textIn(action.result, MAX.word),
  isDrift: action.drift === true,
  why: [whyIn(action.why), textIn(objectIn(action.error).message, MAX.message)].filter(Boolean).join('; '),
});

/** `image: nginx:1.26 → nginx:1.27; …` */
const whyIn = (value: unknown): string =>
  objectsIn(value, MAX_FIELDS)
    .map(({ field, from, to }) => {
      const name = textIn(field, MAX.id);
      const [was, is] = [textIn(from, MAX.subject), textIn(to, MAX.subject)];
      if (was === '' && is === '') return name;
      return was === '' ? `${name}: ${is}` : `${name}: ${was} → ${is}`;
    })
    .join('; ');

export interface Changes {
  /** Runs that changed, failed or repaired something, the newest first. */
  readonly runs: readonly PastRun[];
  readonly changed: number;
  readonly repaired: number;
  readonly failed: number;
  /** Commits that these runs were of, the newest first. */
  readonly commits: readonly string[];
  /** The history does not reach back that far. */
  readonly isCut: boolean;
}

/** @param since milliseconds */
export function changesSince(history: readonly PastRun[], since: number): Changes {
  const recent = history.filter(({ at }) => at !== null && at >= since);
  const runs = recent.filter(
    ({ changed, failed, repaired, actions }) => changed + failed + repaired + actions.length > 0,
  );
  const sum = (of: (run: PastRun) => number) => runs.reduce((all, run) => all + of(run), 0);
  return {
    runs,
    changed: sum((run) => run.changed),
    repaired: sum((run) => run.repaired),
    failed: sum((run) => run.failed),
    commits: [...new Set(runs.map(({ commit }) => commit).filter(Boolean))],
    isCut: history.length >= MAX_RUNS && recent.length === history.length,
  };
}

/** One line of the live feed. */
export interface Happening {
  readonly key: string;
  readonly host: string;
  readonly at: number | null;
  readonly type: string;
  readonly text: string;
}

/** @returns null for what is no event of this host */
export function happeningOf(host: string, payload: string): Happening | null {
  const event = parseObject(payload);
  if (event === null || event.schema !== 1) return null;
  const type = textIn(event.type, MAX.word);
  return {
    key: `${host} ${textIn(event.id, MAX.id)}`,
    host,
    at: timeIn(event.at),
    type,
    text: aboutOf(type, objectIn(event.data)),
  };
}

function aboutOf(type: string, data: Plain): string {
  const word = (value: unknown) => textIn(value, MAX.subject);
  const message = textIn(data.message, MAX.message);
  const error = textIn(objectIn(data.error).message, MAX.message);
  switch (type) {
    case 'run': {
      const numbers = (['changed', 'failed', 'repaired'] as const).map(
        (name) => `${numberIn(data[name]) ?? 0} ${name}`,
      );
      const said = [`${word(data.trigger)}: ${word(data.sync)}`, shortId(word(data.commit)), ...numbers].join(', ');
      return [said, message].filter(Boolean).join('; ');
    }
    case 'rollback':
      return `${shortId(word(data.from))} → ${shortId(word(data.to))} ${message}`;
    case 'gap':
      return `${numberIn(data.count) ?? 'some'} events were dropped: the broker was unreachable for too long`;
    default: {
      const done = [word(data.op), word(data.result), word(data.health)].filter(Boolean).join(' ');
      return [textIn(data.resource, MAX.id), done, whyIn(data.why), message, error].filter(Boolean).join('  ');
    }
  }
}
