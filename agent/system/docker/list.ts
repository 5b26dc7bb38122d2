/** The engine's list of containers, read again only if it differs from the last time. */
import type { IncomingMessage } from 'node:http';
import type Dockerode from 'dockerode';
import type { ContainerSummary } from './types.ts';

/**
 * @returns a function that lists all containers (Engine API, ContainerList). If the engine answers the same bytes as before,
 *   the result is the very same array, so nobody may change it.
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
