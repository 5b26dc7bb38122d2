/** Probes of things that answer over a network: one try each, bounded in time. */
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';

/** Answers why it failed, or null. `expect` null: any 2xx. */
export interface Probe {
  http(url: string, expect: number | null, timeoutMs: number): Promise<string | null>;
  tcp(host: string, port: number, timeoutMs: number): Promise<string | null>;
}

export const probe: Probe = {
  http: (url, expect, timeoutMs) =>
    new Promise((resolve) => {
      const { request } = url.startsWith('https:') ? https : http;
      const sent = request(url, { agent: false, headers: { 'user-agent': 'fairlead', connection: 'close' } });
      const end = (why: string | null) => {
        clearTimeout(timer);
        resolve(why);
        sent.destroy();
      };
      const timer = setTimeout(() => end(`no answer within ${timeoutMs / 1_000} s`), timeoutMs);
      sent.on('response', ({ statusCode = 0 }) => {
        const good = expect === null ? statusCode >= 200 && statusCode < 300 : statusCode === expect;
        end(good ? null : `answered ${statusCode}, not ${expect ?? '2xx'}`);
      });
      sent.on('error', (error) => end(sentence(error)));
      sent.end();
    }),
  tcp: (host, port, timeoutMs) =>
    new Promise((resolve) => {
      const socket = net.connect({ host, port });
      const end = (why: string | null) => {
        clearTimeout(timer);
        socket.destroy();
        resolve(why);
      };
      const timer = setTimeout(() => end(`no connection within ${timeoutMs / 1_000} s`), timeoutMs);
      socket.on('connect', () => end(null));
      socket.on('error', (error) => end(sentence(error)));
    }),
};

/** If several addresses were tried, Node's own message is empty. */
function sentence(error: Error & { code?: string; errors?: readonly Error[] }): string {
  return error.message || error.errors?.map((e) => e.message).join('; ') || (error.code ?? 'failed');
}
