/** Serves the page of the fleet: its files, which are read once, and `config.json`, which names the broker. Nothing else. */
import http from 'node:http';
import { isIP } from 'node:net';
import { filesOf, type PageConfig, unusable } from './files.ts';
import { HEADERS, policyFor } from './policy.ts';

export interface PageServerOptions {
  /** Directory of the built page. */
  dir: string;
  config: PageConfig;
  listen: { host: string; port: number };
  /** Names besides `localhost` by which the page may be asked for. */
  names: readonly string[];
}

export interface PageServer {
  readonly url: string;
  stop(): Promise<void>;
}

/** Throws AgentError `InvalidArgument` where the page is not there or the address cannot be listened at. */
export async function servePage({ dir, config, listen, names }: PageServerOptions): Promise<PageServer> {
  const files = filesOf(dir, config);
  const policy = policyFor(config.broker, 'header');
  const server = http.createServer((request, response) => {
    const answer = (status: number, headers: Record<string, string>, body: Buffer | string) => {
      response.writeHead(status, { ...HEADERS, 'Content-Security-Policy': policy, ...headers });
      response.end(request.method === 'HEAD' ? undefined : body);
    };
    const refuse = (status: number, why: string) =>
      answer(status, { 'Content-Type': 'text/plain; charset=utf-8' }, `${why}\n`);
    if (!isOwnHost(request.headers.host, names))
      return refuse(421, 'this page is not served under that name; name it with --name');
    if (request.method !== 'GET' && request.method !== 'HEAD') return refuse(405, 'this page is only read');
    const found = files.get(new URL(request.url ?? '/', 'http://page').pathname);
    if (found === undefined) return refuse(404, 'there is no such file');
    const { body, type, isLasting } = found;
    const caching = isLasting ? 'public, max-age=31536000, immutable' : 'no-store';
    answer(200, { 'Content-Type': type, 'Content-Length': String(body.length), 'Cache-Control': caching }, body);
  });
  server.headersTimeout = 10_000;
  server.requestTimeout = 10_000;
  server.maxConnections = 200;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) =>
      reject(
        unusable(
          `cannot listen at ${listen.host}:${listen.port}: ${error.message}; name another address with --listen`,
        ),
      ),
    );
    server.listen(listen.port, listen.host, resolve);
  });
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : listen.port;
  const host = isIP(listen.host) === 6 ? `[${listen.host}]` : listen.host;
  return {
    url: `http://${host}:${port}/`,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/**
 * A foreign page can make its own host name resolve to this address (DNS rebinding) and then read our answers. It cannot do
 * that for a literal address, or for `localhost`.
 */
function isOwnHost(header: string | undefined, names: readonly string[]): boolean {
  const host = (header ?? '').toLowerCase().replace(/:\d+$/, '');
  return (
    host === 'localhost' || isIP(host.replace(/^\[|\]$/g, '')) > 0 || names.some((name) => name.toLowerCase() === host)
  );
}
