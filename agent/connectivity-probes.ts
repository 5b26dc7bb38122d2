/** The endpoints that the daemon's settings name: repository and broker, each probed over a connection made for the question. */
import { randomBytes } from 'node:crypto';
import type { AgentConfig } from './config.ts';
import type { Endpoint } from './engine/types.ts';
import type { SourceOptions } from './git/access.ts';
import { createSource } from './git/source.ts';
import { connectBroker } from './system/mqtt.ts';

const BROKER_MS = 10_000;

export function endpointsOf(source: SourceOptions, { mqtt }: Pick<AgentConfig, 'mqtt'>): Endpoint[] {
  const repository: Endpoint = {
    name: 'repository',
    async probe(signal) {
      // A kept-alive connection may outlive the way that a new one would have to take.
      await createSource(source).head(signal);
    },
  };
  if (mqtt === undefined) return [repository];
  const broker: Endpoint = {
    name: 'broker',
    async probe() {
      const clientId = `fairlead-probe-${randomBytes(6).toString('hex')}`;
      const client = await connectBroker({ broker: mqtt, clientId, timeoutMs: BROKER_MS });
      client.end(true);
    },
  };
  return [repository, broker];
}
