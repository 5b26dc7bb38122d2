/** Translates Node's messages and codes of HTTP and TLS failures into a sentence, and whether the server was reached. */
import { reachOf } from '../../core/reach.ts';
import type { Reach } from '../../errors.ts';
import { quoted } from './remote.ts';

const UNTRUSTED = 'its certificate comes from a CA that is not trusted here; name it in repo.ca';
const SENTENCES: Readonly<Record<string, string>> = {
  ENOTFOUND: 'there is no host of that name',
  EAI_AGAIN: 'names cannot be resolved now',
  ECONNREFUSED: 'nothing listens there',
  ECONNRESET: 'the connection was reset',
  EHOSTUNREACH: 'there is no way to that host',
  ENETUNREACH: 'there is no way to that network',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is signed by itself; name its CA in repo.ca',
  SELF_SIGNED_CERT_IN_CHAIN: UNTRUSTED,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNTRUSTED,
  CERT_HAS_EXPIRED: "its certificate has expired (or this host's clock is ahead)",
  CERT_NOT_YET_VALID: "its certificate is not valid yet (or this host's clock is behind)",
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another host',
};

/** The answer ended before it was complete. */
export class CutShort extends Error {}

export function httpFailure(thrown: unknown): { why: string; reach: Reach } {
  const { code, message } = thrown as NodeJS.ErrnoException;
  // TLS alerts (RFC 8446, section 6.2) come from the server, and only OpenSSL's text names them.
  if (/alert (certificate required|bad certificate|unknown ca|handshake failure)/.test(message))
    return {
      why: 'it wants a client certificate that it knows; name one in repo.cert and repo.key',
      reach: 'answered',
    };
  // Node says the same of a connection that was reset before the answer, and of one that was reset in the middle of it.
  if (thrown instanceof CutShort || message === 'aborted')
    return { why: 'the answer was cut short', reach: 'answered' };
  const known = code === undefined ? undefined : SENTENCES[code];
  return { why: known ?? quoted(message ?? String(thrown)), reach: reachOf(thrown) };
}
