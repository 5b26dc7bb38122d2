/** The command line's side of the daemon's sockets. */
import { existsSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import type { EventDocument } from '../../manifests-schema/payloads.ts';
import { AgentError } from '../errors.ts';
import type { SyncLine, SyncRequest } from './protocol.ts';

/** Callbacks of somebody who follows a run. */
export interface Watching {
  /** False: return as soon as the run was accepted. */
  wait: boolean;
  line(line: SyncLine): void;
  signal?: AbortSignal;
}

export interface ControlClient {
  /** The document; null for 404. Throws AgentError `DaemonUnreachable`. */
  get<T>(address: string): Promise<T | null>;
  /** Throws AgentError `DaemonUnreachable`, or `Refused` with what the daemon said. */
  post<T>(address: string, body: object): Promise<T>;
  /** Resolves when the feed ended, when `signal` aborts (the run goes on), or, with `wait` false, when the run was accepted. */
  sync(request: SyncRequest, how: Watching): Promise<void>;
  /**
   * The feed of events that come after `after`. It ends when `signal` aborts or the daemon ends. Throws AgentError
   * `DaemonUnreachable` if no daemon answers.
   */
  events(after: number | null, signal: AbortSignal): Promise<AsyncIterable<EventDocument>>;
}

export interface ControlClientOptions {
  /** Directory of the sockets; those who may not use agent.sock are served by status.sock. */
  dir: string;
  /** Path of agent.yaml: without it no daemon runs, and the failure says so. */
  config?: string;
}

export function createControlClient({ dir, config }: ControlClientOptions): ControlClient {
  const unreachable = (socket: string, cause: NodeJS.ErrnoException) =>
    unreachableAt(socket, cause, config !== undefined && !existsSync(config));
  const open = (socket: string, method: string, address: string, body?: string, signal?: AbortSignal) =>
    new Promise<http.IncomingMessage>((resolve, reject) => {
      const socketPath = path.join(dir, socket);
      const request = http.request(
        {
          socketPath,
          method,
          path: `/v1/${address}`,
          headers: { 'content-type': 'application/json' },
          ...(signal ? { signal } : {}),
        },
        resolve,
      );
      request.on('error', (cause: NodeJS.ErrnoException) =>
        reject(cause.code === 'EACCES' ? cause : unreachable(socketPath, cause)),
      );
      request.end(body);
    });
  const call = async (
    method: string,
    address: string,
    body?: string,
    signal?: AbortSignal,
  ): Promise<http.IncomingMessage> => {
    try {
      return await open('agent.sock', method, address, body, signal);
    } catch (thrown) {
      if (thrown instanceof AgentError) throw thrown;
      return open('status.sock', method, address, body, signal).catch((cause) => {
        throw cause instanceof AgentError ? cause : unreachable(path.join(dir, 'status.sock'), cause);
      });
    }
  };
  return {
    async get<T>(address: string) {
      const response = await call('GET', address);
      const text = await read(response);
      if (response.statusCode === 404) return null;
      const document = JSON.parse(text) as T & { error?: string };
      if (response.statusCode !== 200) throw refused(document.error ?? `the daemon answered ${response.statusCode}`);
      return document;
    },
    async post<T>(address: string, body: object) {
      const response = await call('POST', address, JSON.stringify(body));
      const document = JSON.parse(await read(response)) as T & { error?: string };
      if (response.statusCode !== 200) throw refused(document.error ?? `the daemon answered ${response.statusCode}`);
      return document;
    },
    sync(request, { wait, line, signal }) {
      return unlessAborted(signal, async () => {
        const response = await call('POST', 'sync', JSON.stringify(request), signal);
        if (response.statusCode !== 200) throw refused((JSON.parse(await read(response)) as { error: string }).error);
        if (!wait) return void response.destroy();
        for await (const text of lines(response)) line(JSON.parse(text) as SyncLine);
      });
    },
    async events(after, signal) {
      const response = await call('GET', after === null ? 'events' : `events?after=${after}`, undefined, signal);
      if (response.statusCode !== 200) throw refused((JSON.parse(await read(response)) as { error: string }).error);
      return parsed(response);
    },
  };
}

/** An error after the client has left is of no interest. */
async function unlessAborted(signal: AbortSignal | undefined, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (thrown) {
    if (!signal?.aborted) throw thrown;
  }
}

/** Ends silently if the connection breaks: the listener reports when, and why. */
async function* parsed(response: http.IncomingMessage): AsyncGenerator<EventDocument> {
  try {
    for await (const text of lines(response)) yield JSON.parse(text) as EventDocument;
  } catch (thrown) {
    if (!(thrown instanceof AgentError)) throw thrown;
  }
}

async function* lines(response: http.IncomingMessage): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of chunks(response)) {
    const whole = (rest + chunk).split('\n');
    rest = whole.pop() ?? '';
    yield* whole;
  }
}

async function read(response: http.IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of chunks(response)) text += chunk;
  return text;
}

/** The answer's text as it comes; a daemon that ends meanwhile is one that cannot be reached. */
async function* chunks(response: http.IncomingMessage): AsyncGenerator<string> {
  try {
    for await (const chunk of response.setEncoding('utf8')) yield chunk as string;
  } catch (cause) {
    throw new AgentError({
      code: 'DaemonUnreachable',
      phase: 'report',
      message: 'the daemon ended before its answer did; see `systemctl status fairlead` and `journalctl -u fairlead`',
      cause,
    });
  }
}

const refused = (why: string) => new AgentError({ code: 'Refused', phase: 'report', message: why });
const unreachableAt = (socket: string, cause: NodeJS.ErrnoException, isNew: boolean) => {
  const fix =
    cause.code === 'EACCES'
      ? 'root may use it; those in the group fairlead may read status, resources, history and events'
      : isNew
        ? 'this host is not set up yet; run `fairlead init`'
        : 'is it running? See `systemctl status fairlead`';
  return new AgentError({
    code: 'DaemonUnreachable',
    phase: 'report',
    message: `cannot reach the daemon at ${socket} (${cause.code ?? cause.message}); ${fix}`,
    cause,
  });
};
