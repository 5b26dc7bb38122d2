/** The content security policy of the fleet's page: it may load its own files, and connect to its broker. Pure. */

/**
 * The content security policy.
 * @param websocket URL of the broker; null: any broker, for a page that is served by others
 * @param where a policy in the page itself cannot say who may frame it
 */
export function policyFor(websocket: string | null, where: 'header' | 'meta'): string {
  const broker = websocket === null ? 'ws: wss:' : new URL(websocket).origin;
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    `connect-src 'self' ${broker}`,
    "base-uri 'none'",
    "form-action 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
    ...(where === 'header' ? ["frame-ancestors 'none'"] : []),
  ].join('; ');
}

/** Headers of each answer, whoever serves the page. */
export const HEADERS: Readonly<Record<string, string>> = {
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Permissions-Policy': 'camera=(), geolocation=(), microphone=()',
};
