/**
 * One destination: reads its credentials from files, sends, and returns the result. Never throws, and never reveals a
 * secret.
 */
import { createHmac } from 'node:crypto';
import { type Destination, urlComplaint } from '../../manifests-schema/notify.ts';
import type { Unread } from '../reading.ts';
import { readNamed } from '../reading.ts';
import { BUILDERS } from './destinations/index.ts';
import { type MailOptions, sendMail } from './mail.ts';
import { noteOf, type Parcel } from './model/text.ts';
import { type Posted, post, Refused } from './post.ts';

/**
 * `again`: an outage. `refused`: the destination refuses all messages until somebody changes something. `unfit`: it refuses this
 * message. `why` follows the name of the failed action.
 */
export type Delivery =
  | { kind: 'done' }
  | { kind: 'again' | 'refused' | 'unfit'; why: string; retryAfterMs: number | null };

export interface DeliverOptions {
  destination: Destination;
  env: Record<string, string | undefined>;
  /** Takes note of a secret, so that no log and no status shows it. */
  secret(text: string): void;
  timeoutMs?: number;
}

const TIMEOUT_MS = 15_000;
/** The answer of the destination, shortened to one line. */
const MAX_SAID = 120;

export const createDelivery =
  (options: DeliverOptions) =>
  async (parcel: Parcel, signal: AbortSignal): Promise<Delivery> => {
    try {
      return options.destination.format === 'mail'
        ? await byMail(options, parcel)
        : await byHttp(options, parcel, signal);
    } catch (thrown) {
      const why = thrown instanceof Error ? thrown.message : String(thrown);
      return {
        kind: thrown instanceof Refused || thrown instanceof Unusable ? 'refused' : 'again',
        why,
        retryAfterMs: null,
      };
    }
  };

/** The settings in agent.yaml cannot be used. */
class Unusable extends Error {}

async function read(file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return undefined;
  const bytes = await readNamed(file).catch((thrown: Unread) => {
    throw new Unusable(`${file} cannot be read: ${thrown.message}`);
  });
  return bytes.toString('utf8').trim();
}

async function addressOf({ destination, secret }: DeliverOptions): Promise<string> {
  const { url, urlFile, format, insecure } = destination;
  const address = url ?? (await read(urlFile)) ?? '';
  // The user name of a mail or Matrix server is no secret, and may be a common word.
  if (format !== 'mail' && format !== 'matrix') for (const one of secretsOf(address)) secret(one);
  const complaint = urlComplaint(address, format, { insecure });
  if (complaint !== null) throw new Unusable(`the URL in ${urlFile ?? 'url'} ${complaint}`);
  return address;
}

/** The URL itself, and its path: anybody who knows the path and the service can write to it. */
function secretsOf(url: string): string[] {
  const { pathname = '', search = '' } = URL.parse(url) ?? {};
  const path = `${pathname}${search}`;
  return path.length >= 8 ? [url, path] : [url];
}

async function byHttp(options: DeliverOptions, parcel: Parcel, signal: AbortSignal): Promise<Delivery> {
  const { destination, secret, env, timeoutMs = TIMEOUT_MS } = options;
  const { format, room } = destination;
  if (format === 'mail') throw new Error('mail is not sent over HTTP');
  const [url, token, signingKey, ca] = await Promise.all([
    addressOf(options),
    ...[destination.tokenFile, destination.signingKeyFile, destination.ca].map(read),
  ]);
  for (const one of [token, signingKey]) if (one) secret(one);
  const hmac = (key: string, text: string) => createHmac('sha256', key).update(text).digest('hex');
  const request = BUILDERS[format]({ note: noteOf(parcel), parcel, url: url ?? '', token, signingKey, room, hmac });
  return deliveryOf(await post(request, { ca, env, timeoutMs, signal }));
}

function deliveryOf({ status, retryAfterMs, text }: Posted): Delivery {
  if (status >= 200 && status < 300) return { kind: 'done' };
  const said = text.replaceAll(/\s+/g, ' ').trim().slice(0, MAX_SAID);
  const why = `it answered ${status}${said ? ` (${said})` : ''}`;
  if (status === 408 || status === 425 || status === 429 || status >= 500) return { kind: 'again', why, retryAfterMs };
  // The destination cannot accept the request: malformed, too large, or not processable.
  return { kind: [400, 413, 422].includes(status) ? 'unfit' : 'refused', why, retryAfterMs };
}

async function byMail(options: DeliverOptions, parcel: Parcel): Promise<Delivery> {
  const { destination, secret, timeoutMs = TIMEOUT_MS } = options;
  const [url, password, ca] = await Promise.all([
    addressOf(options),
    ...[destination.passwordFile, destination.ca].map(read),
  ]);
  if (password) secret(password);
  const { username, from = '', to = [], insecure = false } = destination;
  const login = username === undefined || password === undefined ? null : { username, password };
  const mail: MailOptions = { url: url ?? '', from, to, login, ca, insecure, timeoutMs };
  try {
    await sendMail(mail, { id: parcel.id, note: noteOf(parcel) });
    return { kind: 'done' };
  } catch (thrown) {
    const { code, responseCode, message } = thrown as { code?: string; responseCode?: number; message?: string };
    const why = (message ?? String(thrown)).replaceAll(/\s+/g, ' ').slice(0, 2 * MAX_SAID);
    // RFC 5321, 4.2.1: 5xx is a permanent refusal of a recipient or message. A failed login can be fixed.
    if (code === 'EAUTH') return { kind: 'refused', why, retryAfterMs: null };
    return { kind: (responseCode ?? 0) >= 500 ? 'unfit' : 'again', why, retryAfterMs: null };
  }
}
