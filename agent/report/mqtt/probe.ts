/** Whether the broker answers, asked over a connection of its own. */
import { randomBytes } from 'node:crypto';
import type { ChannelProbe } from '../../core/channel.ts';
import { type BrokerSettings, connectBroker } from '../../system/mqtt.ts';
import { BROKER } from './channel.ts';

const ANSWER_MS = 10_000;

export const createMqttProbe = (broker: BrokerSettings): ChannelProbe => ({
  name: BROKER,
  address: broker.url,
  fix: 'check mqtt in agent.yaml (url, username, passwordFile, ca), and the way there from this host',
  async probe(signal) {
    // An id of its own: the agent's would take over from the connection that is open.
    const clientId = `fairlead-probe-${randomBytes(6).toString('hex')}`;
    const client = await connectBroker({ broker, clientId, timeoutMs: ANSWER_MS, signal });
    client.end(true);
  },
});
