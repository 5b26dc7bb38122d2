/** A channel in memory, run against the same contract as the MQTT channel. */
import { setImmediate } from 'node:timers/promises';
import type { Channel, ChannelListener } from '../../agent/core/channel.ts';
import type { Problem } from '../../agent/core/types.ts';
import { AgentError } from '../../agent/errors.ts';
import type { ReasonCode } from '../../manifests-schema/reasons.ts';
import type { FarEnd } from './contract.ts';

const NAME = 'memory';
/** As in the MQTT channel: longer notices are cut. */
const NOTICE_CHARS = 100;

export function createMemoryFarEnd(): FarEnd {
  const kept = new Map<string, unknown>();
  const came: number[] = [];
  const replies: { id: string; correlation: string }[] = [];
  const refused = new Set<string>();
  /** One function for each open channel, which ends its connection. */
  const connected = new Map<ChannelListener, () => void>();
  let isAway = false;
  let presence: 'online' | 'offline' | undefined;
  /** Resolves when connections are accepted. */
  let back = Promise.withResolvers<void>();

  function channel(): Channel {
    let listener: ChannelListener | null = null;
    let isStopped = false;
    let finished: Promise<void> = Promise.resolve();
    const stop = Promise.withResolvers<void>();
    /** The current connection: rejects pending calls when it ends. */
    let connection: { lost: Promise<never> } | null = null;
    let isUnreachable = false;
    const refusals = new Set<string>();

    const said = (name: string, reason: ReasonCode | null) => {
      const before = refusals.has(name);
      if (reason === null) refusals.delete(name);
      else refusals.add(name);
      if (before !== refusals.has(name)) listener?.problemsChanged();
    };
    const unreachable = (is: boolean) => {
      const before = isUnreachable;
      isUnreachable = is;
      if (before !== is) listener?.problemsChanged();
    };

    async function keepOpen(given: ChannelListener): Promise<void> {
      while (!isStopped) {
        await setImmediate();
        if (isStopped) return;
        if (isAway) {
          unreachable(true);
          await Promise.race([back.promise, stop.promise]);
          continue;
        }
        const lost = Promise.withResolvers<never>();
        lost.promise.catch(() => undefined);
        const ended = Promise.withResolvers<void>();
        connection = { lost: lost.promise };
        connected.set(given, () => {
          connection = null;
          connected.delete(given);
          lost.reject(unsent());
          ended.resolve();
        });
        presence = 'online';
        unreachable(false);
        given.opened();
        await Promise.race([ended.promise, stop.promise]);
        if (isStopped && connection !== null) presence = 'offline';
        connected.get(given)?.();
      }
    }

    async function say(name: string, arrive: () => void): Promise<'taken' | 'refused'> {
      const now = connection;
      if (now === null || isStopped) throw unsent();
      await Promise.race([setImmediate(), now.lost]);
      far.onArrival?.(name);
      if (connection !== now) throw unsent();
      if (refused.has(name)) {
        said(name, 'PublishRefused');
        return 'refused';
      }
      arrive();
      said(name, null);
      return 'taken';
    }

    const problem = (reason: ReasonCode): Problem => ({ id: NAME, reason, message: reason, file: null, line: null });
    return {
      name: NAME,
      start(given) {
        listener = given;
        finished = keepOpen(given);
      },
      isOpen: () => connection !== null && !isStopped,
      retain: (name, document) => say(name, () => void kept.set(name, JSON.parse(JSON.stringify(document)))),
      reply: (to, result) =>
        say('replies', () => void replies.push({ id: result.id ?? '', correlation: to.correlation ?? '' })),
      send: (event) => say('events', () => void came.push(event.seq)),
      problems: () => [
        ...(isUnreachable ? [problem('BrokerUnreachable')] : []),
        ...[...refusals].map(() => problem('PublishRefused')),
      ],
      async stop() {
        isStopped = true;
        stop.resolve();
        await finished;
      },
    };
  }

  const far: FarEnd = {
    channel,
    probe: () => ({
      name: NAME,
      address: 'here',
      fix: '',
      async probe(signal) {
        await setImmediate();
        if (isAway || signal.aborted)
          throw new AgentError({ code: 'BrokerUnreachable', phase: 'report', message: 'nobody is there' });
      },
    }),
    caughtUp: async () => undefined,
    retained: (name) => kept.get(name),
    events: () => [...came],
    presence: () => presence,
    async refuse(...names) {
      refused.clear();
      for (const name of names) refused.add(name);
    },
    onArrival: null,
    cut() {
      for (const end of [...connected.values()]) end();
    },
    async away(is) {
      isAway = is;
      if (is) far.cut();
      else {
        back.resolve();
        back = Promise.withResolvers();
      }
    },
    command(text, correlation) {
      for (const listener of connected.keys()) listener.command?.({ text, reply: { place: null, correlation } });
    },
    replies: () => [...replies],
    notify(ref, payload) {
      if (ref === 'main') for (const listener of connected.keys()) listener.notice(payload.slice(0, NOTICE_CHARS));
    },
    end: async () => far.cut(),
  };
  return far;
}

const unsent = () => new AgentError({ code: 'PublishFailed', phase: 'report', message: 'there is no connection' });
