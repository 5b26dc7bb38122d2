/** A small fleet on this machine: hosts with systemd and Docker, and an infra host, on one network. See README.md. */
import os from 'node:os';
import path from 'node:path';
import { STALL_MS } from '../stall-limit.ts';
import { type Docker, ensureEngine, KEPT_LABEL, LAB_DIR, LAB_LABEL } from './engine.ts';
import { freeLabNets } from './engine-network.ts';
import { createHost, type HostOptions, type LabHost } from './host.ts';
import { ensureImage } from './image.ts';
import { createInfra, type Infra } from './infra.ts';
import { shareLock, withLockSoon } from './lock.ts';
import type { Flavour } from './recipe.ts';
import { until } from './run.ts';
import { createVirtualHost, type NewVirtualHost, type VirtualHost } from './vm/host.ts';

export type { LabHost } from './host.ts';
export type { FleetRepo, Infra } from './infra.ts';
export { until };

export interface LabOptions {
  /** Labs of different names run in parallel; one that is left over under this name is removed first. */
  name: string;
  hosts: readonly {
    name: string;
    flavour?: Flavour | 'vm';
    /** Default true. For a virtual machine: whether Docker makes firewall rules, which take most of its start there. */
    firewall?: boolean;
    /**
     * Default true. Whether the host has a Docker engine: without one it boots much faster, a virtual machine by half a minute.
     */
    engine?: boolean;
  }[];
  /**
   * `shared`: one infra host for all labs that only pull images from it; it is booted once, and `lab.infra` must not be changed.
   */
  infra?: 'own' | 'shared';
  /** It outlives this process: the lab's engine is in use until `removeLab`. */
  kept?: boolean;
  log?: (line: string) => void;
}

export interface Lab {
  host(name: string): LabHost;
  /** A host of flavour `vm`, with its special functions. */
  machine(name: string): VirtualHost;
  infra: Infra;
  /** Fails if an agent on one of the hosts blocked its event loop for a second of processor time. */
  stop(): Promise<void>;
}

/**
 * Every capability that a container can be given here; systemd and an inner Docker engine need most of them. SYS_TIME is withheld
 * because there is one clock: a host that sets it sets this machine's, and that of every other lab.
 */
const WITHHELD = ['SYS_RESOURCE', 'BPF', 'PERFMON', 'CHECKPOINT_RESTORE', 'SYS_TIME'];
const CAPABILITIES =
  'AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF CHECKPOINT_RESTORE CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN NET_BIND_SERVICE NET_BROADCAST NET_RAW PERFMON SETFCAP SETGID SETPCAP SETUID SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG SYSLOG WAKE_ALARM'
    .split(' ')
    .filter((c) => !WITHHELD.includes(c));

/** Each of this machine's checkouts may have a lab of its own under one name: `FAIRLEAD_LAB` distinguishes them. */
const labName = (lab: string): string =>
  `fairlead-lab-${process.env.FAIRLEAD_LAB ? `${process.env.FAIRLEAD_LAB}.` : ''}${lab}`;
export const labContainer = (lab: string, host: string): string => `${labName(lab)}-${host}`;

const SHARED = 'shared';
/** Lock that each lab shares which uses the shared infra host: several runs of the suite may do so at the same time. */
const sharedUse = (): string => path.join(process.getuid?.() === 0 ? LAB_DIR : os.tmpdir(), `${labName(SHARED)}.lock`);
/** An empty file in the place of a unit masks it: systemd.unit(5). */
const ENGINE_UNITS = ['docker.service', 'docker.socket', 'containerd.service'];

/** Boots the lab and waits until every host is up and every service of infra answers. */
export async function startLab({
  name,
  hosts,
  infra: kind = 'own',
  kept = false,
  log = () => undefined,
}: LabOptions): Promise<Lab> {
  const docker = await ensureEngine(log);
  const images = new Map<Flavour, string>();
  // One after another: a missing image is built.
  const containers = hosts.flatMap(({ name: host, flavour, engine = true }) =>
    flavour === 'vm' ? [] : [{ name: host, flavour, engine }],
  );
  for (const flavour of new Set<Flavour>(['debian13', ...containers.map((h) => h.flavour ?? 'debian13')]))
    images.set(flavour, await ensureImage(docker, flavour, log));
  const imageOf = (flavour: Flavour = 'debian13') => images.get(flavour) ?? '';
  await removeLab(docker, name);

  const labels = kept ? [LAB_LABEL, KEPT_LABEL] : [LAB_LABEL];
  const network = labName(name);
  await createNetwork(docker, network);
  const optionsOf = (host: string, { lab = name, engine = true } = {}): HostOptions => ({
    docker,
    name: host,
    container: labContainer(lab, host),
    network,
    engine,
  });
  const infra = createInfra(optionsOf('infra', { lab: kind === 'shared' ? SHARED : name }));
  const all = new Map<string, LabHost>(containers.map((h) => [h.name, createHost(optionsOf(h.name, h))]));
  const machines = new Map<string, NewVirtualHost>();
  log(`booting ${[...hosts.map((h) => h.name), 'infra'].join(', ')}`);
  let leaveShared = async () => {};
  const bootInfra = async () => {
    if (kind === 'own') await boot(optionsOf('infra'), imageOf(), labels);
    else {
      leaveShared = await shareLock(sharedUse());
      await bootShared(docker, network, imageOf());
    }
    await infra.booted();
  };
  const bootHost = async ({ name: host, flavour, engine }: (typeof containers)[number]) => {
    await boot(optionsOf(host, { engine }), imageOf(flavour), labels);
    await find(host).booted();
  };
  const find = (wanted: string): LabHost => {
    const found = all.get(wanted);
    if (!found) throw new Error(`the lab has no host ${wanted}`);
    return found;
  };
  const infraUp = bootInfra();
  for (const { name: host, firewall = true, engine = true } of hosts.filter((h) => h.flavour === 'vm')) {
    const { container } = optionsOf(host);
    const names = async () => ({ infra: await infraUp.then(infra.address) });
    const machine = createVirtualHost({ name: host, container, firewall, engine, names, log });
    machines.set(host, machine);
    all.set(host, machine.host);
  }
  await Promise.all([
    infraUp,
    ...containers.map(bootHost),
    ...[...machines.values()].map((machine) => machine.start()),
  ]);
  return {
    infra,
    host: find,
    machine(wanted) {
      const found = machines.get(wanted);
      if (!found) throw new Error(`the lab has no virtual machine ${wanted}`);
      return found.host;
    },
    async stop() {
      await Promise.all([...machines.values()].map((machine) => machine.remove()));
      // A machine without hardware virtualization is so slow that its processor time says nothing.
      for (const host of machines.keys()) all.delete(host);
      const turns = await Promise.all([...all.values()].map(longestTurn));
      await removeLab(docker, name);
      await leaveShared();
      const stalled = turns.filter(({ ms }) => ms >= STALL_MS);
      if (stalled.length > 0)
        throw new Error(`the agent kept its event loop: ${stalled.map((t) => `${t.ms} ms on ${t.host}`).join(', ')}`);
    },
  };
}

/** Processor time of the longest turn of the agent's event loop, as turns.mjs counts it; 0 if none ran, or the host is off. */
async function longestTurn(host: LabHost): Promise<{ host: string; ms: number }> {
  const read = host.exec(['cat', '/run/fairlead-longest-turn'], { check: false, timeoutMs: 5_000 });
  const ms = await read.then(({ stdout }) => Math.round(Number(stdout)) || 0).catch(() => 0);
  return { host: host.name, ms };
}

/**
 * The first caller boots it; it stays until the suite ends (`setup.ts`) and no other run uses it, and is on the network of each lab
 * that requested it.
 */
async function bootShared(docker: Docker, network: string, image: string): Promise<void> {
  const container = labContainer(SHARED, 'infra');
  const runs = async () => {
    const { stdout } = await docker(['inspect', '-f', '{{.State.Running}} {{.Config.Image}}', container], {
      check: false,
    });
    return stdout.trim() === `true ${image}`;
  };
  if (!(await runs())) {
    const made = await createNetwork(docker, labName(SHARED));
    const isOurs = made !== null && (await bootOnce({ docker, name: 'infra', container, network: made }, image));
    // Another file of the suite creates it at this moment.
    if (!isOurs) await until('the shared infra host', 60_000, runs);
  }
  await docker(['network', 'connect', '--alias', 'infra', network, container]);
}

/**
 * The Docker engine lets two concurrent calls create networks of one name, but not containers.
 * @returns false if another process was first; then the network is removed again
 */
async function bootOnce(options: HostOptions, image: string): Promise<boolean> {
  try {
    await boot(options, image, [LAB_LABEL]);
    return true;
  } catch (thrown) {
    if (!/is already in use by container/.test(String(thrown))) throw thrown;
    await options.docker(['network', 'rm', options.network]);
    return false;
  }
}

/** Removes the infra host that labs share, left over or no longer needed. @returns null if a lab still uses it: then it stays */
export const removeShared = (docker: Docker): Promise<number | null> =>
  withLockSoon(sharedUse(), () => removeLab(docker, SHARED));

async function boot(
  { docker, name, container, network, engine = true }: HostOptions,
  image: string,
  labels: readonly string[],
): Promise<void> {
  const security = ['seccomp=unconfined', 'apparmor=unconfined', 'systempaths=unconfined'].flatMap((o) => [
    '--security-opt',
    o,
  ]);
  const tmpfs = ['/run', '/run/lock', '/tmp'].flatMap((dir) => ['--tmpfs', `${dir}:exec`]);
  await docker([
    ...['run', '-d', '--name', container, '--hostname', name, '--network', network, '--network-alias', name],
    ...[...labels, `${NAME_LABEL}=${container.slice(0, -name.length - 1)}`].map((label) => `--label=${label}`),
    ...CAPABILITIES.map((c) => `--cap-add=${c}`),
    ...[...security, '--device-cgroup-rule', 'a *:* rwm', '--cgroupns=private', ...tmpfs, '-v', '/var/lib/docker'],
    ...(engine ? [] : ENGINE_UNITS.flatMap((unit) => ['-v', `/dev/null:/etc/systemd/system/${unit}:ro`])),
    ...['--stop-signal', 'SIGKILL', image, '/host-init'],
  ]);
}

/**
 * Creates a network with the first free one of the lab's own /24 ranges.
 * @returns its id; null if there is a network of this name already
 */
async function createNetwork(docker: Docker, network: string): Promise<string | null> {
  let said = 'this machine has addresses in all of them';
  for (const { subnet, bridge } of await freeLabNets()) {
    const options = ['--subnet', subnet, '--opt', `com.docker.network.bridge.name=${bridge}`, '--label', LAB_LABEL];
    const made = await docker(['network', 'create', ...options, network], { check: false });
    if (made.code === 0) return made.stdout.trim();
    if (made.stderr.includes('already exists')) return null;
    said = made.stderr.trim();
  }
  throw new Error(`no network for ${network}: ${said}`);
}

/** The lab of a host: the name of one lab may be the beginning of another one's. */
const NAME_LABEL = 'fairlead-lab.name';

/** Removes everything of the lab of this name: hosts, their disks, the network. @returns the number of hosts */
export async function removeLab(docker: Docker, name: string): Promise<number> {
  const format = `{{.ID}} {{.Label "${NAME_LABEL}"}}`;
  const { stdout } = await docker(['ps', '-a', '--filter', `name=^${labName(name)}-`, '--format', format]);
  const found = stdout.split('\n').filter(Boolean);
  const ids = found.flatMap((line) => {
    const [id = '', lab = ''] = line.split(' ');
    // A checkout from before the label may have left one.
    return lab === '' || lab === labName(name) ? [id] : [];
  });
  if (ids.length > 0) await docker(['rm', '-fv', ...ids]);
  await docker(['network', 'disconnect', '-f', labName(name), labContainer(SHARED, 'infra')], { check: false });
  await docker(['network', 'rm', labName(name)], { check: false });
  return ids.length;
}
