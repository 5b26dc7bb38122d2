/** The parts of this host that a check uses. Pure. */
import type { Named } from '../../core/kind.ts';
import type { CheckSpec } from './spec.ts';

const LOCAL = /^(localhost|127\.\d+\.\d+\.\d+|::1|\[::1\])$/;
const DEFAULT_PORTS: Readonly<Record<string, string>> = { 'http:': '80', 'https:': '443' };

/** The local port or address that it probes, and the program that it runs. */
export function checkNames({ probe }: CheckSpec): Named[] {
  if (probe.type === 'run')
    return probe.argv.filter((word) => /^\/[^*?\s]+$/.test(word)).map((word) => ({ name: `path:${word}` }));
  if (probe.type === 'tcp') return at(probe.host, String(probe.port));
  const { hostname, port, protocol } = new URL(probe.url);
  return at(hostname, port || (DEFAULT_PORTS[protocol] ?? ''));
}

const at = (host: string, port: string): Named[] => [
  { name: LOCAL.test(host) ? `port:tcp/${port}` : `address:${host.replace(/^\[|\]$/g, '')}` },
];
