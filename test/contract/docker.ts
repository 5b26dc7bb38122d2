/** The contract of the driver of a Docker engine, real or in memory. */
import { afterEach, beforeAll, describe } from 'vitest';
import { containerPromises } from './docker-containers.ts';
import { networkPromises } from './docker-networks.ts';
import { type DockerSubject, dockerTools } from './docker-tools.ts';
import { volumePromises } from './docker-volumes.ts';

/** @param make called once */
export function dockerContract(name: string, make: () => Promise<DockerSubject>): void {
  let subject: DockerSubject;
  const tools = dockerTools(() => subject);

  describe(name, () => {
    beforeAll(async () => {
      subject = await make();
    });
    afterEach(async () => {
      const { docker } = subject;
      for (const { Id, Names } of await docker.containers())
        if (Names.some((n) => n.startsWith('/t-'))) await docker.remove(Id, { volumes: true });
      for (const { Id, Name } of await docker.networks()) if (Name.startsWith('t-')) await docker.removeNetwork(Id);
      for (const { Name } of await docker.volumes()) if (Name.startsWith('t-')) await docker.removeVolume(Name);
    });

    containerPromises(tools);
    networkPromises(tools);
    volumePromises(tools);
  });
}
