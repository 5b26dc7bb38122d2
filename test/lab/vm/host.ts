/** A host of the lab that is a virtual machine: its own kernel, cgroup v2, and a disk that loses data without a sync. */

import { mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { LabHost } from '../host.ts';
import { takeLock } from '../lock.ts';
import { type ExecOptions, run, until } from '../run.ts';
import { copyIn } from './copy-in.ts';
import { ensureMachine, type Image, VM_DIR } from './image.ts';
import { createPort } from './port.ts';
import { type Qemu, startQemu } from './qemu.ts';
import { CONTAINERD, DATA_BYTES, MOUNT } from './recipe.ts';
import { execIn } from './shell.ts';

/** Everything is slower without hardware virtualization, and more so on a busy machine. */
const BOOT_MS = 900_000;
const ANSWER_MS = 120_000;
/**
 * Kernel parameters of a real boot: the second disk is mounted, and a fifth of the boot is saved by leaving out what neither
 * Docker nor the agent needs.
 */
const BOOT_WORDS = 'lab.data systemd.mask=systemd-udev-trigger.service systemd.mask=systemd-logind.service';
const secondsSince = (began: number) => Math.round((performance.now() - began) / 1_000);

export interface VirtualHost extends LabHost {
  /** Power cut: qemu is killed, with everything in the machine's memory. The second disk stays. */
  powerOff(): Promise<void>;
  /** Boots, which takes minutes. */
  powerOn(): Promise<void>;
  /**
   * The fast way after a power cut: continues from the saved state with the second disk as the cut left it (KEPT in recipe.ts),
   * mounts it, and starts nothing.
   */
  resume(): Promise<void>;
  /** Starts what a boot starts: Docker, and everything that is enabled. */
  startAll(): Promise<void>;
  /** Traffic to the second disk since the machine was started: bytes, and the number of flushes (fsync). */
  written(): Promise<{ bytes: number; flushes: number }>;
  /** Processor time that the machine has used since it was created, over all its power cuts, in seconds. */
  processorS(): number;
  /** Suspends it to memory, like a laptop whose lid is closed: it and its network stand still until `wake`. */
  suspend(): Promise<void>;
  wake(): Promise<void>;
  qemu(): Qemu;
}

export interface VirtualHostOptions {
  name: string;
  /** Unique on this machine; also the name of its directory. */
  container: string;
  /** Whether Docker makes firewall rules. */
  firewall: boolean;
  /** Whether Docker is started; a boot starts it in any case. */
  engine: boolean;
  /** Names that the machine finds in /etc/hosts, with their addresses. */
  names(): Promise<Record<string, string>>;
  log(line: string): void;
}

export interface NewVirtualHost {
  host: VirtualHost;
  /** Creates its disk, resumes the saved machine and starts Docker if that is requested. */
  start(): Promise<void>;
  remove(): Promise<void>;
}

export function createVirtualHost({
  name,
  container,
  firewall,
  engine,
  names,
  log,
}: VirtualHostOptions): NewVirtualHost {
  const dir = path.join(VM_DIR, 'run', container);
  const data = path.join(dir, 'data.raw');
  const root = path.join(dir, 'root.qcow2');
  let image: Image | null = null;
  let qemu: Qemu | null = null;
  let port = 0;
  /** Of the processes that have ended, in seconds. */
  let usedS = 0;
  let release: (() => Promise<void>) | null = null;
  const running = (): Qemu => {
    if (qemu === null) throw new Error(`${name} is off`);
    return qemu;
  };
  const saved = async () => {
    image ??= await ensureMachine(log);
    return image;
  };
  const exec = async (argv: readonly string[], options: ExecOptions = {}) =>
    execIn({ port, token: (await saved()).token }, argv, options);
  const sh = (script: string, options?: ExecOptions) => exec(['sh', '-ec', script], options);

  const begin = async (state: 'saved' | 'boot') => {
    const from = await saved();
    port = await createPort();
    qemu = await startQemu({
      ...{ image: from.dir, dir, data, port },
      root: { file: root, format: 'qcow2' },
      memory: { file: from.memory, use: 'copy' },
      ...(state === 'saved' ? { state: from.state } : { state: null, memory: null, kernel: BOOT_WORDS }),
    });
    await answers(state === 'saved' ? ANSWER_MS : BOOT_MS);
  };
  const answers = (withinMs: number) =>
    until(`${name} to answer`, withinMs, async () => {
      await exec(['true'], { timeoutMs: 30_000 });
      return true;
    });
  /** @param wanted a state of qemu's (RunState of its QMP reference) */
  const isIn = (wanted: string) =>
    until(`${name} to be ${wanted}`, ANSWER_MS, async () => {
      const { status } = await running().command<{ status: string }>('query-status');
      return status === wanted;
    });
  const introduce = async () => {
    const lines = Object.entries({ localhost: '127.0.0.1', [name]: '127.0.1.1', ...(await names()) });
    const hosts = lines.map(([each, address]) => `${address} ${each}\n`).join('');
    // The saved machine's clock stopped when it was saved.
    await sh(
      `date -s @${(Date.now() / 1000).toFixed(3)} > /dev/null; cat > /etc/hosts; hostname ${name}; echo ${name} > /etc/hostname
sync /etc/hosts /etc/hostname`,
      { input: hosts },
    );
  };
  const makeDisk = async () => {
    rmSync(dir, { recursive: true, force: true });
    mkdirSync(dir, { recursive: true });
    writeFileSync(data, '');
    truncateSync(data, DATA_BYTES);
    await run(['mkfs.ext4', '-q', '-F', '-E', 'lazy_itable_init=0,lazy_journal_init=0', data]);
  };
  const resume = async () => {
    const from = await saved();
    const began = performance.now();
    rmSync(root, { force: true });
    rmSync(path.join(dir, 'qmp.sock'), { force: true });
    await run(['qemu-img', 'create', '-q', '-f', 'qcow2', '-b', from.root, '-F', 'raw', root]);
    await begin('saved');
    // The saved machine has cached another disk.
    await sh(
      'blockdev --flushbufs /dev/vdb; f=/usr/local/lib/lab-mount; cat > $f; chmod 755 $f; sync -f $f; exec $f /dev/vdb',
      { input: MOUNT },
    );
    await introduce();
    // The saved machine has a boot id, which a boot after a cut would not have again.
    await sh('cp /proc/sys/kernel/random/uuid /run/boot-id; mount --bind /run/boot-id /proc/sys/kernel/random/boot_id');
    log(`${name} went on from its saved state in ${secondsSince(began)} s`);
  };

  const host: VirtualHost = {
    name,
    container,
    isEmulated: true,
    exec,
    sh,
    async write(file, content, mode = '0644') {
      await exec(['sh', '-ec', 'mkdir -p "$(dirname "$1")"; cat > "$1"; chmod "$2" "$1"', 'sh', file, mode], {
        input: content,
      });
    },
    copyIn: (local, remote) => copyIn(exec, local, remote),
    async disconnect() {
      await running().command('set_link', { name: 'nic', up: false });
    },
    async connect() {
      await running().command('set_link', { name: 'nic', up: true });
    },
    async powerOff() {
      usedS = host.processorS();
      await running().kill();
      qemu = null;
    },
    async powerOn() {
      const began = performance.now();
      rmSync(path.join(dir, 'qmp.sock'), { force: true });
      await begin('boot');
      await introduce();
      await host.booted();
      log(`${name} booted in ${secondsSince(began)} s`);
    },
    async freeze() {
      await running().command('stop');
    },
    async thaw() {
      await running().command('cont');
    },
    async suspend() {
      // The caller gets an answer first: the command ends before the machine stands still.
      await sh('(sleep 0.5; echo mem > /sys/power/state) > /dev/null 2>&1 &');
      await isIn('suspended');
    },
    async wake() {
      await running().command('system_wakeup');
      await isIn('running');
      await answers(ANSWER_MS);
    },
    async pid() {
      throw new Error(`${name} is a virtual machine: its processes are its own`);
    },
    address: async () => '10.0.2.15',
    async journal(unit) {
      const of = unit ? ['-u', unit] : [];
      return (await exec(['journalctl', '--no-pager', '-o', 'short-precise', ...of, '-n', '500'], { check: false }))
        .stdout;
    },
    async booted() {
      // Polling would take a tenth of the boot's time.
      const wait = ['systemctl', 'is-system-running', '--wait'];
      await until(`${name} to boot`, BOOT_MS, async () =>
        /^(running|degraded)/.test((await exec(wait, { check: false, timeoutMs: BOOT_MS })).stdout),
      );
      await until(
        `the Docker engine of ${name}`,
        BOOT_MS,
        async () => (await exec(['docker', 'info'], { check: false })).code === 0,
      );
    },
    resume,
    async startAll() {
      // systemd knows the units of the saved machine. A target that is already up starts only its own units.
      await exec(['systemctl', 'daemon-reload']);
      await exec(['systemctl', 'start', '--no-block', 'multi-user.target', 'sockets.target', 'timers.target']);
    },
    async written() {
      interface Block {
        qdev: string;
        stats: { wr_bytes: number; flush_operations: number };
      }
      const all = await running().command<Block[]>('query-blockstats');
      const stats = all.find((block) => block.qdev.includes('data-disk'))?.stats;
      return { bytes: stats?.wr_bytes ?? 0, flushes: stats?.flush_operations ?? 0 };
    },
    processorS: () => usedS + (qemu?.processorS() ?? 0),
    qemu: running,
  };
  return {
    host,
    async start() {
      await saved();
      // Two machines in parallel starve each other, and everything beside them.
      release = await takeLock(path.join(VM_DIR, 'turn.lock'));
      await makeDisk();
      await resume();
      await host.write('/etc/containerd/config.toml', CONTAINERD);
      if (!firewall) await host.sh(`sed -i 's/^{/{"iptables": false, "ip6tables": false, /' /etc/docker/daemon.json`);
      // The engine needs both after a power cut.
      await host.sh('sync -f /data');
      if (engine) await exec(['systemctl', 'start', 'docker.service'], { timeoutMs: BOOT_MS });
    },
    async remove() {
      await qemu?.kill();
      qemu = null;
      rmSync(dir, { recursive: true, force: true });
      await release?.();
      release = null;
    },
  };
}
