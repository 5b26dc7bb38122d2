/** Commands to a host over the broker: their expected effect, the message, and the result. Pure. */
import type { CommandDocument } from '../../../manifests-schema/commands.ts';
import { isObject, numberIn, objectIn, objectsIn, type Plain, parseObject, textIn } from './plain.ts';
import { MAX } from './row.ts';
import { count, shortId } from './words.ts';

export type CommandName = CommandDocument['command'];

/** In the order of the buttons, each with its effect, which is shown before it happens. */
export const EFFECTS: Readonly<Record<CommandName, string>> = {
  sync: 'The host polls its repository now and applies a new commit, as its next scheduled sync would. Windows, pauses and reviews still apply.',
  plan: 'Nothing is changed: the host says what a sync would do now.',
  pause: 'Neither commits nor repairs change this host until it is resumed, or until the time is over.',
  resume: 'Ends the pause and the pin of this host: it follows the newest commit again, which may change it at once.',
  rollback:
    'The host returns to a commit that it had accepted, by default the one before, and stays there until it is resumed. Jobs are run only if they have `on_rollback: run`.',
};

export const COMMANDS = Object.keys(EFFECTS) as readonly CommandName[];

/** Values of a form; empty fields are left out. */
export interface Wish {
  readonly command: CommandName;
  readonly reason: string;
  /** For `sync`: retries commits that were recorded as bad. */
  readonly isForced: boolean;
  /** For `pause`, such as `2h`. */
  readonly time: string;
  /** For `rollback`. */
  readonly commit: string;
}

const EXPIRES_MS = 300_000;
const MAX_REASON = 200;

/** @returns the error; empty if there is none */
export function complaintOf({ command, time, commit, reason }: Wish): string {
  if (command === 'pause' && time !== '' && !/^\d{1,6}(ms|s|m|h|d)$/.test(time))
    return 'The time is a number with s, m, h or d, such as 2h.';
  if (command === 'rollback' && commit !== '' && !/^[0-9a-f]{4,40}$/.test(commit))
    return 'The commit is an id, or at least its first four digits.';
  return reason.length > MAX_REASON ? `The reason has at most ${MAX_REASON} characters.` : '';
}

/** The message for `hosts/<host>/commands`. @param id random */
export function commandText({ command, reason, isForced, time, commit }: Wish, id: string, now: number): string {
  const args = {
    ...(reason === '' ? {} : { reason }),
    ...(command === 'sync' && isForced ? { force: true } : {}),
    ...(command === 'pause' && time !== '' ? { for: time } : {}),
    ...(command === 'rollback' && commit !== '' ? { commit } : {}),
  };
  return JSON.stringify({ id, command, args, expires: new Date(now + EXPIRES_MS).toISOString() });
}

export interface Order {
  readonly id: string;
  readonly host: string;
  readonly command: CommandName;
  /** `unheard`: the broker refused it; `silent`: nobody has answered. */
  readonly state: 'sent' | 'accepted' | 'done' | 'failed' | 'refused' | 'unheard' | 'silent';
  readonly text: string;
  /** Actions of a plan, one line each. */
  readonly plan: readonly string[];
}

export const isOpen = ({ state }: Order): boolean => state === 'sent' || state === 'accepted';

const STATES = ['accepted', 'done', 'failed', 'refused'] as const;
const MAX_ACTIONS = 50;

/** @returns the order as it is after a message on `replies/<id>`; the same one if that is no answer to it */
export function answered(order: Order, payload: string): Order {
  const answer = parseObject(payload);
  if (answer === null || answer.schema !== 1 || answer.id !== order.id || answer.host !== order.host) return order;
  const state = STATES.find((one) => one === answer.state);
  if (state === undefined || !(isOpen(order) || order.state === 'silent')) return order;
  return { ...order, state, text: textOf(state, answer), plan: planOf(answer.plan) };
}

function textOf(state: Order['state'], answer: Plain): string {
  const message = textIn(answer.message, MAX.message);
  const reason = textIn(answer.reason, MAX.word);
  const status = objectIn(answer.status);
  const run = objectIn(status.run);
  const numbers = (['changed', 'failed', 'repaired'] as const).map((name) => `${numberIn(run[name]) ?? 0} ${name}`);
  const after = isObject(answer.status)
    ? `The host is ${textIn(status.sync, MAX.word)}, ${textIn(status.health, MAX.word)} on ${shortId(textIn(status.commit, MAX.word))}: ${numbers.join(', ')}.`
    : '';
  const code = reason !== '' && state !== 'done' ? `(${reason})` : '';
  return [message, code, after].filter(Boolean).join(' ');
}

function planOf(value: unknown): string[] {
  if (!isObject(value)) return [];
  const actions = objectsIn(value.actions, MAX_ACTIONS);
  const total = numberIn(value.actionsTotal) ?? actions.length;
  const lines = actions.map((action) => {
    const why = Array.isArray(action.why) ? action.why.slice(0, 5).map((one) => textIn(one, MAX.subject)) : [];
    return [`${textIn(action.op, MAX.word)} ${textIn(action.id, MAX.id)}`, why.join('; ')].filter(Boolean).join(': ');
  });
  if (lines.length === 0) return ['Nothing would change.'];
  return total > lines.length ? [...lines, `and ${count(total - lines.length, 'more action')}`] : lines;
}
