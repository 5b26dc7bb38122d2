import os from 'node:os';

/** Stable facts about the host, as they stand in the status document. */
export interface Facts {
  os: string;
  arch: string;
  kernel: string;
  addresses: string[];
}

/** Reads the facts. systeminformation is loaded only here, since it is large and needed once. */
export async function readFacts(): Promise<Facts> {
  const { osInfo } = await import('systeminformation');
  const info = await osInfo().catch(() => null);
  const addresses = Object.entries(os.networkInterfaces())
    .filter(([name]) => !/^(lo|docker\d|br-|veth)/.test(name))
    .flatMap(([, list]) => list ?? [])
    .filter((a) => !a.internal && !a.address.startsWith('fe80:'))
    .map((a) => a.address);
  return {
    os: info ? `${info.distro} ${info.release}`.trim() : os.type(),
    arch: os.arch(),
    kernel: os.release(),
    addresses: addresses.sort(),
  };
}
