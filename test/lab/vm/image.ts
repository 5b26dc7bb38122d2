/** The virtual machine's disk, kernel and saved state: created once from Debian's packages, and again when the recipe changes. */
import { createHash, randomBytes } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { LAB_DIR } from '../engine.ts';
import { debianMirror } from '../image-build.ts';
import { ensurePrograms } from '../packages.ts';
import { run, until } from '../run.ts';
import { createPort } from './port.ts';
import { saveState, startQemu } from './qemu.ts';
import {
  DATA_BYTES,
  ENABLED,
  FILES,
  INITRD_INIT,
  KERNEL,
  MASKED,
  MEMORY_MB,
  PACKAGES,
  ROOT_SIZE,
  SUITE,
} from './recipe.ts';
import { execIn } from './shell.ts';

/** Program → package. */
const NEEDS = {
  'qemu-system-x86_64': 'qemu-system-x86',
  'qemu-img': 'qemu-utils',
  'mkfs.ext4': 'e2fsprogs',
  debootstrap: 'debootstrap',
  busybox: 'busybox-static',
};
export const VM_DIR = path.join(LAB_DIR, 'vm');
const ROOT = path.join(import.meta.dirname, '../../..');
/** The agent's own node is in the image, because it is large; `copyIn` leaves it alone. */
const NODE = path.join(ROOT, 'node_modules/node/bin/node');

/** A machine that was booted and saved. None of its files change. */
export interface Image {
  dir: string;
  root: string;
  memory: string;
  state: string;
  token: string;
}

const imageAt = (dir: string): Image => ({
  dir,
  root: path.join(dir, 'root.raw'),
  memory: path.join(dir, 'memory'),
  state: path.join(dir, 'state'),
  token: readFileSync(path.join(dir, 'token'), 'utf8').trim(),
});

/** @returns why a virtual machine is impossible here, or null */
export function whyNoMachine(): string | null {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'the virtual machine needs Linux on x86-64';
  if (process.getuid?.() !== 0) return 'the virtual machine needs root, to make its disk';
  return null;
}

async function nameOf(): Promise<string> {
  // Only the qemu that wrote a state can read it.
  const qemu = (await run(['qemu-system-x86_64', '--version'])).stdout;
  const node = statSync(NODE).size;
  const recipe = [
    qemu,
    node,
    PACKAGES,
    FILES,
    MASKED,
    ENABLED,
    INITRD_INIT,
    KERNEL,
    MEMORY_MB,
    ROOT_SIZE,
    DATA_BYTES,
    SUITE,
  ];
  return createHash('sha256').update(JSON.stringify(recipe)).digest('hex').slice(0, 12);
}

/** @returns the saved machine; creates it if it does not exist (minutes). One process at a time does so. */
export async function ensureMachine(log: (line: string) => void): Promise<Image> {
  const why = whyNoMachine();
  if (why !== null) throw new Error(why);
  await ensurePrograms(NEEDS, log);
  const dir = path.join(VM_DIR, await nameOf());
  if (existsSync(dir)) return imageAt(dir);
  // The content of a machine's memory is private.
  mkdirSync(VM_DIR, { recursive: true, mode: 0o700 });
  log('making the virtual machine (once; some minutes)');
  const script = path.join(import.meta.dirname, 'build.ts');
  const made = await run(['flock', path.join(VM_DIR, 'lock'), process.execPath, script], {
    timeoutMs: 3_600_000,
    group: true,
  });
  log(made.stdout.trim().split('\n').join('; '));
  return imageAt(dir);
}

/** Called by build.ts, which holds the lock. */
export async function buildMachine(log: (line: string) => void): Promise<void> {
  const name = await nameOf();
  const dir = path.join(VM_DIR, name);
  if (existsSync(dir)) return;
  const work = path.join(VM_DIR, 'new');
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  writeFileSync(path.join(work, 'token'), `${randomBytes(16).toString('hex')}\n`, { mode: 0o600 });
  await makeDisk(work);
  log('the disk is made');
  await bootAndSave(work);
  log('the machine was booted and saved');
  for (const file of ['console.log', 'qemu.log', 'qmp.sock', 'data.raw'])
    rmSync(path.join(work, file), { force: true });
  // Another checkout may still use the previous recipe.
  const others = readdirSync(VM_DIR).filter((entry) => /^[0-9a-f]{12}$/.test(entry));
  const age = (entry: string) => statSync(path.join(VM_DIR, entry)).mtimeMs;
  const old = others.sort((a, b) => age(b) - age(a)).slice(1);
  for (const entry of old) rmSync(path.join(VM_DIR, entry), { recursive: true, force: true });
  renameSync(work, dir);
}

async function makeDisk(work: string): Promise<void> {
  const tree = path.join(work, 'tree');
  const include = `--include=${PACKAGES.join(',')}`;
  // An older debootstrap does not know the suite's name, but can install it with an older suite's script.
  const script = '/usr/share/debootstrap/scripts/sid';
  await run(['debootstrap', '--variant=minbase', include, SUITE, tree, debianMirror(), script], {
    timeoutMs: 1_800_000,
  });
  for (const [name, content] of Object.entries({
    ...FILES,
    'etc/lab-token': readFileSync(path.join(work, 'token'), 'utf8'),
  })) {
    const file = path.join(tree, name);
    mkdirSync(path.dirname(file), { recursive: true });
    rmSync(file, { force: true });
    writeFileSync(file, content, { mode: content.startsWith('#!') ? 0o755 : 0o644 });
  }
  mkdirSync(path.join(tree, 'data'));
  mkdirSync(path.join(tree, 'usr/lib/fairlead'));
  copyFileSync(NODE, path.join(tree, 'usr/lib/fairlead/node'));
  const systemctl = (...args: string[]) => run(['systemctl', `--root=${tree}`, ...args]);
  await systemctl('mask', ...MASKED);
  await systemctl('enable', ...ENABLED);
  rmSync(path.join(tree, 'var/cache/apt/archives'), { recursive: true, force: true });
  rmSync(path.join(tree, 'var/lib/apt/lists'), { recursive: true, force: true });
  await makeInitrd(work, tree);
  await run(['mkfs.ext4', '-q', '-F', '-d', tree, path.join(work, 'root.raw'), ROOT_SIZE]);
  rmSync(tree, { recursive: true, force: true });
}

/** Debian's own initrd takes a minute without hardware help. */
async function makeInitrd(work: string, tree: string): Promise<void> {
  const [kernel = ''] = readdirSync(path.join(tree, 'lib/modules'));
  copyFileSync(path.join(tree, 'boot', `vmlinuz-${kernel}`), path.join(work, 'vmlinuz'));
  const files = path.join(work, 'initrd');
  for (const each of ['bin', 'dev', 'proc', 'new']) mkdirSync(path.join(files, each), { recursive: true });
  copyFileSync(path.join(tree, 'usr/bin/busybox'), path.join(files, 'bin/busybox'));
  writeFileSync(path.join(files, 'init'), INITRD_INIT, { mode: 0o755 });
  const driver = path.join(tree, 'lib/modules', kernel, 'kernel/drivers/block/virtio_blk.ko.xz');
  await run(
    [
      'sh',
      '-ec',
      'busybox xz -dc "$1" > virtio_blk.ko; find . | busybox cpio -o -H newc > ../initrd.img',
      'sh',
      driver,
    ],
    { cwd: files },
  );
  rmSync(files, { recursive: true });
}

async function bootAndSave(work: string): Promise<void> {
  const data = path.join(work, 'data.raw');
  writeFileSync(data, '');
  truncateSync(data, DATA_BYTES);
  const memory = path.join(work, 'memory');
  const port = await createPort();
  const qemu = await startQemu({
    ...{ image: work, dir: work, data, port, state: null },
    root: { file: path.join(work, 'root.raw'), format: 'raw' },
    memory: { file: memory, use: 'write' },
  });
  try {
    const token = readFileSync(path.join(work, 'token'), 'utf8').trim();
    const sh = (script: string) => execIn({ port, token }, ['sh', '-ec', script], { timeoutMs: 900_000 });
    await until('the virtual machine to boot', 1_800_000, async () =>
      /^(running|degraded)/.test(
        (await execIn({ port, token }, ['systemctl', 'is-system-running'], { check: false, timeoutMs: 60_000 })).stdout,
      ),
    );
    // Every program that a test needs ran once, and is in memory.
    await sh(
      'systemctl start docker.service; docker version; docker compose version; /usr/lib/fairlead/node --version; systemd-notify --version; journalctl -n 1',
    );
    await sh(
      'modprobe dm-mod; modprobe dm-flakey; modprobe overlay; systemctl stop docker.service docker.socket containerd.service; rm -rf /var/lib/docker/* /var/lib/containerd/*; systemctl reset-failed; ip link del docker0 || true; sync; blockdev --flushbufs /dev/vdb',
    );
    await saveState(qemu, path.join(work, 'state'));
  } finally {
    await qemu.kill();
  }
}
