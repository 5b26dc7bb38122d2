/** Whether a message from the broker is a command that this host follows now. Pure. */
import type { CommandName } from '../../../manifests-schema/command-names.ts';
import { type CommandDocument, commandDocument } from '../../../manifests-schema/commands.ts';
import type { ReasonCode } from '../../../manifests-schema/reasons.ts';
import { MOST_AHEAD_MS } from './command-time.ts';

export interface Refusal {
  reason: ReasonCode;
  message: string;
}

export type Read =
  | { command: CommandDocument; refusal: null }
  /** `id` and `name` as far as they could be read, so that the answer reaches the sender. */
  | { command: null; id: string | null; name: CommandName | null; refusal: Refusal };

const shape = commandDocument.def.options.map((option) => option.shape);

/** @param text untrusted input */
export function readCommand(text: string): Read {
  let given: unknown;
  try {
    given = JSON.parse(text);
  } catch {
    return { command: null, id: null, name: null, refusal: invalid('it is no JSON document') };
  }
  const read = commandDocument.safeParse(given);
  if (read.success) return { command: read.data, refusal: null };
  const { id, command } = (typeof given === 'object' && given !== null ? given : {}) as Record<string, unknown>;
  const known = shape[0]?.id.safeParse(id);
  const name = shape.map((of) => of.command.safeParse(command)).find((one) => one.success);
  const [first] = read.error.issues;
  const where = first === undefined || first.path.length === 0 ? '' : `\`${first.path.map(String).join('.')}\`: `;
  return {
    command: null,
    id: known?.success ? known.data : null,
    name: name?.data ?? null,
    refusal: invalid(`${where}${(first?.message ?? 'it cannot be read').slice(0, 200)}`),
  };
}

const invalid = (why: string): Refusal => ({
  reason: 'InvalidCommand',
  message: `invalid command: ${why}; docs/reporting.md describes the format`,
});

export interface Circumstances {
  /** The commands that `mqtt.commands` allows. */
  listed: readonly CommandName[];
  /** This host's date, ms. */
  now: number;
  /** Why this host's date is wrong; null if it is not in doubt. */
  doubt: string | null;
  /**
   * The latest `expires` of the ids that were forgotten, ms. A command that expires before then may have been carried out
   * already.
   */
  forgotten: number;
}

/** @returns why the command is refused; null if it may be followed */
export function refusalOf({ command, expires }: CommandDocument, at: Circumstances): Refusal | null {
  const { listed, now, doubt, forgotten } = at;
  if (!listed.includes(command))
    return {
      reason: 'CommandOff',
      message: `this host does not follow \`${command}\` over the broker; it follows ${listed.join(', ') || 'none'} (mqtt.commands in its agent.yaml)`,
    };
  if (doubt !== null)
    return { reason: 'ClockWrong', message: `cannot check whether the command has expired: ${doubt}` };
  const ends = Date.parse(expires);
  const clock = `by this host's clock it is ${new Date(now).toISOString()}`;
  if (ends <= now)
    return { reason: 'CommandExpired', message: `the command expired at ${expires}, and ${clock}; send it again` };
  if (ends - now > MOST_AHEAD_MS)
    return {
      reason: 'CommandExpired',
      message: `\`expires\` (${expires}) is more than ${MOST_AHEAD_MS / 60_000} minutes ahead: ${clock}; name an earlier time, or set the clock`,
    };
  if (ends <= forgotten)
    return {
      reason: 'CommandExpired',
      message: `the command may have been followed before: this host remembers no ids of commands that end by ${new Date(forgotten).toISOString()}, since its date was set back or its state was lost; send a new one that ends later`,
    };
  return null;
}

/** Whether two commands have the same content. */
export const isSameCommand = (one: CommandDocument, other: CommandDocument): boolean =>
  canonical(one) === canonical(other);

const canonical = ({ id, command, args, expires }: CommandDocument): string =>
  JSON.stringify([id, command, Object.entries(args).sort(([a], [b]) => (a < b ? -1 : 1)), expires]);
