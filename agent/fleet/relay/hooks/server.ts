/** Accepts the webhooks of forges, with limits of size, time and number, and only with a valid signature. */
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { type HookSettings, pathOf } from '../../../../manifests-schema/relay.ts';
import type { Log } from '../../../log.ts';
import { readNamed } from '../../../reading.ts';
import { type Push, readHook } from './forges.ts';
import type { Seen } from './seen.ts';

export interface HookServerOptions {
  /** `127.0.0.1:8787` */
  listen: string;
  from: readonly HookSettings[];
  /** Requests that were accepted already, also by earlier processes. */
  seen: Seen;
  /** Called for verified pushes to the fleet repository. */
  pushed(pushes: readonly Push[]): void;
  log: Log;
}

export interface HookServer {
  /** @returns the address on which it listens. Throws errors of the system */
  start(): Promise<AddressInfo>;
  stop(): Promise<void>;
}

/** Maximum size of a body. GitHub's own limit is 25 MB, but a push is much smaller; a larger one is found by the schedule. */
const MAX_BODY_BYTES = 4 * 1024 * 1024;
const MAX_CONNECTIONS = 32;
const HEADERS_MS = 5_000;
const REQUEST_MS = 15_000;

interface Answer {
  status: number;
  text: string;
}

export function createHookServer(options: HookServerOptions): HookServer {
  const { log, seen } = options;
  const server = http.createServer(
    {
      headersTimeout: HEADERS_MS,
      requestTimeout: REQUEST_MS,
      connectionsCheckingInterval: 2_000,
      maxHeaderSize: 16 * 1024,
    },
    (request, response) => {
      void answerTo(request).then(({ status, text }) => {
        const headers = {
          'content-type': 'text/plain; charset=utf-8',
          ...(status === 413 ? { connection: 'close' } : {}),
        };
        response.writeHead(status, headers).end(`${text}\n`);
        // Do not wait for the rest of a body that is too large.
        if (status === 413) request.destroy();
      });
    },
  );
  server.maxConnections = MAX_CONNECTIONS;

  async function answerTo(request: http.IncomingMessage): Promise<Answer> {
    const { pathname = '' } = URL.parse(request.url ?? '', 'http://relay') ?? {};
    const hook = options.from.find((one) => pathOf(one) === pathname);
    if (hook === undefined) return { status: 404, text: 'no forge calls this path; see `webhooks.from` of relay.yaml' };
    if (request.method !== 'POST') return { status: 405, text: 'a webhook is a POST' };
    const body = await bodyOf(request);
    if (body === null) return { status: 413, text: `a webhook has at most ${MAX_BODY_BYTES} bytes` };
    let secret: string;
    try {
      secret = (await readNamed(hook.secretFile)).toString('utf8').trim();
    } catch (thrown) {
      log.error(
        { file: hook.secretFile },
        `cannot check a webhook: ${hook.secretFile} cannot be read: ${thrown instanceof Error ? thrown.message : ''}`,
      );
      return { status: 503, text: 'the secret cannot be read here' };
    }
    const reading = readHook(hook.forge, { headers: request.headers, body, secret });
    if (reading.kind === 'unsigned') {
      log.warn({ forge: hook.forge }, 'a webhook is not signed with our secret, and is not heard');
      return { status: 401, text: 'not signed with the secret of this webhook' };
    }
    if (reading.kind === 'unreadable')
      return { status: 400, text: 'the body is no JSON; choose the content type application/json' };
    const { repository, pushes } = reading.hook;
    if (pushes.length === 0) return { status: 200, text: 'nothing to announce' };
    if (repository.toLowerCase() !== hook.repository.toLowerCase())
      return { status: 200, text: 'not of the fleet repository; see `repository` in relay.yaml' };
    if (seen.has(reading.id)) return { status: 200, text: 'heard before' };
    options.pushed(pushes);
    try {
      seen.add(reading.id);
    } catch (thrown) {
      log.warn(
        { error: thrown instanceof Error ? thrown.message : String(thrown) },
        'that a webhook was taken cannot be kept',
      );
    }
    return { status: 202, text: 'the hosts will be notified' };
  }

  return {
    start: () =>
      new Promise((resolve, reject) => {
        const at = options.listen.lastIndexOf(':');
        server.once('error', reject);
        server.listen(Number(options.listen.slice(at + 1)), options.listen.slice(0, at).replace(/^\[|\]$/g, ''), () => {
          server.off('error', reject);
          server.on('error', (error) => log.warn({ error: error.message }, 'the server of webhooks has trouble'));
          resolve(server.address() as AddressInfo);
        });
      }),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** @returns null if the body is too large or incomplete */
async function bodyOf(request: http.IncomingMessage): Promise<Buffer | null> {
  if (Number(request.headers['content-length'] ?? 0) > MAX_BODY_BYTES) return null;
  const parts: Buffer[] = [];
  let size = 0;
  try {
    for await (const part of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      parts.push(part);
      size += part.length;
      if (size > MAX_BODY_BYTES) return null;
    }
    return Buffer.concat(parts);
  } catch {
    return null;
  }
}
