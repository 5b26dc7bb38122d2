import { once } from 'node:events';
import type http from 'node:http';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Docker } from '../../agent/system/docker/docker.ts';
import { serveDocker } from './docker-server.ts';

const asked: string[] = [];
let answer: (response: http.ServerResponse) => void;
let docker: Docker;
let close: () => Promise<void>;

beforeEach(async () => {
  asked.length = 0;
  ({ docker, close } = await serveDocker((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    answer(response);
  }));
});
afterEach(() => close());

const says = (status: number, value: unknown) => (response: http.ServerResponse) => {
  response.writeHead(status, { 'content-type': 'application/json' });
  const text = JSON.stringify(value);
  // In chunks, as a long list arrives.
  response.write(text.slice(0, 5));
  response.end(text.slice(5));
};

test('all containers are requested; an identical answer returns the same list object, a changed answer another one', async () => {
  answer = says(200, [{ Id: 'a', State: 'running', Names: ['/ä'] }]);
  const first = await docker.containers();
  expect(first).toEqual([{ Id: 'a', State: 'running', Names: ['/ä'] }]);
  expect(asked).toEqual(['GET /containers/json?all=true']);
  expect(await docker.containers()).toBe(first);
  answer = says(200, [{ Id: 'a', State: 'exited', Names: ['/ä'] }]);
  const second = await docker.containers();
  expect(second).toEqual([{ Id: 'a', State: 'exited', Names: ['/ä'] }]);
  expect(first[0]?.State).toBe('running');
});

test('a refused, truncated or non-JSON answer is an error, and is not cached', async () => {
  answer = says(500, { message: 'database is locked' });
  await expect(docker.containers()).rejects.toThrow('cannot list containers: database is locked');
  answer = (response) => {
    response.writeHead(200, { 'content-length': '100' });
    response.write('[{"Id"');
    setImmediate(() => response.destroy());
  };
  await expect(docker.containers()).rejects.toThrow(/cannot reach the Docker engine .*list containers/);
  answer = (response) => response.end('[{"Id"');
  await expect(docker.containers()).rejects.toThrow('cannot list containers');
  answer = says(200, []);
  expect(await docker.containers()).toEqual([]);
});

describe('a connection on which nothing is heard for 200 ms', () => {
  let silent: Awaited<ReturnType<typeof serveDocker>>;
  let hungUp: Promise<unknown>;
  const ends: NodeJS.Timeout[] = [];
  beforeEach(async () => {
    const asks = Promise.withResolvers<Promise<unknown>>();
    hungUp = asks.promise.then((closed) => closed);
    silent = await serveDocker(
      ({ url = '' }, response) => {
        asks.resolve(once(response, 'close'));
        if (/stop|restart/.test(url)) ends.push(setTimeout(() => response.writeHead(204).end(), 400));
      },
      { stallMs: 200 },
    );
  });
  afterEach(async () => {
    for (const timer of ends.splice(0)) clearTimeout(timer);
    await silent.close();
  });

  test('stays open while a container may take its time to stop', async () => {
    await silent.docker.stop('web', 600);
  });

  test('stays open while a container may take its time to restart', async () => {
    await silent.docker.restart('web', 600);
  });

  test('is closed otherwise, so that no request is left behind', async () => {
    await expect(silent.docker.inspect('web')).rejects.toMatchObject({ code: 'EngineUnreachable' });
    await hungUp;
  });
});
