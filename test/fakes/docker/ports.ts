/** Ports of the host: a container binds its ports when it starts. */
import { serverError } from './refusals.ts';
import type { FakeContainer, State, TakenPort } from './state.ts';

type Bindings = Record<string, { HostIp?: string; HostPort?: string }[] | null>;
const FIRST_FREE = 32_768;

/** @throws the Docker engine's error if one is in use */
export function takePorts(state: State, c: FakeContainer): void {
  for (const [key, bindings] of Object.entries((c.host.PortBindings ?? {}) as Bindings)) {
    const [inside = '', protocol = 'tcp'] = key.split('/');
    for (const { HostIp: ip = '', HostPort = '' } of bindings ?? []) {
      const port = choose(state, HostPort, ip, protocol);
      if (port === undefined) refuse(c, ip, Number(HostPort.split('-')[0]), 'port is already allocated');
      else if (state.hostPorts.has(`${protocol}/${port}`)) refuse(c, ip, port, 'bind: address already in use');
      else c.ports.push({ ip: ip || '0.0.0.0', port, protocol, inside: Number(inside) });
    }
  }
}

/** The first port of a range that no container has; undefined if all are in use. */
function choose(state: State, asked: string, ip: string, protocol: string): number | undefined {
  const [first = 0, last = first] = asked.split('-').filter(Boolean).map(Number);
  const [from, to] = first === 0 ? [FIRST_FREE, 65_535] : [first, last];
  for (let port = from; port <= to; port++) if (!isTaken(state, port, ip, protocol)) return port;
  return undefined;
}

const isEverywhere = (ip: string): boolean => ip === '' || ip === '0.0.0.0' || ip === '::';

const isTaken = (state: State, port: number, ip: string, protocol: string): boolean =>
  [...state.containers.values()].some(({ ports }) =>
    ports.some(
      (p) => p.port === port && p.protocol === protocol && (p.ip === ip || isEverywhere(p.ip) || isEverywhere(ip)),
    ),
  );

function refuse({ name, id }: FakeContainer, ip: string, port: number, why: string): never {
  const what = why.startsWith('bind')
    ? `Error starting userland proxy: listen tcp4 ${ip || '0.0.0.0'}:${port}: ${why}`
    : `Bind for ${ip || '0.0.0.0'}:${port} failed: ${why}`;
  throw serverError(`driver failed programming external connectivity on endpoint ${name} (${id}): ${what}`);
}

export function freePorts(c: FakeContainer): void {
  c.ports = [];
}

/** As the Docker engine lists them. */
export const listed = ({ ip, port, protocol, inside }: TakenPort) => ({
  IP: ip,
  PrivatePort: inside,
  PublicPort: port,
  Type: protocol,
});
