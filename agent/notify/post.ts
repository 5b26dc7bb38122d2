/** Sends one request over HTTP: with limits on every wait and on the answer, and nowhere but where it is meant to go. */
import http from 'node:http';
import https from 'node:https';
import type { Outgoing } from './destinations/request.ts';

export interface PostOptions {
  /** PEM text of the CA that counts. */
  ca?: string | undefined;
  /** Environment in which HTTPS_PROXY and its like are looked up. */
  env: Record<string, string | undefined>;
  timeoutMs: number;
  signal: AbortSignal;
  /** Bytes of the answer that are read; default 16 KiB. */
  maxAnswerBytes?: number;
}

export interface Posted {
  status: number;
  /** Milliseconds that the destination asks to wait before the next try. */
  retryAfterMs: number | null;
  headers: http.IncomingHttpHeaders;
  /** The beginning of its answer. */
  text: string;
}

const MAX_ANSWER_BYTES = 16 * 1024;
const MAX_REDIRECTS = 3;

/** Throws an Error that says why there was no answer; its message never has the URL, whose path may be a secret. */
export async function post(outgoing: Outgoing, options: PostOptions): Promise<Posted> {
  let url = new URL(outgoing.url);
  for (let hops = 0; ; hops++) {
    const answer = await once(outgoing, url, options);
    if (answer.location === null) return answer.posted;
    const next = URL.parse(answer.location, url.href);
    if (next === null || next.origin !== url.origin)
      throw new Refused(
        `it redirects to another place${next === null ? '' : ` (${next.origin})`}, which is not followed`,
      );
    if (hops === MAX_REDIRECTS) throw new Refused(`it redirects more than ${MAX_REDIRECTS} times`);
    url = next;
  }
}

/** The far end answered, and another try by itself will not help. */
export class Refused extends Error {}

interface Answer {
  posted: Posted;
  /** Target of a redirect that repeats the same request, if any. */
  location: string | null;
}

async function once({ method, headers, body }: Outgoing, url: URL, options: PostOptions): Promise<Answer> {
  const secure = url.protocol === 'https:';
  const proxyEnv = { ...options.env };
  const agent = secure
    ? new https.Agent({ proxyEnv, ...(options.ca === undefined ? {} : { ca: options.ca }) })
    : new http.Agent({ proxyEnv });
  const late = AbortSignal.timeout(options.timeoutMs);
  const bytes = Buffer.from(body);
  try {
    const request = (secure ? https : http).request(url, {
      method,
      agent,
      signal: AbortSignal.any([options.signal, late]),
      headers: {
        'user-agent': 'fairlead',
        ...headers,
        ...(method === 'GET' ? {} : { 'content-length': String(bytes.length) }),
      },
    });
    const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
      request.once('response', resolve);
      request.on('error', reject);
      request.end(bytes);
    });
    const text = await beginning(response, options.maxAnswerBytes ?? MAX_ANSWER_BYTES);
    const status = response.statusCode ?? 0;
    const isMoved = [301, 302, 303, 307, 308].includes(status);
    const { location } = response.headers;
    if (isMoved && location === undefined) throw new Refused(`it answered ${status} without a place to go to`);
    return {
      posted: {
        ...{ status, text, headers: response.headers },
        retryAfterMs: retryAfter(response.headers['retry-after']),
      },
      location: isMoved ? (location ?? null) : null,
    };
  } catch (thrown) {
    if (late.aborted && !options.signal.aborted) throw new Error(`no answer within ${options.timeoutMs / 1_000} s`);
    throw thrown;
  } finally {
    agent.destroy();
  }
}

/** No more than we would show; whatever else comes is not waited for. */
async function beginning(response: http.IncomingMessage, maxBytes: number): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of response as AsyncIterable<Buffer>) {
    parts.push(part);
    size += part.length;
    if (size >= maxBytes) break;
  }
  response.destroy();
  return Buffer.concat(parts).subarray(0, maxBytes).toString('utf8');
}

/** RFC 9110, 10.2.3: seconds, or a date. */
function retryAfter(value: string | undefined): number | null {
  if (value === undefined) return null;
  if (/^\d+$/.test(value)) return Number(value) * 1_000;
  const at = Date.parse(value);
  return Number.isNaN(at) ? null : Math.max(0, at - Date.now());
}
