/** The agent's own client, and a server that answers it in place of a Docker engine. */
import { rmSync } from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { createDocker, type Docker } from '../../agent/system/docker/docker.ts';

let count = 0;

/** @param more other settings of the client */
export async function serveDocker(
  answer: http.RequestListener,
  more: { stallMs?: number } = {},
): Promise<{ docker: Docker; close(): Promise<void> }> {
  const socket = path.join(os.tmpdir(), `fairlead-docker-${process.pid}-${count++}.sock`);
  const server = http.createServer(answer);
  await new Promise<void>((done) => server.listen(socket, done));
  return {
    docker: createDocker({ socket, ...more }),
    async close() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
      rmSync(socket, { force: true });
    },
  };
}
