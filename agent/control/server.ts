/** The daemon's two sockets: agent.sock (root, everything), status.sock (group fairlead, read only). */
import { chownSync, mkdirSync, rmSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { AgentError, asAgentError } from '../errors.ts';
import type { Log } from '../log.ts';
import { feedEvents, feedRun } from './feeds.ts';
import type {
  ControlApi,
  ErrorBody,
  HistoryQuery,
  HoldRequest,
  HoldVerb,
  PlanRequest,
  SyncRequest,
} from './protocol.ts';
import { createTraffic, MAX_CONNECTIONS, refusal, type Traffic } from './traffic.ts';

export interface ControlServerOptions {
  /** Asked at each request: the daemon's parts are recreated when it reads its configuration again. */
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
/** Routes that status.sock serves. */
const READABLE = [
  ...['GET status', 'GET resources', 'GET ids', 'GET events'],
  ...['GET history', 'GET history/…', 'GET version'],
];
/** Time that a request may take to arrive. */
const REQUEST_MS = 10_000;
/** Runs in one answer to `history`. */
const MAX_RUNS = 1_000;
/** A longer text is no part of an id. */
const MAX_LIKE = 256;

export function createControlServer({ api, dir, statusGid, log }: ControlServerOptions): ControlServer {
  const serve = (readOnly: boolean) => {
    const traffic = createTraffic();
    const limits = { headersTimeout: REQUEST_MS, requestTimeout: REQUEST_MS };
    const server = http.createServer(limits, (request, response) => {
      handle({ api: api(), readOnly, traffic }, request, response).catch((thrown) => {
        const error = asAgentError(thrown, { code: 'Internal', phase: 'report' });
        // The request cannot be answered: the caller has to change it, and the log need not mention it.
        const theirs = thrown instanceof AgentError;
        if (!theirs) log.error({ url: request.url ?? '' }, error.message);
        if (!response.headersSent) traffic.send(response, theirs ? 409 : 500, { error: error.message });
        else response.destroy();
      });
    });
    server.maxConnections = MAX_CONNECTIONS;
    return server;
  };
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
  /** Accounting of the socket on which the request came. */
  traffic: Traffic;
}

/** An address, as far as it can be read. */
function addressOf({ url = '/' }: http.IncomingMessage): { url: URL; argument: string | undefined } | null {
  const parsed = URL.parse(url, 'http://fairlead');
  try {
    const argument = parsed?.pathname.split('/')[3];
    return parsed && { url: parsed, argument: argument === undefined ? undefined : decodeURIComponent(argument) };
  } catch {
    return null;
  }
}

async function handle(
  { api, readOnly, traffic }: Desk,
  request: http.IncomingMessage,
  response: http.ServerResponse,
): Promise<void> {
  const send = (status: number, body: object | ErrorBody) => traffic.send(response, status, body);
  /** Runs a route that reads much, one request after another. @param missing the error if there is no answer */
  const inTurn = async (work: () => Promise<object | null>, missing = '') => {
    const turn = traffic.turn(work);
    if (turn === null) return send(503, refusal('too many requests are waiting, or answers that are not read'));
    const found = await turn;
    return found ? send(200, found) : send(404, { error: missing });
  };
  const address = addressOf(request);
  if (address === null) return send(400, { error: 'this is no address' });
  const { url, argument } = address;
  if (request.method === 'GET' && url.pathname === '/metrics') {
    const { type, text } = await api.metrics();
    return traffic.sendText(response, type, text);
  }
  const [, version, noun = ''] = url.pathname.split('/');
  const route = `${request.method} ${noun}${argument === undefined ? '' : '/…'}`;
  if (version !== 'v1') return send(404, { error: `no such address: ${url.pathname}` });
  if (readOnly && !READABLE.includes(route))
    return send(403, { error: 'this socket is read only; use agent.sock, as root' });
  const gone = new AbortController();
  response.on('close', () => gone.abort());
  switch (route) {
    case 'GET status':
      return send(200, api.status());
    case 'GET resources':
      return send(200, api.resources());
    case 'GET version':
      return send(200, api.version());
    case 'GET plan':
      return send(200, await api.plan(planRequest(url.searchParams), gone.signal));
    case 'GET resources/…': {
      const found = await api.show(argument ?? '', gone.signal);
      return found ? send(200, found) : send(404, { error: `no resource ${argument}` });
    }
    case 'GET ids': {
      const like = url.searchParams.get('like');
      if (like !== null && like.length > MAX_LIKE) return send(400, { error: '`like` is part of an id' });
      return inTurn(async () => api.ids(like));
    }
    case 'GET events':
      return feedEvents(api, traffic, url.searchParams.get('after'), response);
    case 'GET history': {
      const query = historyQuery(url.searchParams);
      if (query === null)
        return send(400, { error: '`commit` has 4 to 40 hex digits, `limit` and `before` are numbers' });
      return inTurn(() => api.history(query, gone.signal));
    }
    case 'GET history/…': {
      if (!/^\d{1,15}$/.test(argument ?? '')) return send(404, { error: `no run ${argument}` });
      return inTurn(async () => api.run(Number(argument)), `no run ${argument}`);
    }
    case 'POST pause':
    case 'POST resume':
    case 'POST rollback': {
      const body = await readJson(request);
      if (body === null || !isHoldRequest(body))
        return send(400, {
          error:
            'the body has the strings `for`, `reason`, `commit`, the list `ids`, the number `holder` and the booleans `force`, `watched`',
        });
      return send(200, await api.hold(noun as HoldVerb, body));
    }
    case 'POST sync': {
      const options = await readJson(request);
      if (options === null || Object.values(options).some((v) => typeof v !== 'boolean'))
        return send(400, {
          error: 'the body is a mapping of booleans: force, adopt, allowRewind, allowPrune, allowEmpty',
        });
      return feedRun(api, options as SyncRequest, response);
    }
    default:
      return send(404, { error: `no such address: ${request.method} ${url.pathname}` });
  }
}

const FLAGS: readonly string[] = ['force', 'watched'];

const isHoldRequest = (body: Record<string, unknown>): body is HoldRequest & Record<string, unknown> =>
  Object.entries(body).every(([key, value]) => {
    if (key === 'ids') return Array.isArray(value) && value.every((id) => typeof id === 'string');
    if (key === 'holder') return Number.isSafeInteger(value);
    return typeof value === (FLAGS.includes(key) ? 'boolean' : 'string');
  });

function planRequest(params: URLSearchParams): PlanRequest {
  const dir = params.get('dir');
  const commit = params.get('commit');
  const worktree = params.get('worktree') === '1';
  return {
    ...(dir === null ? {} : { dir, worktree }),
    ...(commit === null ? {} : { commit }),
    diff: params.get('diff') === '1',
  };
}

/** @returns null if a part of it is not what it should be */
export function historyQuery(params: URLSearchParams): HistoryQuery | null {
  const text = (key: string) => (params.get(key) ? { [key]: params.get(key) } : {});
  const number = (key: string) => Number(params.get(key) || 0);
  const limit = number('limit');
  const before = number('before');
  const commit = params.get('commit');
  const isRight = (commit || null) === null || /^[0-9a-f]{4,40}$/i.test(commit ?? '');
  if (!isRight || ![limit, before].every((n) => Number.isSafeInteger(n) && n >= 0)) return null;
  return {
    ...text('since'),
    ...text('resource'),
    ...(commit ? { commit: commit.toLowerCase() } : {}),
    ...(params.get('failed') ? { failed: true } : {}),
    ...(limit > 0 ? { limit: Math.min(limit, MAX_RUNS) } : {}),
    ...(before > 0 ? { before } : {}),
  };
}

/** A mapping, or null if the body is none. */
async function readJson(request: http.IncomingMessage): Promise<Record<string, unknown> | null> {
  try {
    const value: unknown = JSON.parse((await readBody(request)) || '{}');
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : null;
  } catch {
    return null;
  }
}

async function readBody(request: http.IncomingMessage): Promise<string> {
  let body = '';
  for await (const chunk of request.setEncoding('utf8')) {
    body += chunk;
    if (body.length > MAX_BODY) throw new Error('the body is too large');
  }
  return body;
}
