/** HTTP for git: keep-alive, private CA, client certificates, proxies, redirects, and a limit on every wait. */
import http from 'node:http';
import https from 'node:https';
import { AgentError } from '../../errors.ts';
import { readNamed } from '../../reading.ts';
import { CutShort, httpFailure } from './http-failure.ts';
import { type Limits, quoted, seconds, stopped, unreachable } from './remote.ts';
import { clockFailure } from './server-date.ts';

export interface HttpOptions {
  /** PEM files: a private CA; a client certificate and its key. */
  ca?: string | undefined;
  cert?: string | undefined;
  key?: string | undefined;
  /** Environment in which HTTP_PROXY, HTTPS_PROXY and NO_PROXY are looked up, in either case. */
  env: Record<string, string | undefined>;
  limits: Limits;
}

export interface HttpRequest {
  url: string;
  method: 'GET' | 'POST';
  headers: Record<string, string>;
  /** Sent only to the origin of `url`, never to a redirect target; the same is true for the client certificate. */
  secret?: string | undefined;
  /** The origin for `secret` and the client certificate; default: that of `url`. */
  origin?: string | undefined;
  /**
   * A redirect is followed only if the path of its target ends with this suffix, as the original path does; without it no
   * redirect is followed.
   */
  follow?: string | undefined;
  body?: Uint8Array | undefined;
  totalMs: number;
}

export interface HttpAnswer {
  status: number;
  headers: http.IncomingHttpHeaders;
  /** Final URL of the answer, after redirects. */
  url: string;
  /** Throws AgentError `RepositoryUnreachable` if it is incomplete or stalls. */
  body: AsyncIterable<Uint8Array>;
}

export interface HttpClient {
  request(request: HttpRequest, signal: AbortSignal): Promise<HttpAnswer>;
}

interface Agents {
  http: http.Agent;
  https(): https.Agent;
  /** For redirect targets: without the client certificate. */
  strangers(): https.Agent;
  destroy(): void;
}

const MAX_REDIRECTS = 5;
const KEEP_ALIVE_MS = 120_000;
const ANSWERED = { reach: 'answered' } as const;

/** One client for one repository: it keeps a connection open between polls. */
export function createHttp(options: HttpOptions): HttpClient {
  let kept: { material: string; agents: Agents } | null = null;

  /** The same agents, and so the same connections, until a certificate changes on disk. */
  async function agents(name: string): Promise<Agents> {
    const read = async (file: string | undefined) =>
      file === undefined
        ? undefined
        : await readNamed(file).then(String, (cause: Error) => {
            throw unreachable(name, `${file} cannot be read: ${cause.message}`, {
              cause,
              reach: 'here',
            });
          });
    const [ca, cert, key] = await Promise.all([options.ca, options.cert, options.key].map(read));
    const material = JSON.stringify([ca, cert, key]);
    if (kept?.material === material) return kept.agents;
    kept?.agents.destroy();
    const proxies = proxiesOf(options.env);
    if (Object.keys(proxies).some((n) => !/^no_/i.test(n)) && !knowsProxies(process.versions.node))
      throw unreachable(name, `a proxy is set, and Node ${process.versions.node} knows none; use Node 24.5 or newer`, {
        reach: 'here',
      });
    const common = { keepAlive: true, timeout: KEEP_ALIVE_MS, maxSockets: 4, proxyEnv: proxies };
    const trusted = { ...common, ...(ca ? { ca } : {}) };
    const own = { ...(cert ? { cert } : {}), ...(key ? { key } : {}) };
    const made = agentsOf(new http.Agent(common), { ...trusted, ...own }, trusted);
    kept = { material, agents: made };
    return made;
  }

  return {
    async request(request, signal) {
      const first = new URL(request.url);
      const use = await agents(repositoryOf(first));
      const home = request.origin ?? first.origin;
      let url = first;
      for (let hops = 0; ; hops++) {
        const isHome = url.origin === home;
        const sent = { ...request, url, secret: isHome ? request.secret : undefined };
        const agent = url.protocol !== 'https:' ? use.http : isHome ? use.https() : use.strangers();
        const answer = await once(sent, agent, options.limits, signal);
        const next = request.follow === undefined ? null : redirect(answer, url);
        if (next === null) return answer;
        if (hops === MAX_REDIRECTS)
          throw unreachable(repositoryOf(first), `it redirects more than ${MAX_REDIRECTS} times`, ANSWERED);
        if (url.protocol === 'https:' && next.protocol !== 'https:')
          throw unreachable(repositoryOf(first), `it redirects to ${next.origin}, without encryption`, ANSWERED);
        if (!`${next.pathname}${next.search}`.endsWith(request.follow ?? ''))
          throw unreachable(repositoryOf(first), 'it redirects to what is no git repository', ANSWERED);
        url = next;
        for await (const _ of answer.body) break;
      }
    },
  };
}

/** The agents for https are made when they are first used: a repository that is read by http or ssh needs no TLS. */
function agentsOf(plain: http.Agent, home: https.AgentOptions, elsewhere: https.AgentOptions): Agents {
  let own: https.Agent | null = null;
  let strangers: https.Agent | null = null;
  return {
    http: plain,
    https() {
      own ??= new https.Agent(home);
      return own;
    },
    strangers() {
      strangers ??= new https.Agent(elsewhere);
      return strangers;
    },
    destroy() {
      for (const agent of [plain, own, strangers]) agent?.destroy();
    },
  };
}

/** The URL as users know it, without the protocol's suffix. */
const repositoryOf = (url: URL) => `${url.origin}${url.pathname}`.replace(/\/(info\/refs|git-upload-pack)$/, '');

export const isRedirect = ({ status, headers }: HttpAnswer): boolean =>
  [301, 302, 303, 307, 308].includes(status) && headers.location !== undefined;

function redirect(answer: HttpAnswer, from: URL): URL | null {
  if (!isRedirect(answer)) return null;
  const location = answer.headers.location ?? '';
  const next = URL.parse(location, from.href);
  if (next === null || !/^https?:$/.test(next.protocol) || next.username !== '' || next.password !== '')
    throw unreachable(repositoryOf(from), `it redirects to what is no web address: ${quoted(location)}`, ANSWERED);
  return next;
}

/** Lower case wins, and CGI's HTTP_PROXY is not special here: nobody but the administrator sets our environment. */
function proxiesOf(env: HttpOptions['env']): Record<string, string> {
  const names = ['http_proxy', 'https_proxy', 'no_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY'];
  const all = env.ALL_PROXY ?? env.all_proxy;
  const base = all ? { HTTP_PROXY: all, HTTPS_PROXY: all } : {};
  return { ...base, ...Object.fromEntries(names.flatMap((n) => (env[n] ? [[n, env[n]]] : []))) };
}

/** Agents take `proxyEnv` from Node 22.21 and 24.5 on. */
function knowsProxies(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > 24 || (major === 24 && minor >= 5) || (major === 22 && minor >= 21);
}

interface Sent extends Omit<HttpRequest, 'url'> {
  url: URL;
}

async function once(
  sent: Sent,
  agent: http.Agent,
  limits: Limits,
  signal: AbortSignal,
  again = true,
): Promise<HttpAnswer> {
  const name = repositoryOf(sent.url);
  const total = AbortSignal.timeout(sent.totalMs);
  const bound = AbortSignal.any([signal, total]);
  const explain = (thrown: unknown): AgentError => {
    if (thrown instanceof AgentError) return thrown;
    if (signal.aborted) return stopped();
    if (total.aborted) return unreachable(name, `it did not finish within ${seconds(sent.totalMs)}`);
    const { why, reach } = httpFailure(thrown);
    return unreachable(name, why, { cause: thrown, reach });
  };
  if (signal.aborted) throw stopped();

  const watch = createWatch();
  const secure = sent.url.protocol === 'https:';
  const request = (secure ? https : http).request(sent.url, {
    method: sent.method,
    agent,
    signal: bound,
    headers: {
      'user-agent': 'git/fairlead',
      ...sent.headers,
      ...(sent.secret ? { authorization: sent.secret } : {}),
      ...(sent.body ? { 'content-length': String(sent.body.length) } : {}),
    },
  });
  const fail =
    (why: string, more: Parameters<typeof unreachable>[2] = {}) =>
    () =>
      request.destroy(unreachable(name, why, more));
  watch.expect(limits.connect, fail(`no connection within ${seconds(limits.connect)}`));
  request.once('socket', (socket) => {
    const connected = () =>
      watch.expect(limits.answer, fail(`connected, but no answer within ${seconds(limits.answer)}`, ANSWERED));
    if (!socket.connecting) connected();
    else socket.once(secure ? 'secureConnect' : 'connect', connected);
  });
  try {
    const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
      request.once('response', resolve);
      request.on('error', reject);
      request.end(sent.body);
    });
    const stall = () => {
      watch.expect(limits.stall, () =>
        response.destroy(unreachable(name, `the answer stalled: nothing came for ${seconds(limits.stall)}`)),
      );
    };
    stall();
    const encoding = response.headers['content-encoding'] ?? 'identity';
    if (encoding !== 'identity') {
      response.destroy();
      watch.end();
      const why = `its answer is compressed (${quoted(encoding).slice(0, 20)}), which was not asked for`;
      throw unreachable(name, `${why}; switch that off on the server or the proxy before it`, ANSWERED);
    }
    return {
      status: response.statusCode ?? 0,
      headers: response.headers,
      url: sent.url.href,
      body: reading(response, { stall, end: watch.end, explain }),
    };
  } catch (thrown) {
    watch.end();
    // A server may close a kept connection just as we use it again: that was no answer, ask once more.
    if (again && request.reusedSocket && (thrown as NodeJS.ErrnoException).code === 'ECONNRESET' && !bound.aborted)
      return once(sent, agent, limits, signal, false);
    throw (await clockFailure(thrown, sent.url, name)) ?? explain(thrown);
  }
}

async function* reading(
  response: http.IncomingMessage,
  { stall, end, explain }: { stall(): void; end(): void; explain(thrown: unknown): AgentError },
): AsyncGenerator<Uint8Array> {
  try {
    response.on('data', stall);
    yield* response as AsyncIterable<Uint8Array>;
    if (!response.complete) throw new CutShort();
  } catch (thrown) {
    throw explain(thrown);
  } finally {
    end();
    // A connection of which the answer was read to its end goes back to be used again.
    if (!response.readableEnded) response.destroy();
  }
}

/** At most one timer runs. */
function createWatch() {
  let timer: NodeJS.Timeout | undefined;
  return {
    expect(ms: number, late: () => void) {
      clearTimeout(timer);
      timer = setTimeout(late, ms);
    },
    end: () => clearTimeout(timer),
  };
}
