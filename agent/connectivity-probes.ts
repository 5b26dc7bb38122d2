/** The way home, as the daemon's settings name it: repository and broker, each over a connection made for the question. */
import { randomBytes } from 'node:crypto';
import type { AgentConfig } from './config.ts';
import type { Way } from './engine/types.ts';
import type { SourceOptions } from './git/access.ts';
import { createSource } from './git/source.ts';
import { connectBroker } from './system/mqtt.ts';

const BROKER_MS = 10_000;

export function waysOf(source: SourceOptions, { mqtt }: Pick<AgentConfig, 'mqtt'>): Way[] {
  const repository: Way = {
    name: 'repository',
    async probe(signal) {
      // A kept-alive connection may outlive the way that a new one would have to take.
      await createSource(source).head(signal);
    },
  };
  if (mqtt === undefined) return [repository];
  const broker: Way = {
    name: 'broker',
    async probe() {
      const clientId = `fairlead-probe-${randomBytes(6).toString('hex')}`;
      const client = await connectBroker({ broker: mqtt, clientId, timeoutMs: BROKER_MS });
      client.end(true);
    },
  };
  return [repository, broker];
}
