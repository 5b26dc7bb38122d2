/** The engine's list of containers, read anew only where it says something else than the last time. */
import type { IncomingMessage } from 'node:http';
import type Dockerode from 'dockerode';
import type { ContainerSummary } from './types.ts';

/**
 * @returns asks for the list of all containers (Engine API, ContainerList); the very array of the time before where the
 *   engine answers the very same bytes. Nobody may change it.
 */
export function createContainerList(): (docker: Dockerode) => Promise<ContainerSummary[]> {
  let last: { bytes: Buffer; containers: ContainerSummary[] } | null = null;
  return async (docker) => {
    const bytes = await answerOf(docker, '/containers/json', { all: true });
    if (last === null || !last.bytes.equals(bytes)) {
      const containers = JSON.parse(bytes.toString('utf8')) as ContainerSummary[];
      last = { bytes, containers };
    }
    return last.containers;
  };
}

/** The library's own way parses every answer. */
async function answerOf(docker: Dockerode, path: string, query: Record<string, unknown>): Promise<Buffer> {
  const statusCodes = { 200: true, 400: 'bad parameter', 500: 'server error' };
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    // The question mark asks for the query.
    docker.modem.dial(
      { path: `${path}?`, method: 'GET', options: query, isStream: true, statusCodes },
      (error: unknown, answer: unknown) => (error ? reject(error) : resolve(answer as IncomingMessage)),
    );
  });
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
