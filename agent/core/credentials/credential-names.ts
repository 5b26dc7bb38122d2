/** Which names of options, variables, flags and query parameters denote a credential. Pure. */

const NAMES: ReadonlySet<string> = new Set(
  'password passwd passphrase pass pwd pw secret token credential psk jwt bearer salt auth authorization basicauth apikey cookie'.split(
    ' ',
  ),
);
/** Endings of names that are one word: `requirepass`, `authtoken`. */
const ENDINGS = /(password|passwd|passphrase|secret|token|credentials?|apikey|pwd|pass|masterauth)$/;
const NO_CREDENTIAL = /(^|[^a-z])(bypass|compass|encompass|surpass|multipass)$/;
const KEYS =
  /(^|_)(api|access|private|secret|encrypt|encryption|sign|signing|auth|license|licence|master|session|account|app|storage|shared|service|hmac|jwt|cookie)_?key(_|$)/;
/** Last words of a name that denotes something about a credential, not the credential. */
const ABOUT: ReadonlySet<string> = new Set(
  'file path dir directory url uri ttl expiry expires expiration lifetime length size policy count type header field algorithm algo method cost rounds timeout issuer audience realm endpoint server host hostname port min max age enabled disabled required name names prefix driver provider store backend mode interval refresh version format encoding hint'.split(
    ' ',
  ),
);

/** Every such name contains one of these. Most names contain none and need no closer look. */
const HINTS = /pass|pwd|pw|secret|token|cred|psk|jwt|bearer|salt|auth|key|cookie/i;

/** @param name as it is written: `MYSQL_ROOT_PASSWORD`, `--api-key`, `splunk-token`, `accessToken` */
export function isCredentialName(name: string): boolean {
  if (!HINTS.test(name)) return false;
  const parts = name
    .slice(-200)
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter((part) => part !== '');
  const last = parts.at(-1);
  if (last === undefined || ABOUT.has(last)) return false;
  if (parts.some((part) => NAMES.has(part) || ENDINGS.test(part)) && !NO_CREDENTIAL.test(last)) return true;
  return KEYS.test(parts.join('_'));
}

/** Further URL parameters that denote a credential. */
export const isCredentialParameter = (name: string): boolean =>
  /^(key|sig|signature|pass|sas)$/i.test(name) || isCredentialName(name);

const PLAIN = /^(true|false|yes|no|on|off|null|none|enabled|disabled|\d{1,3})$/i;
const PATH = /^\/(run|etc|var|usr|opt|home|root|mnt|data|secrets?)(\/[\w.@-]+)+$/;
/** A variable of a shell or of a template, whose value is elsewhere. */
const REFERENCE = /^(\$+\{?\w+(:?[-?][^}]*)?\}?|\{\{.*\}\}|%\w%?)$/;

/** Whether the value of such a name is a credential: not a switch, a path or a reference, and not masked already. */
export const isCredential = (value: string): boolean =>
  value !== '' && !PLAIN.test(value) && !PATH.test(value) && !REFERENCE.test(value) && !value.startsWith('(secret');
