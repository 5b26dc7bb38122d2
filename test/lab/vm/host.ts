/** A host of the lab that is a virtual machine: its own kernel, cgroup v2, and a disk that forgets what was not synced. */

import { spawn } from 'node:child_process';
import { mkdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { LabHost } from '../host.ts';
import { takeLock } from '../lock.ts';
import { type ExecOptions, run, until } from '../run.ts';
import { ensureMachine, type Image, VM_DIR } from './image.ts';
import { createPort } from './port.ts';
import { type Qemu, startQemu } from './qemu.ts';
import { CONTAINERD, DATA_BYTES, MOUNT } from './recipe.ts';
import { execIn } from './shell.ts';

/** Everything is slower without hardware help, and more so on a busy machine. */
const BOOT_MS = 900_000;
const ANSWER_MS = 120_000;
/** Copied only if size or time differ: the agent's node is in the image. */
const LARGE_BYTES = 16 << 20;

export interface VirtualHost extends LabHost {
  /** Power cut: qemu is killed, with all that lies in the machine's memory. The second disk stays. */
  powerOff(): Promise<void>;
  /** Boots: minutes. */
  powerOn(): Promise<void>;
  /**
   * The short way after a power cut: goes on from the saved state with the second disk as the cut left it (KEPT in recipe.ts), mounts
   * it, and does not start anything.
   */
  resume(): Promise<void>;
  /** What a boot starts: Docker, and what is enabled. */
  startAll(): Promise<void>;
  /** Bytes that the machine wrote to the second disk since it was started. */
  writtenBytes(): Promise<number>;
  qemu(): Qemu;
}

export interface VirtualHostOptions {
  name: string;
  /** Unique on this machine; also the name of its directory. */
  container: string;
  /** Whether Docker makes firewall rules. */
  firewall: boolean;
  /** Names that the machine finds in /etc/hosts, with their addresses. */
  names(): Promise<Record<string, string>>;
  log(line: string): void;
}

export interface NewVirtualHost {
  host: VirtualHost;
  /** Makes its disk, resumes the saved machine and starts Docker. */
  start(): Promise<void>;
  remove(): Promise<void>;
}

export function createVirtualHost({ name, container, firewall, names, log }: VirtualHostOptions): NewVirtualHost {
  const dir = path.join(VM_DIR, 'run', container);
  const data = path.join(dir, 'data.raw');
  const root = path.join(dir, 'root.qcow2');
  let image: Image | null = null;
  let qemu: Qemu | null = null;
  let port = 0;
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
      ...(state === 'saved' ? { state: from.state } : { state: null, memory: null, kernel: 'lab.data' }),
    });
    await until(`${name} to answer`, state === 'saved' ? ANSWER_MS : BOOT_MS, async () => {
      await exec(['true'], { timeoutMs: 30_000 });
      return true;
    });
  };
  const introduce = async () => {
    const lines = Object.entries({ localhost: '127.0.0.1', [name]: '127.0.1.1', ...(await names()) });
    const hosts = lines.map(([each, address]) => `${address} ${each}\n`).join('');
    // The saved machine's clock stopped when it was saved.
    await sh(
      `date -s @${(Date.now() / 1000).toFixed(3)} > /dev/null; cat > /etc/hosts; hostname ${name}; echo ${name} > /etc/hostname`,
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
    rmSync(root, { force: true });
    rmSync(path.join(dir, 'qmp.sock'), { force: true });
    await run(['qemu-img', 'create', '-q', '-f', 'qcow2', '-b', from.root, '-F', 'raw', root]);
    await begin('saved');
    // What the saved machine knows of the disk is of another one.
    await sh(
      'blockdev --flushbufs /dev/vdb; f=/usr/local/lib/lab-mount; cat > $f; chmod 755 $f; sync -f $f; exec $f /dev/vdb',
      { input: MOUNT },
    );
    await introduce();
    await exec(['systemctl', 'daemon-reload']);
  };

  const host: VirtualHost = {
    name,
    container,
    exec,
    sh,
    async write(file, content, mode = '0644') {
      await exec(['sh', '-ec', 'mkdir -p "$(dirname "$1")"; cat > "$1"; chmod "$2" "$1"', 'sh', file, mode], {
        input: content,
      });
    },
    async copyIn(local, remote) {
      const stat = statSync(local);
      if (stat.isFile() && stat.size >= LARGE_BYTES) {
        const { stdout } = await exec(['stat', '-L', '-c', '%s', remote], { check: false });
        if (Number(stdout) === stat.size) return;
      }
      // As `docker cp`: a directory's content if the path ends in `/.`, else under the new name.
      const isContent = local.endsWith('/.');
      const from = isContent ? local : path.dirname(local);
      const tar = spawn('tar', ['-C', from, '-c', isContent ? '.' : path.basename(local)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const script = isContent
        ? 'mkdir -p "$1"; tar -C "$1" --no-same-owner -x'
        : 'if [ -d "$1" ]; then exec tar -C "$1" --no-same-owner -x; fi; d=$(mktemp -d "$(dirname "$1")/.copy.XXXXXX"); tar -C "$d" --no-same-owner -x; mv -T "$d/$2" "$1"; rmdir "$d"';
      await exec(['sh', '-ec', script, 'sh', remote, path.basename(local)], { stream: tar.stdout });
    },
    async disconnect() {
      await running().command('set_link', { name: 'nic', up: false });
    },
    async connect() {
      await running().command('set_link', { name: 'nic', up: true });
    },
    async powerOff() {
      await running().kill();
      qemu = null;
    },
    async powerOn() {
      rmSync(path.join(dir, 'qmp.sock'), { force: true });
      await begin('boot');
      await introduce();
      await host.booted();
    },
    async freeze() {
      await running().command('stop');
    },
    async thaw() {
      await running().command('cont');
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
      await until(`${name} to boot`, BOOT_MS, async () =>
        /^(running|degraded)/.test((await exec(['systemctl', 'is-system-running'], { check: false })).stdout),
      );
      await until(
        `the Docker engine of ${name}`,
        BOOT_MS,
        async () => (await exec(['docker', 'info'], { check: false })).code === 0,
      );
    },
    resume,
    async startAll() {
      // A target that is up already pulls in its own units only.
      await exec(['systemctl', 'start', '--no-block', 'multi-user.target', 'sockets.target', 'timers.target']);
    },
    async writtenBytes() {
      interface Block {
        qdev: string;
        stats: { wr_bytes: number };
      }
      const all = await running().command<Block[]>('query-blockstats');
      return all.find((block) => block.qdev.includes('data-disk'))?.stats.wr_bytes ?? 0;
    },
    qemu: running,
  };
  return {
    host,
    async start() {
      await saved();
      // Two of them side by side starve each other, and all that runs beside them.
      release = await takeLock(path.join(VM_DIR, 'turn.lock'));
      await makeDisk();
      await resume();
      await host.write('/etc/containerd/config.toml', CONTAINERD);
      if (!firewall) await host.sh(`sed -i 's/^{/{"iptables": false, "ip6tables": false, /' /etc/docker/daemon.json`);
      await exec(['systemctl', 'start', 'docker.service'], { timeoutMs: BOOT_MS });
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
