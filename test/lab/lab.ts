/** A small fleet on this machine: hosts with systemd and Docker, and an infra host, on one network. See README.md. */
import { type Docker, ensureEngine } from './engine.ts';
import { createHost, type HostOptions, type LabHost } from './host.ts';
import { ensureImage } from './image.ts';
import { createInfra, type Infra } from './infra.ts';
import type { Flavour } from './recipe.ts';

export type { LabHost } from './host.ts';
export type { FleetRepo, Infra } from './infra.ts';
export { until } from './run.ts';

export interface LabOptions {
  /** Labs of different names live side by side; one left over under this name is removed first. */
  name: string;
  hosts: readonly { name: string; flavour?: Flavour }[];
  log?: (line: string) => void;
}

export interface Lab {
  host(name: string): LabHost;
  infra: Infra;
  stop(): Promise<void>;
}

/** Every capability that a container can be given here; systemd and an inner engine need most of them. */
const WITHHELD = ['SYS_RESOURCE', 'BPF', 'PERFMON', 'CHECKPOINT_RESTORE'];
const CAPABILITIES =
  'AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF CHECKPOINT_RESTORE CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN NET_BIND_SERVICE NET_BROADCAST NET_RAW PERFMON SETFCAP SETGID SETPCAP SETUID SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG SYSLOG WAKE_ALARM'
    .split(' ')
    .filter((c) => !WITHHELD.includes(c));

/** Of this machine's checkouts each may have a lab of its own under one name: `FAIRLEAD_LAB` tells them apart. */
const labName = (lab: string): string =>
  `fairlead-lab-${process.env.FAIRLEAD_LAB ? `${process.env.FAIRLEAD_LAB}.` : ''}${lab}`;
export const labContainer = (lab: string, host: string): string => `${labName(lab)}-${host}`;

/** Boots the lab and waits until every host is up and every service of infra answers. */
export async function startLab({ name, hosts, log = () => undefined }: LabOptions): Promise<Lab> {
  const docker = await ensureEngine(log);
  const flavours = new Set<Flavour>(['debian13', ...hosts.map((h) => h.flavour ?? 'debian13')]);
  const images = new Map<Flavour, string>();
  for (const flavour of flavours) images.set(flavour, await ensureImage(docker, flavour, log));
  await removeLab(docker, name);

  const network = labName(name);
  await createNetwork(docker, network);
  const optionsOf = (host: string): HostOptions => ({
    docker,
    name: host,
    container: labContainer(name, host),
    network,
  });
  const infra = createInfra(optionsOf('infra'));
  const all = new Map<string, LabHost>(hosts.map((h) => [h.name, createHost(optionsOf(h.name))]));
  log(`booting ${[...all.keys(), 'infra'].join(', ')}`);
  await Promise.all(
    [{ name: 'infra' }, ...hosts].map((h) =>
      boot(docker, optionsOf(h.name), images.get(('flavour' in h && h.flavour) || 'debian13') ?? ''),
    ),
  );
  await Promise.all([infra, ...all.values()].map((h) => h.booted()));
  return {
    infra,
    host(wanted) {
      const found = all.get(wanted);
      if (!found) throw new Error(`the lab has no host ${wanted}`);
      return found;
    },
    stop: () => removeLab(docker, name),
  };
}

async function boot(docker: Docker, { name, container, network }: HostOptions, image: string): Promise<void> {
  const security = ['seccomp=unconfined', 'apparmor=unconfined', 'systempaths=unconfined'].flatMap((o) => [
    '--security-opt',
    o,
  ]);
  const tmpfs = ['/run', '/run/lock', '/tmp'].flatMap((dir) => ['--tmpfs', `${dir}:exec`]);
  await docker([
    ...[
      'run',
      '-d',
      '--name',
      container,
      '--hostname',
      name,
      '--network',
      network,
      '--network-alias',
      name,
      '--label',
      'fairlead-lab',
    ],
    ...CAPABILITIES.map((c) => `--cap-add=${c}`),
    ...[...security, '--device-cgroup-rule', 'a *:* rwm', '--cgroupns=private', ...tmpfs, '-v', '/var/lib/docker'],
    ...['--stop-signal', 'SIGKILL', image, '/host-init'],
  ]);
}

/** The first of the lab's own /24 networks that is free. */
async function createNetwork(docker: Docker, network: string): Promise<void> {
  for (let n = 0; ; n++) {
    const made = await docker(
      ['network', 'create', '--subnet', `172.30.${n}.0/24`, '--label', 'fairlead-lab', network],
      { check: n >= 250 },
    );
    if (made.code === 0) return;
  }
}

/** Removes all that belongs to the lab of this name: hosts, their disks, the network. */
export async function removeLab(docker: Docker, name: string): Promise<void> {
  const { stdout } = await docker(['ps', '-aq', '--filter', `name=^${labName(name)}-`]);
  const ids = stdout.split('\n').filter(Boolean);
  if (ids.length > 0) await docker(['rm', '-fv', ...ids]);
  await docker(['network', 'rm', labName(name)], { check: false });
}
