/** The endpoints of the settings, repository and channel; each probe opens a new connection. */
import type { AgentConfig } from '../../config.ts';
import type { Endpoint } from '../../engine/types.ts';
import type { SourceOptions } from '../../git/access.ts';
import { createSource } from '../../git/source.ts';
import { createChannelProbe } from '../../report/index.ts';

export function endpointsOf(source: SourceOptions, config: Pick<AgentConfig, 'mqtt'>): Endpoint[] {
  const repository: Endpoint = {
    name: 'repository',
    silence: 'rolls back',
    async probe(signal) {
      // A kept-alive connection may still work although a new one could not be opened.
      await createSource(source).head(signal);
    },
  };
  const channel = createChannelProbe(config);
  return channel === null
    ? [repository]
    : [repository, { ...channel, silence: 'is reported', probe: (signal) => channel.probe(signal) }];
}
