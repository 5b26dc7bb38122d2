/**
 * Commands over the broker, with the same effects as those on the host (`api.ts`). A repeated command is carried out once:
 * its id is durable before it is carried out, and its result before it is answered. A command that a crash interrupted is
 * answered as interrupted, and is not repeated.
 */

import type { CommandName } from '../../../manifests-schema/command-names.ts';
import type { CommandDocument, CommandResult } from '../../../manifests-schema/commands.ts';
import type { Answer, ReceivedCommand, ReplyTo } from '../../core/channel.ts';
import { isSameCommand, type Refusal, readCommand, refusalOf } from '../../core/reporting/command.ts';
import type { CommandOrigin } from '../../core/types.ts';
import { asAgentError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import type { Commands, KeptCommand } from '../../store/commands.ts';
import type { Outbox } from '../../store/history/outbox.ts';
import type { Clock } from '../../system/clock.ts';
import { tame, tamed } from '../../tame.ts';
import type { AgentApi } from '../api.ts';
import { bounded } from './answers.ts';
import { type CarriedOut, carryOut } from './effects.ts';

export interface RemoteOptions {
  host: string;
  fleet: string;
  /** The commands that `mqtt.commands` lists. */
  listed: readonly CommandName[];
  api(): Pick<AgentApi, 'plan' | 'hold' | 'sync'>;
  commands: Commands;
  outbox: Pick<Outbox, 'push'>;
  clock: Pick<Clock, 'now'>;
  /** Why this host's date is wrong; null if it is not in doubt. */
  clockDoubt(): Promise<string | null>;
  /** Masks what must not leave this host. */
  redact<T>(value: T): T;
  log: Log;
  /** Throws AgentError `PublishFailed` while there is no connection, or if it ends. */
  reply(to: ReplyTo, result: CommandResult): Promise<Answer>;
  /** There is an event to be reported. */
  changed(): void;
}

export interface Remote {
  /** To be called once, before any command is accepted: finishes what the last process did not. */
  start(): void;
  /** Resolves when it is done with. Never rejects. */
  take(received: ReceivedCommand): Promise<void>;
  /** There is a connection: answers that nobody got are given. */
  opened(): void;
  /** Stop taking commands. A command under way is ended by the part that carries it out. */
  stop(): void;
}

/** Commands that are carried out at the same time. */
const MAX_UNDER_WAY = 8;
/** Concurrent plans are limited, because each of them looks at the whole host. */
const MAX_PLANS = 2;
/** Ids that are remembered: in the hour for which one may be kept nobody sends that many, and means well. */
const MAX_KEPT = 1_000;
/** After this time the caller gets `accepted`, and the result later. */
const SLOW: readonly CommandName[] = ['sync', 'plan', 'rollback'];

type Said = Pick<CommandResult, 'state' | 'reason' | 'message'> & Partial<CommandResult>;

export function createRemote(options: RemoteOptions): Remote {
  const { commands, clock, log, listed } = options;
  /** Ids of which it is being found out whether they may be followed. */
  const judged = new Set<string>();
  let underWay = 0;
  let plans = 0;
  let isStopped = false;
  let isCatchingUp = false;

  const resultOf = (id: string | null, command: CommandName | null, said: Said): CommandResult =>
    bounded(
      options.redact(
        tamed({
          ...{
            schema: 1 as const,
            id,
            host: options.host,
            fleet: options.fleet,
            at: clock.now().toISOString(),
            command,
          },
          ...{ status: null, plan: null, pause: null, pin: null },
          ...said,
        }),
      ),
    );

  /** @returns whether the far end has it */
  async function say(to: ReplyTo, result: CommandResult): Promise<boolean> {
    // A caller who names neither an id nor a response topic expects no answer.
    if (to.place === null && result.id === null) return true;
    try {
      return (await options.reply(to, result)) === 'taken';
    } catch (thrown) {
      log.debug({ command: result.id, error: asAgentError(thrown, FALLBACK).message }, 'an answer was not sent');
      return false;
    }
  }

  async function refuse(
    { id, name, reply }: { id: string | null; name: CommandName | null; reply: ReplyTo },
    { reason, message }: Refusal,
  ): Promise<void> {
    log.warn({ command: id, reason }, `a command over the broker is not followed: ${message}`);
    await say(reply, resultOf(id, name, { state: 'refused', reason, message }));
  }

  async function repeat(kept: KeptCommand, command: CommandDocument, reply: ReplyTo): Promise<void> {
    if (!isSameCommand(kept.command, command)) {
      const message = `the id ${command.id} was used for another command; make a new one for each`;
      await refuse({ id: command.id, name: command.command, reply }, { reason: 'InvalidCommand', message });
    } else if (kept.result !== null) await say(reply, kept.result);
  }

  /** Judges it, and writes down and counts that it is begun. @returns false if it is not to be carried out; then all is said */
  async function admit(command: CommandDocument, reply: ReplyTo): Promise<boolean> {
    const known = commands.find(command.id);
    if (known !== null) {
      await repeat(known, command, reply);
      return false;
    }
    const doubt = await options.clockDoubt();
    const now = clock.now().getTime();
    commands.sweep(now);
    const refusal =
      refusalOf(command, { listed, now, doubt, forgotten: commands.forgotten() }) ?? tooMany(command.command);
    if (refusal !== null) {
      await refuse({ id: command.id, name: command.command, reply }, refusal);
      return false;
    }
    commands.begin(command, reply);
    underWay++;
    if (command.command === 'plan') plans++;
    return true;
  }

  function tooMany(name: CommandName): Refusal | null {
    const which =
      underWay >= MAX_UNDER_WAY || (name === 'plan' && plans >= MAX_PLANS)
        ? `${underWay} commands are under way on this host; send it again when they have ended`
        : commands.count() >= MAX_KEPT
          ? `${MAX_KEPT} commands came to this host that have not expired yet; send it again when the first of them have`
          : null;
    return which === null ? null : { reason: 'CommandsFlooded', message: which };
  }

  async function follow(command: CommandDocument, reply: ReplyTo): Promise<void> {
    const { id, command: name, args } = command;
    const origin: CommandOrigin = { id, reason: tame(args.reason ?? '') };
    log.info({ command: id, why: origin.reason }, `command over the broker: ${name}`);
    const underway: Said = { state: 'accepted', reason: '', message: 'it is under way' };
    const told = SLOW.includes(name) ? say(reply, resultOf(id, name, underway)) : Promise.resolve(true);
    let carried: CarriedOut;
    try {
      carried = await carryOut(options.api(), command, origin);
    } catch (thrown) {
      carried = failed(thrown);
    }
    const { held, ...said } = carried;
    if (isStopped && said.state === 'failed') return;
    const result = resultOf(id, name, said);
    log.info({ command: id, state: said.state, reason: said.reason }, said.message || `${name} was carried out`);
    if (held !== undefined) tell(origin, name, held);
    commands.finish(id, result);
    await told;
    if (await say(reply, result)) commands.told(id);
  }

  /** A run is in the history; holds and their ends are only events. */
  function tell(origin: CommandOrigin, verb: CommandName, message: string): void {
    const said = `${message}, by command ${origin.id}${origin.reason ? `: ${origin.reason}` : ''}`;
    const data = { verb, message: said, command: origin };
    options.outbox.push([{ at: clock.now().toISOString(), type: 'hold', run: null, data: options.redact(data) }]);
    options.changed();
  }

  async function take({ text, reply }: ReceivedCommand): Promise<void> {
    if (isStopped) return;
    const read = readCommand(text);
    if (read.command === null)
      return refuse({ ...read, reply }, { ...read.refusal, message: tame(read.refusal.message) });
    const { command } = read;
    const { id, command: name } = command;
    if (judged.has(id)) return;
    judged.add(id);
    let isAdmitted = false;
    try {
      isAdmitted = await admit(command, reply);
    } catch (thrown) {
      const { code: reason, message } = asAgentError(thrown, FALLBACK);
      await refuse({ id, name, reply }, { reason, message });
    } finally {
      judged.delete(id);
    }
    if (!isAdmitted) return;
    try {
      await follow(command, reply);
    } finally {
      underWay--;
      if (name === 'plan') plans--;
    }
  }

  /** Answers that were not taken yet; what another process left open is concluded before anything is taken. */
  async function catchUp(): Promise<void> {
    if (isCatchingUp) return;
    isCatchingUp = true;
    try {
      for (const { command, reply, result } of commands.open())
        if (result !== null && (await say(reply, result))) commands.told(command.id);
    } finally {
      isCatchingUp = false;
    }
  }

  const guarded = (work: Promise<void>): Promise<void> =>
    work.catch((thrown: unknown) => {
      // The store is closed by then, or does not take what has to be written.
      if (!isStopped)
        log.error({ error: asAgentError(thrown, FALLBACK).message }, 'a command was not brought to its end');
    });

  return {
    start() {
      for (const { command, result } of commands.open())
        if (result === null) commands.finish(command.id, resultOf(command.id, command.command, CUT_SHORT));
    },
    take: (received) => guarded(take(received)),
    opened: () => void guarded(catchUp()),
    stop() {
      isStopped = true;
    },
  };
}

const FALLBACK = { code: 'Internal', phase: 'report' } as const;

const CUT_SHORT: Said = {
  state: 'failed',
  reason: 'Interrupted',
  message:
    'the agent ended during this command: it may be done, partly done or not done, and is not repeated; see the status of the host',
};

/** A command that could not be carried out for the time being has failed; any other error means that it was refused. */
function failed(thrown: unknown): CarriedOut {
  const error = asAgentError(thrown, FALLBACK);
  const state = error.retry || error.code === 'Internal' ? 'failed' : 'refused';
  return { state, reason: error.code, message: error.message };
}
