/**
 * Reads the state of this host's network from a few small files of the kernel (proc(5)): enough to notice that a failed
 * action may work now.
 */
import { readFileSync } from 'node:fs';
import os from 'node:os';

export interface NetworkSigns {
  /** Another value if an address or a route came or went. */
  links: string;
  /** Ports that are listened on, in the notation of the kernel. */
  ports: ReadonlySet<string>;
}

const LISTENS = '0A';
/** A datagram socket that is bound. */
const BOUND = '07';

const read = (file: string): string => {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
};

export function networkSigns(): NetworkSigns {
  const addresses = Object.entries(os.networkInterfaces())
    // Containers come and go with interfaces of their own.
    .filter(([name]) => !/^(veth|br-|docker)/.test(name))
    .flatMap(([name, all]) => (all ?? []).map(({ address }) => `${name} ${address}`));
  const routes = read('/proc/net/route')
    .split('\n')
    .slice(1)
    .filter((line) => !/^(veth|br-|docker)/.test(line))
    .map((line) => line.split('\t').slice(0, 4).join(' '));
  const ports = ['tcp', 'tcp6', 'udp', 'udp6'].flatMap((table) => {
    const state = table.startsWith('tcp') ? LISTENS : BOUND;
    return read(`/proc/net/${table}`)
      .split('\n')
      .slice(1)
      .map((line) => line.trim().split(/\s+/))
      .filter(([, , , is]) => is === state)
      .map(([, local = '']) => `${table} ${local}`);
  });
  return { links: [...addresses, ...routes].sort().join('\n'), ports: new Set(ports) };
}
