/** Tests whether the broker answers, and its differences from most brokers, over a separate connection. */
import { randomBytes } from 'node:crypto';
import type { ChannelProbe } from '../../core/channel.ts';
import { systemClock } from '../../system/clock.ts';
import { type BrokerSettings, connectBroker } from '../../system/mqtt.ts';
import { BROKER } from './channel.ts';
import { topicsOf } from './topics.ts';

const ANSWER_MS = 10_000;

/** @param about whose topics are looked at for remarks; left out: there are none */
export function createMqttProbe(broker: BrokerSettings, about?: Parameters<typeof topicsOf>[0]): ChannelProbe {
  /** An id of its own: the agent's would take over from the connection that is open. */
  const connect = (signal: AbortSignal) => {
    const clientId = `${broker.clientId ?? 'fairlead'}-probe-${randomBytes(6).toString('hex')}`;
    return connectBroker({ broker, clientId, timeoutMs: ANSWER_MS, signal });
  };
  return {
    name: BROKER,
    address: broker.url,
    fix: 'check mqtt in agent.yaml (url, username, passwordFile, ca), and the way there from this host',
    async probe(signal) {
      const client = await connect(signal);
      client.end(true);
    },
    async remarks(signal) {
      if (about === undefined) return [];
      const { givesToWildcards } = await import('./wildcards.ts');
      const topics = topicsOf(about);
      const client = await connect(signal);
      try {
        if ((await givesToWildcards({ client, topics, clock: systemClock, signal })) !== false) return [];
      } finally {
        client.end(true);
      }
      const isAnyRef = topics.notices.endsWith('/+');
      return [NO_LIST, ...(isAnyRef ? [`${NO_NOTICE}: ref ${about.ref} follows the schedule`] : [])];
    },
  };
}

const NO_LIST =
  'it gives retained messages to exact topics alone, so it cannot list the fleet: name the hosts to `fairlead fleet status` with --hosts, --repo or --roll-call';
const NO_NOTICE = 'a host that was offline during a push does not get its notice later';
