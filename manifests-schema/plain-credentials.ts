/** Passwords and tokens over connections that everybody on the way can read. Pure. */

const ENCRYPTED = ['https:', 'mqtts:', 'ssh:'];

/** This machine talks to itself: `localhost` (RFC 6761, 6.3), 127.0.0.0/8, ::1. */
function isLoopback(name: string): boolean {
  return name === 'localhost' || name.endsWith('.localhost') || name === '[::1]' || /^127(\.\d{1,3}){3}$/.test(name);
}

/** @param url of a git server or a broker @returns whether what is sent there can be read on the way */
export function isReadable(url: string): boolean {
  const { protocol, hostname = '' } = URL.parse(url) ?? {};
  // What is no URL is a path, or an address of ssh.
  return (
    protocol !== undefined &&
    /^(https?|mqtts?):$/.test(protocol) &&
    !ENCRYPTED.includes(protocol) &&
    !isLoopback(hostname)
  );
}

/** What to say of it. @param encrypted the scheme to use instead */
export const readable = (what: string, encrypted: string): string =>
  `sends ${what} without encryption, so that everybody on the way can read it; use ${encrypted}://, or say \`insecure: true\` if the way is yours alone`;
