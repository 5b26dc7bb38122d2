/** Sends one request to a forge and returns the result. Never throws, and never reveals a secret. */
import type { StatusSettings } from '../../../../manifests-schema/relay.ts';
import { type Posted, post, Refused } from '../../../notify/post.ts';
import { readNamed } from '../../../reading.ts';
import type { Call, ForgeRules } from './rules.ts';

/**
 * `again`: an outage, or too many requests. `refused`: the forge refuses all our requests until somebody changes something.
 * `unfit`: it refuses this one. `waitMs`: the pause that the forge demands before the next request. `why` follows the name of the
 * failed action.
 */
export type Answer =
  | { kind: 'done'; value: unknown; waitMs: number }
  | { kind: 'again' | 'refused' | 'unfit'; status: number | null; why: string; waitMs: number };

export interface CallerOptions {
  settings: StatusSettings;
  rules: ForgeRules;
  /** Environment with HTTPS_PROXY and the like. */
  env: Record<string, string | undefined>;
  /** Takes note of a secret, so that no log shows it. */
  secret(text: string): void;
  /** Milliseconds since 1970. */
  now(): number;
  timeoutMs?: number;
}

export type Caller = (call: Call, signal: AbortSignal) => Promise<Answer>;

const TIMEOUT_MS = 15_000;
/** Size of a page of deployments, in which GitHub describes the author of each. */
const MAX_ANSWER_BYTES = 512 * 1024;
/** Maximum length of a quoted message of a forge, in one line. */
const MAX_SAID = 120;
/** Longest accepted pause: the clock of a forge may be wrong. */
const MOST_WAIT_MS = 60 * 60_000;

export const createCaller =
  (options: CallerOptions): Caller =>
  async (call, signal) => {
    const { settings, rules, env, secret, timeoutMs = TIMEOUT_MS } = options;
    try {
      const [token = '', ca] = await Promise.all([settings.tokenFile, settings.ca].map(read));
      if (token === '') throw new Refused(`${settings.tokenFile} is empty`);
      secret(token);
      const body = call.body === undefined ? '' : JSON.stringify(call.body);
      const type = call.body === undefined ? {} : { 'content-type': 'application/json' };
      const request = {
        ...{ method: call.method, url: `${rules.rootOf(settings.url)}${call.path}`, body },
        headers: { ...rules.headers(token), ...type },
      };
      return answerOf(
        await post(request, { ca, env, timeoutMs, signal, maxAnswerBytes: MAX_ANSWER_BYTES }),
        options.now(),
      );
    } catch (thrown) {
      const why = thrown instanceof Error ? thrown.message : String(thrown);
      return { kind: thrown instanceof Refused ? 'refused' : 'again', status: null, why, waitMs: 0 };
    }
  };

async function read(file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return undefined;
  const bytes = await readNamed(file).catch((thrown: Error) => {
    throw new Refused(`${file} cannot be read: ${thrown.message}`);
  });
  return bytes.toString('utf8').trim();
}

function answerOf(posted: Posted, now: number): Answer {
  const { status, text } = posted;
  const limitMs = limitOf(posted, now);
  const waitMs = Math.min(MOST_WAIT_MS, limitMs ?? 0);
  if (status >= 200 && status < 300) return { kind: 'done', value: parsed(text), waitMs };
  const said = text.replaceAll(/\s+/g, ' ').trim().slice(0, MAX_SAID);
  const why = `it answered ${status}${said ? ` (${said})` : ''}`;
  const isLimit = status === 429 || (status === 403 && limitMs !== null);
  if (isLimit || status === 408 || status === 425 || status >= 500) return { kind: 'again', status, why, waitMs };
  return { kind: status === 401 || status === 403 ? 'refused' : 'unfit', status, why, waitMs };
}

/**
 * The pause that the forge demands; null if it demands none. From `Retry-After`, or from an exhausted rate limit:
 * https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api,
 * https://docs.gitlab.com/administration/settings/user_and_ip_rate_limits/#response-headers
 */
function limitOf({ retryAfterMs, headers }: Posted, now: number): number | null {
  if (retryAfterMs !== null) return retryAfterMs;
  for (const prefix of ['x-ratelimit-', 'ratelimit-']) {
    const [left, reset] = [headers[`${prefix}remaining`], Number(headers[`${prefix}reset`])];
    if (left === '0' && reset > 0) return Math.max(0, reset * 1_000 - now);
  }
  return null;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
