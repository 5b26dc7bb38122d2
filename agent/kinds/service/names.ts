/** The names that a service provides on its host, and the names that it uses. Pure. */
import type { ServiceSpec } from '../../compose/stack/model.ts';
import type { Named } from '../../core/kind.ts';
import { memberOf } from '../container/fact.ts';

/** Networks that Docker itself has, and no stack creates. */
const OF_THE_ENGINE = ['', 'default', 'bridge', 'host', 'none'];
const ANY_ADDRESS = ['', '0.0.0.0', '::'];

const numbers = ({ replicas }: ServiceSpec): number[] => Array.from({ length: replicas }, (_, i) => i + 1);

/** Its containers by name, and its ports and addresses. */
export function provides(spec: ServiceSpec): string[] {
  const containers = numbers(spec).map((number) => `container:${memberOf(spec, number).containerName}`);
  const ports = spec.ports
    .filter(({ published }) => published !== '' && spec.replicas > 0)
    .map(({ protocol, published }) => `port:${protocol}/${published}`);
  const addresses = spec.networks.flatMap(({ ipv4, ipv6 }) => [ipv4, ipv6].filter((address) => address !== ''));
  return [...new Set([...containers, ...ports, ...addresses.map((address) => `address:${address}`)])];
}

/** Networks, volumes and containers by name, whoever creates them; paths; addresses at which its ports are published. */
export function names(spec: ServiceSpec): Named[] {
  const { networkMode, pidMode, ipcMode, volumesFrom, externalLinks, networks, mounts, ports } = spec;
  const shared = [networkMode, pidMode, ipcMode, ...volumesFrom]
    .filter((mode) => mode.startsWith('container:'))
    .map((mode) => ({ name: mode.split(':', 2).join(':') }));
  const linked = externalLinks.map((link) => ({ name: `container:${link.split(':')[0]}` }));
  const isNetwork = !networkMode.includes(':') && !OF_THE_ENGINE.includes(networkMode);
  const attached = [...networks.map(({ name }) => name), ...(isNetwork ? [networkMode] : [])];
  // A service without containers is attached to nothing.
  const isAttached = spec.replicas > 0 ? { attached: true as const } : {};
  const volumes = mounts.filter((mount) => mount.type === 'volume' && mount.source !== '');
  const binds = mounts.filter((mount) => mount.type === 'bind');
  const addresses = ports.filter(({ hostIp }) => !ANY_ADDRESS.includes(hostIp));
  const slice = spec.engine.host.CgroupParent;
  return [
    ...shared,
    ...linked,
    ...attached.map((name) => ({ name: `network:${name}`, ...isAttached })),
    ...volumes.map(({ source }) => ({ name: `volume:${source}`, ...isAttached })),
    ...binds.map(({ source }) => ({ name: `path:${source}` })),
    ...addresses.map(({ hostIp }) => ({ name: `address:${hostIp}` })),
    ...(typeof slice === 'string' && slice.endsWith('.slice') ? [{ name: `unit:${slice}` }] : []),
  ];
}
