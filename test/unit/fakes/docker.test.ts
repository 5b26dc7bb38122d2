/** The Docker engine in memory, run against the contract of the real driver. */

import { dockerContract } from '../../contract/docker.ts';
import { createFakeDocker } from '../../fakes/docker/engine.ts';
import { untilIn } from '../../fakes/until.ts';

dockerContract('an engine in memory', async () => {
  const engine = createFakeDocker();
  const image = 'infra:5000/app:1';
  engine.registry.push(image, { config: { Cmd: ['/bin/busybox', 'httpd', '-f', '-p', '8080'] } });
  await engine.docker.pull(image, { signal: new AbortController().signal, platform: '', auth: null });
  return {
    docker: engine.docker,
    events: engine.events,
    image,
    missingImage: 'infra:5000/nowhere:1',
    until: untilIn(engine.clock),
  };
});
