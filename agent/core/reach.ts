/** How far a connection got, from the code of an error of the kernel, the resolver or TLS. Pure. */
import type { Reach } from '../errors.ts';

/** The far end refused or reset the connection (connect(2)), or its answer was not understood. */
const ANSWERED = ['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'EPROTO'];
/** No name (getaddrinfo(3)), no route, no address, or a packet filter of this host (connect(2)). */
const HERE = [
  ...['ENOTFOUND', 'EAI_AGAIN', 'EAI_FAIL', 'EAI_NONAME'],
  ...['EHOSTUNREACH', 'ENETUNREACH', 'ENETDOWN', 'EADDRNOTAVAIL', 'EACCES', 'EPERM'],
];
/** Certificates that are not trusted here: OpenSSL's X509_V_ERR_* as Node names them, without their prefix. */
const UNTRUSTED =
  /^(CERT_|CRL_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_CA|ERR_TLS_CERT_|PATH_LENGTH_EXCEEDED)/;
/** An answer that is not HTTP (llhttp), or not TLS. */
const NOT_UNDERSTOOD = /^(HPE_|ERR_SSL_)/;

/** The date is outside the certificate's validity. TLS does not say whether the host's or the certificate's date is wrong. */
const BY_DATE = ['CERT_NOT_YET_VALID', 'CERT_HAS_EXPIRED'];

/** Whether a certificate was refused because of this host's date. @param thrown an Error of Node's tls */
export const isRefusedByDate = (thrown: unknown): boolean =>
  BY_DATE.includes(String((thrown as { code?: unknown } | null | undefined)?.code));

/** @param thrown an Error of Node's net, tls, http or dns with its `code` */
export function reachOf(thrown: unknown): Reach {
  const code = String((thrown as { code?: unknown } | null | undefined)?.code ?? '');
  if (ANSWERED.includes(code) || NOT_UNDERSTOOD.test(code)) return 'answered';
  return HERE.includes(code) || UNTRUSTED.test(code) ? 'here' : 'silent';
}
