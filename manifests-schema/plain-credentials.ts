/** Passwords and tokens over connections that everybody on the way can read. Pure. */

const ENCRYPTED = ['https:', 'mqtts:', 'wss:', 'ssh:'];
/** Ways to a broker: MQTT over TCP or a websocket, each of them plain or by TLS. */
export const BROKER_SCHEMES = 'mqtt:// or mqtts://, or ws:// or wss:// for a websocket';

export const BROKER_URL = /^(mqtt|ws)s?:\/\/[^/]/;
/** The ways that a browser can go. */
export const WEBSOCKET_URL = /^wss?:\/\/[^/\s]/;

/** This machine talks to itself: `localhost` (RFC 6761, 6.3), 127.0.0.0/8, ::1. */
function isLoopback(name: string): boolean {
  return name === 'localhost' || name.endsWith('.localhost') || name === '[::1]' || /^127(\.\d{1,3}){3}$/.test(name);
}

/** @param url of a git server or a broker @returns whether what is sent there can be read on the way */
export function isReadable(url: string): boolean {
  const { protocol, hostname = '' } = URL.parse(url) ?? {};
  // A text that is no URL is a path, or an scp-like ssh address.
  return (
    protocol !== undefined &&
    /^(https?|mqtts?|wss?):$/.test(protocol) &&
    !ENCRYPTED.includes(protocol) &&
    !isLoopback(hostname)
  );
}

/** The error message for the URL. @param encrypted the scheme to use instead */
export const readable = (what: string, encrypted: string): string =>
  `sends ${what} without encryption, so that everybody on the way can read it; use ${encrypted}://, or say \`insecure: true\` if the way is yours alone`;

/** @returns the scheme of the same way to a broker with TLS, such as `wss` for `ws://…` */
export const encryptedScheme = (url: string): string => (url.startsWith('ws') ? 'wss' : 'mqtts');
