/** The time according to a web server: good enough to detect a clock that is minutes off, but no proof. */
import http from 'node:http';
import https from 'node:https';
import { roughly } from '../../core/clock-doubt.ts';
import { isRefusedByDate } from '../../core/reach.ts';
import { AgentError } from '../../errors.ts';

const ANSWER_MS = 15_000;
/** A clock that is further off breaks certificates, signatures and schedules. */
export const MOST_OFF_MS = 60_000;

/** @returns by how many ms the server at this URL is ahead of this host; null if it does not say */
export async function serverAhead(url: string): Promise<number | null> {
  const asked = Date.now();
  const date = await serverDate(url).catch(() => null);
  return date === null ? null : date - (asked + Date.now()) / 2;
}

/** Parses the `Date` header (RFC 9110, section 6.6.1). */
function serverDate(url: string): Promise<number | null> {
  return new Promise((resolve, reject) => {
    // Any date counts: the caller decides whether the certificate is valid.
    const options = { method: 'HEAD', rejectUnauthorized: false, timeout: ANSWER_MS, agent: false as const };
    const ask = (url.startsWith('https:') ? https : http).request(url, options, (response) => {
      response.resume();
      resolve(response.headers.date ? Date.parse(response.headers.date) : null);
    });
    ask.on('timeout', () => ask.destroy(new Error('no answer')));
    ask.on('error', reject);
    ask.end();
  });
}

/**
 * @param name of the repository, for the message
 * @returns `ClockWrong` if a certificate was refused because this host's date is wrong, or null
 */
export async function clockFailure(thrown: unknown, url: URL, name: string): Promise<AgentError | null> {
  if (!isRefusedByDate(thrown)) return null;
  const ahead = await serverAhead(url.origin);
  if (ahead === null || Math.abs(ahead) <= MOST_OFF_MS) return null;
  return new AgentError({
    code: 'ClockWrong',
    phase: 'fetch',
    reach: 'here',
    message: `cannot read ${name}: this host's clock is ${roughly(ahead)} ${ahead > 0 ? 'behind' : 'ahead of'} the server's, so its certificate does not hold; set it: \`timedatectl set-ntp true\``,
    cause: thrown,
  });
}
