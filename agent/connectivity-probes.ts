/** The endpoints that the daemon's settings name: repository and channel, each probed over a connection made for the question. */
import type { AgentConfig } from './config.ts';
import type { Endpoint } from './engine/types.ts';
import type { SourceOptions } from './git/access.ts';
import { createSource } from './git/source.ts';
import { createChannelProbe } from './report/index.ts';

export function endpointsOf(source: SourceOptions, config: Pick<AgentConfig, 'mqtt'>): Endpoint[] {
  const repository: Endpoint = {
    name: 'repository',
    silence: 'takes back',
    async probe(signal) {
      // A kept-alive connection may outlive the way that a new one would have to take.
      await createSource(source).head(signal);
    },
  };
  const channel = createChannelProbe(config);
  return channel === null
    ? [repository]
    : [repository, { ...channel, silence: 'is told', probe: (signal) => channel.probe(signal) }];
}
