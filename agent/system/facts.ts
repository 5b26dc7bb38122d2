import { readFileSync } from 'node:fs';
import os from 'node:os';
import type { Facts as HostFacts, OsName } from '../core/types.ts';

/** Stable facts about the host, as they stand in the status document. */
export interface Facts {
  os: string;
  arch: string;
  kernel: string;
  addresses: string[];
}

/**
 * Reads the facts.
 * @param known the name found before. systeminformation runs several programs to find it, before the first status:
 * it is asked again only when os-release has changed.
 */
export async function readFacts(known: OsName | undefined): Promise<{ facts: Facts; named: OsName }> {
  const release = lines('/etc/os-release').join('\n');
  const named = known?.release === release ? known : { release, name: await osName() };
  const addresses = Object.entries(os.networkInterfaces())
    .filter(([name]) => !/^(lo|docker\d|br-|veth)/.test(name))
    .flatMap(([, list]) => list ?? [])
    .filter((a) => !a.internal && !a.address.startsWith('fe80:'))
    .map((a) => a.address);
  return { facts: { os: named.name, arch: os.arch(), kernel: os.release(), addresses: addresses.sort() }, named };
}

async function osName(): Promise<string> {
  const { default: si } = await import('systeminformation');
  const info = await si.osInfo().catch(() => null);
  return info ? `${info.distro} ${info.release}`.trim() : os.type();
}

/** The facts that templates see (docs/manifests.md): none changes from one run to the next. */
export function readHostFacts(): HostFacts {
  const release = new Map(
    lines('/etc/os-release').map((line): [string, string] => {
      const at = line.indexOf('=');
      return [line.slice(0, at), line.slice(at + 1).replace(/^"|"$/g, '')];
    }),
  );
  const name = (release.get('NAME') ?? os.type()).replace(/ GNU\/Linux$/, '');
  const device = defaultDevice();
  const addresses = device === null ? [] : (os.networkInterfaces()[device] ?? []);
  const primary = (family: string) =>
    addresses.find((a) => a.family === family && !a.address.startsWith('fe80:'))?.address ?? '';
  return {
    os: `${name} ${release.get('VERSION_ID') ?? ''}`.trim(),
    arch: os.arch(),
    cpus: os.cpus().length,
    memory: os.totalmem(),
    machine_id: lines('/etc/machine-id')[0] ?? '',
    ipv4: primary('IPv4'),
    ipv6: primary('IPv6'),
  };
}

/** Name of the interface with the default route: proc_net(5), /proc/net/route. */
function defaultDevice(): string | null {
  const routes = lines('/proc/net/route').map((line) => line.split('\t'));
  return (
    routes.find(([, destination, , , , , , mask]) => destination === '00000000' && mask === '00000000')?.[0] ?? null
  );
}

function lines(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n').filter(Boolean);
  } catch {
    return [];
  }
}
