/** Downloads one package of the agent over https, within a budget of bytes and time, and never without encryption. */
import { createWriteStream } from 'node:fs';
import type http from 'node:http';
import https from 'node:https';
import { pipeline } from 'node:stream/promises';
import { AgentError } from '../errors.ts';
import { readNamed } from '../reading.ts';

export interface DownloadOptions {
  /** PEM file of a private CA; left out: those that Node knows. */
  ca?: string | undefined;
  /** Environment in which HTTPS_PROXY and such are looked up. */
  env: Record<string, string | undefined>;
  maxBytes?: number;
  totalMs?: number;
  stallMs?: number;
}

const MAX_BYTES = 256 * 1024 * 1024;
const TOTAL_MS = 900_000;
const STALL_MS = 60_000;
const MAX_REDIRECTS = 5;

/** Writes the file, root's own. Throws AgentError `PackageUnreachable`, `Stopped`. */
export async function download(
  url: string,
  file: string,
  options: DownloadOptions,
  signal: AbortSignal,
): Promise<void> {
  const { maxBytes = MAX_BYTES, totalMs = TOTAL_MS, stallMs = STALL_MS } = options;
  const bound = AbortSignal.any([signal, AbortSignal.timeout(totalMs)]);
  const ca = options.ca === undefined ? undefined : await readNamed(options.ca).then(String);
  const agent = new https.Agent({ ...(ca ? { ca } : {}), proxyEnv: proxiesOf(options.env) } as https.AgentOptions);
  try {
    const answer = await follow(new URL(url), { agent, bound, stallMs });
    const length = Number(answer.headers['content-length'] ?? 0);
    if (length > maxBytes) throw new Error(tooLarge(maxBytes));
    await pipeline(answer, bounded(maxBytes), createWriteStream(file, { mode: 0o600, flush: true }), { signal: bound });
  } catch (thrown) {
    if (signal.aborted)
      throw new AgentError({ code: 'Stopped', phase: 'prepare', message: 'the download was stopped' });
    const why = bound.aborted
      ? `it did not finish within ${totalMs / 1_000} s`
      : thrown instanceof Error
        ? thrown.message
        : String(thrown);
    throw new AgentError({
      code: 'PackageUnreachable',
      phase: 'prepare',
      message: `cannot download ${url.replace(/[?#].*$/s, '')}: ${why}; check \`agent.source\` and the way there`,
      cause: thrown,
    });
  } finally {
    agent.destroy();
  }
}

interface Following {
  agent: https.Agent;
  bound: AbortSignal;
  stallMs: number;
}

async function follow(first: URL, { agent, bound, stallMs }: Following): Promise<http.IncomingMessage> {
  let url = first;
  for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
    const answer = await new Promise<http.IncomingMessage>((resolve, reject) => {
      const request = https.get(url, { agent, signal: bound, headers: { 'user-agent': 'fairlead' } }, resolve);
      request.setTimeout(stallMs, () => request.destroy(new Error(`nothing came for ${stallMs / 1_000} s`)));
      request.on('error', reject);
    });
    const { statusCode = 0, headers } = answer;
    if (statusCode === 200) return answer;
    answer.resume();
    if (![301, 302, 303, 307, 308].includes(statusCode) || headers.location === undefined)
      throw new Error(`the server answered ${statusCode}`);
    const next = URL.parse(headers.location, url.href);
    if (next?.protocol !== 'https:') throw new Error('it redirects to what is no https URL');
    url = next;
  }
  throw new Error(`it redirects more than ${MAX_REDIRECTS} times`);
}

const tooLarge = (maxBytes: number): string => `it is larger than ${maxBytes / 1024 / 1024} MiB`;

const bounded = (maxBytes: number) =>
  async function* (chunks: AsyncIterable<Buffer>) {
    let bytes = 0;
    for await (const chunk of chunks) {
      bytes += chunk.length;
      if (bytes > maxBytes) throw new Error(tooLarge(maxBytes));
      yield chunk;
    }
  };

function proxiesOf(env: DownloadOptions['env']): Record<string, string> {
  const names = ['https_proxy', 'no_proxy', 'HTTPS_PROXY', 'NO_PROXY'];
  return Object.fromEntries(names.flatMap((name) => (env[name] ? [[name, env[name] ?? '']] : [])));
}
