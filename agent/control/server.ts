/** The daemon's two sockets: agent.sock (root, everything), status.sock (group fairlead, read only). */
import { chownSync, mkdirSync, rmSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { AgentError, asAgentError } from '../errors.ts';
import type { Log } from '../log.ts';
import type {
  ControlApi,
  ErrorBody,
  HistoryQuery,
  HoldRequest,
  HoldVerb,
  PlanRequest,
  SyncRequest,
} from './protocol.ts';

export interface ControlServerOptions {
  /** Asked at each request: the daemon's parts are made anew when it reads its configuration again. */
  api(): ControlApi;
  /** Directory of the sockets, e.g. /run/fairlead. */
  dir: string;
  /** Group that may read status.sock; null leaves it to root. */
  statusGid: number | null;
  log: Log;
}

export interface ControlServer {
  start(): Promise<void>;
  stop(): Promise<void>;
}

const MAX_BODY = 64 * 1024;
/** What status.sock answers. */
const READABLE = [
  ...['GET status', 'GET resources', 'GET ids', 'GET events'],
  ...['GET history', 'GET history/…', 'GET version'],
];
/** Listeners to the feed of events at one time, and how far one may fall behind before it is cut off. */
const MAX_FEEDS = 32;
const MAX_BEHIND = 1024 * 1024;

export function createControlServer({ api, dir, statusGid, log }: ControlServerOptions): ControlServer {
  const feeds = new Set<http.ServerResponse>();
  const serve = (readOnly: boolean) =>
    http.createServer((request, response) => {
      handle({ api: api(), readOnly, feeds }, request, response).catch((thrown) => {
        const error = asAgentError(thrown, { code: 'Internal', phase: 'report' });
        // What was asked cannot be answered: the asker's to mend, and no matter for the log.
        const theirs = thrown instanceof AgentError;
        if (!theirs) log.error({ url: request.url ?? '' }, error.message);
        if (!response.headersSent) send(response, theirs ? 409 : 500, { error: error.message });
        else response.destroy();
      });
    });
  const servers = [
    { server: serve(false), file: path.join(dir, 'agent.sock'), mask: 0o177, gid: null },
    {
      server: serve(true),
      file: path.join(dir, 'status.sock'),
      mask: statusGid === null ? 0o177 : 0o117,
      gid: statusGid,
    },
  ];
  return {
    async start() {
      mkdirSync(dir, { recursive: true, mode: 0o755 });
      for (const { server, file, mask, gid } of servers) {
        rmSync(file, { force: true });
        // The mode is there from the first moment: bind(2) applies the umask.
        const before = process.umask(mask);
        try {
          await new Promise<void>((resolve, reject) => {
            server.once('error', reject);
            server.listen(file, resolve);
          });
        } finally {
          process.umask(before);
        }
        if (gid !== null) chownSync(file, 0, gid);
      }
    },
    async stop() {
      for (const { server, file } of servers) {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
        rmSync(file, { force: true });
      }
    },
  };
}

interface Desk {
  api: ControlApi;
  readOnly: boolean;
  /** Those that listen to events. */
  feeds: Set<http.ServerResponse>;
}

async function handle(
  { api, readOnly, feeds }: Desk,
  request: http.IncomingMessage,
  response: http.ServerResponse,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://fairlead');
  const [, version, noun = '', argument] = url.pathname.split('/');
  const route = `${request.method} ${noun}${argument === undefined ? '' : '/…'}`;
  if (version !== 'v1') return send(response, 404, { error: `no such address: ${url.pathname}` });
  if (readOnly && !READABLE.includes(route)) {
    return send(response, 403, { error: 'this socket is read only; use agent.sock, as root' });
  }
  const gone = new AbortController();
  response.on('close', () => gone.abort());
  switch (route) {
    case 'GET status':
      return send(response, 200, api.status());
    case 'GET resources':
      return send(response, 200, api.resources());
    case 'GET version':
      return send(response, 200, api.version());
    case 'GET plan':
      return send(response, 200, await api.plan(planRequest(url.searchParams), gone.signal));
    case 'GET resources/…': {
      const found = await api.show(decodeURIComponent(argument ?? ''), gone.signal);
      return found
        ? send(response, 200, found)
        : send(response, 404, { error: `no resource ${decodeURIComponent(argument ?? '')}` });
    }
    case 'GET ids':
      return send(response, 200, api.ids(url.searchParams.get('like')));
    case 'GET events':
      return feed(api, feeds, url.searchParams.get('after'), response);
    case 'GET history':
      return send(response, 200, api.history(historyQuery(url.searchParams)));
    case 'GET history/…': {
      const found = /^\d+$/.test(argument ?? '') ? api.run(Number(argument)) : null;
      return found ? send(response, 200, found) : send(response, 404, { error: `no run ${argument}` });
    }
    case 'POST pause':
    case 'POST resume':
    case 'POST rollback':
      return hold(api, noun as HoldVerb, request, response);
    case 'POST sync':
      return sync(api, request, response);
    default:
      return send(response, 404, { error: `no such address: ${request.method} ${url.pathname}` });
  }
}

function planRequest(params: URLSearchParams): PlanRequest {
  const dir = params.get('dir');
  const commit = params.get('commit');
  return { ...(dir === null ? {} : { dir }), ...(commit === null ? {} : { commit }) };
}

export function historyQuery(params: URLSearchParams): HistoryQuery {
  const text = (key: string) => (params.get(key) ? { [key]: params.get(key) } : {});
  const limit = Number(params.get('limit'));
  return {
    ...text('since'),
    ...text('resource'),
    ...text('commit'),
    ...(params.get('failed') ? { failed: true } : {}),
    ...(limit > 0 ? { limit: Math.min(limit, 10_000) } : {}),
  };
}

async function hold(
  api: ControlApi,
  verb: HoldVerb,
  request: http.IncomingMessage,
  response: http.ServerResponse,
): Promise<void> {
  const body = await readJson(request);
  if (body === null || Object.values(body).some((v) => typeof v !== 'string'))
    return send(response, 400, { error: 'the body is a mapping of strings: for, reason, commit' });
  send(response, 200, api.hold(verb, body as HoldRequest));
}

/** A mapping, or null where the body is none. */
async function readJson(request: http.IncomingMessage): Promise<Record<string, unknown> | null> {
  try {
    const value: unknown = JSON.parse((await readBody(request)) || '{}');
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : null;
  } catch {
    return null;
  }
}

/** The feed of one run. The run goes on when the listener leaves. */
async function sync(api: ControlApi, request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
  const options = await readJson(request);
  if (options === null || Object.values(options).some((v) => typeof v !== 'boolean')) {
    return send(response, 400, { error: 'the body is a mapping of booleans: force, adopt, allowRewind, allowPrune' });
  }
  response.writeHead(200, { 'content-type': 'application/x-ndjson' });
  response.flushHeaders();
  let told = '';
  // What is told in one go, as a thousand files are, is written in one go.
  const write = () => {
    if (told !== '' && !response.destroyed) response.write(told);
    told = '';
  };
  await api.sync(options as SyncRequest, 'manual', (line) => {
    if (told === '') queueMicrotask(write);
    told += `${JSON.stringify(line)}\n`;
  });
  write();
  response.end();
}

/** The feed of events, until the listener leaves or the daemon ends. */
function feed(
  api: ControlApi,
  feeds: Set<http.ServerResponse>,
  after: string | null,
  response: http.ServerResponse,
): void {
  if (after !== null && !/^\d{1,15}$/.test(after)) {
    send(response, 400, { error: '`after` is the seq of an event' });
    return;
  }
  if (feeds.size >= MAX_FEEDS) {
    send(response, 503, { error: `${MAX_FEEDS} listen to events already; end one of them first` });
    return;
  }
  feeds.add(response);
  response.writeHead(200, { 'content-type': 'application/x-ndjson' });
  response.flushHeaders();
  const end = api.events(after === null ? null : Number(after), (event) => {
    // One that reads nothing must not fill the daemon's memory.
    if (response.writableLength > MAX_BEHIND) response.destroy();
    else response.write(`${JSON.stringify(event)}\n`);
  });
  response.on('close', () => {
    feeds.delete(response);
    end();
  });
}

async function readBody(request: http.IncomingMessage): Promise<string> {
  let body = '';
  for await (const chunk of request.setEncoding('utf8')) {
    body += chunk;
    if (body.length > MAX_BODY) throw new Error('the body is too large');
  }
  return body;
}

function send(response: http.ServerResponse, status: number, body: object | ErrorBody): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}
