/**
 * Sends one command to hosts of a fleet, a few at a time. All hosts get the same command id: each of them follows it once,
 * and all answers come on `replies/<id>`, with MQTT 5 and with 3.1.1 alike.
 */
import type { CommandName } from '../../../manifests-schema/command-names.ts';
import type { AnyCommandResult } from '../../../manifests-schema/commands.ts';
import type { Clock } from '../../system/clock.ts';
import type { BrokerLink } from '../reader/link.ts';
import { type HostOutcome, isFailure, outcomeOf, readAnswer, unanswered } from './outcome.ts';

export interface ActOptions {
  /** An open link without subscriptions. It is closed at the end. */
  link: BrokerLink;
  prefix: string;
  fleet: string;
  /** Random, of letters and digits. */
  id: string;
  command: CommandName;
  args: Readonly<Record<string, unknown>>;
  /** In this order. */
  hosts: readonly string[];
  /** Number of hosts that work at the same time. */
  maxParallel: number;
  /** After this many failures no further host gets the command; null: no limit. */
  stopAfter: number | null;
  /** Time after which a host without an answer counts as silent, in ms. */
  answerMs: number;
  /** Time after which a host that has accepted the command but not finished it is no longer waited for. */
  resultMs: number;
  clock: Pick<Clock, 'now' | 'sleep'>;
  /** Sends the command to no further host, and waits for none. */
  signal: AbortSignal;
  /** Called when a host has finished, or is no longer waited for. */
  told(outcome: HostOutcome): void;
}

export interface Acted {
  /** One result for each host, in the given order. */
  outcomes: HostOutcome[];
  /** Why the connection was lost; null if it was not. */
  lost: string | null;
}

/** Lifetime of a command, in ms; smaller differences of clocks do no harm. */
const EXPIRES_MS = 300_000;

/** Rejects if the broker does not allow this user to subscribe to answers; then no host got the command. */
export async function act(options: ActOptions): Promise<Acted> {
  const { link, id, command, args, hosts, clock, signal } = options;
  const base = `${options.prefix}/${options.fleet}`;
  const replies = `${base}/replies/${id}`;
  const outcomes = new Map<string, HostOutcome>();
  /** Hosts that got the command, with the handlers of their answers. */
  const listening = new Map<string, (answer: AnyCommandResult) => void>();
  const over = Promise.withResolvers<'over'>();
  let lost: string | null = null;
  let failures = 0;
  const stop = () => over.resolve('over');
  if (signal.aborted) stop();
  signal.addEventListener('abort', stop, { once: true });
  link.listen({
    message({ topic, payload }) {
      const answer = topic === replies ? readAnswer(payload, id) : null;
      if (answer !== null) listening.get(answer.host)?.(answer);
    },
    packet: () => undefined,
    closed() {
      if (!signal.aborted) lost = 'it closed the connection';
      stop();
    },
  });
  const isOver = () => signal.aborted || lost !== null;
  const isEnough = () => options.stopAfter !== null && failures >= options.stopAfter;

  function ended(outcome: HostOutcome): void {
    outcomes.set(outcome.host, outcome);
    if (isFailure(outcome)) failures++;
    options.told(outcome);
  }

  /** Sends the command to one host, and waits for the outcome. */
  async function ask(host: string): Promise<void> {
    let isAtIt = false;
    const final = Promise.withResolvers<AnyCommandResult>();
    const accepted = Promise.withResolvers<'accepted'>();
    listening.set(host, (answer) => {
      if (answer.state !== 'accepted') final.resolve(answer);
      else {
        isAtIt = true;
        accepted.resolve('accepted');
      }
    });
    const patience = new AbortController();
    const late = (ms: number) => clock.sleep(ms, patience.signal).then(() => 'late' as const);
    try {
      const expires = new Date(clock.now().getTime() + EXPIRES_MS).toISOString();
      const said = link
        .publish(`${base}/hosts/${host}/commands`, JSON.stringify({ id, command, args, expires }), {
          qos: 1,
          expirySeconds: EXPIRES_MS / 1_000,
        })
        .then(
          () => final.promise,
          (thrown: unknown) => ({ refusal: thrown instanceof Error ? thrown.message : String(thrown) }),
        );
      // The answer may arrive before the broker has acknowledged the command.
      const first = await Promise.race([
        ...[final.promise, said, accepted.promise, over.promise],
        late(options.answerMs),
      ]);
      const last =
        first === 'accepted' ? await Promise.race([final.promise, late(options.resultMs), over.promise]) : first;
      if (last === 'over') ended(unanswered(host, 'open'));
      else if (last === 'late') ended(unanswered(host, isAtIt ? 'late' : 'silent'));
      else if ('refusal' in last) {
        if (isOver()) ended(unanswered(host, 'open'));
        else ended(unanswered(host, 'unheard', last.refusal));
      } else ended(outcomeOf(last));
    } finally {
      patience.abort();
      listening.delete(host);
    }
  }

  try {
    await Promise.race([link.subscribe([replies], { retained: false }), over.promise]);
    const queue = hosts.values();
    const work = async () => {
      for (const host of queue) {
        if (isOver() || isEnough()) ended(unanswered(host, isEnough() && !isOver() ? 'stopped' : 'not-asked'));
        else await ask(host);
      }
    };
    await Promise.all(Array.from({ length: Math.min(options.maxParallel, hosts.length) }, work));
  } finally {
    signal.removeEventListener('abort', stop);
    link.close();
  }
  return { outcomes: hosts.flatMap((host) => outcomes.get(host) ?? []), lost };
}
