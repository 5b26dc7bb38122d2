/** One qemu process: started, controlled over its socket (QMP), and killed. */
import { spawn } from 'node:child_process';
import { existsSync, openSync, readFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { until } from '../run.ts';
import { KERNEL, MEMORY_MB } from './recipe.ts';

/** Limit of patience for each answer of qemu itself: it does not wait for the guest. */
const ANSWER_MS = 60_000;

export interface QemuOptions {
  /** Directory of the image: kernel, initrd, memory of the saved state. */
  image: string;
  /** Directory of this machine: its socket and its console. */
  dir: string;
  root: { file: string; format: 'raw' | 'qcow2' };
  data: string;
  /**
   * `write`: the memory is that file, for the state that is saved. `copy`: it starts as a copy of that file, which stays
   * unchanged.
   */
  memory: { file: string; use: 'write' | 'copy' } | null;
  /** The saved state to continue from, instead of a boot. */
  state: string | null;
  /** Further parameters of the kernel. */
  kernel?: string;
  /** Loopback port of the guest's agent. */
  port: number;
}

export interface Qemu {
  readonly pid: number;
  /** A command of the QEMU Machine Protocol. @returns its `return` */
  command<T = unknown>(name: string, args?: Record<string, unknown>): Promise<T>;
  /** Processor time that it has used, in seconds. */
  processorS(): number;
  /** Ends it at once, with everything that the guest has not written: a power cut. */
  kill(): Promise<void>;
}

function argumentsOf({ image, dir, root, data, memory, state, kernel = '', port }: QemuOptions): string[] {
  const disk = (id: string, file: string, format: string, cache: string) => [
    ...['-drive', `if=none,id=${id},file=${file},format=${format},cache=${cache},discard=unmap`],
    ...['-device', `virtio-blk-pci,drive=${id},id=${id}-disk`],
  ];
  const share = memory?.use === 'write' ? 'on' : 'off';
  return [
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-cpu', 'max', '-smp', '2', '-m', String(MEMORY_MB)],
    ...['-machine', `pc${memory ? ',memory-backend=ram' : ''}`, '-accel', 'tcg,thread=multi,tb-size=256'],
    ...(memory
      ? ['-object', `memory-backend-file,id=ram,size=${MEMORY_MB}M,mem-path=${memory.file},share=${share}`]
      : []),
    ...['-kernel', path.join(image, 'vmlinuz'), '-initrd', path.join(image, 'initrd.img')],
    ...['-append', `${KERNEL} ${kernel}`.trim()],
    // Nothing is lost when the process is killed: data that the guest wrote is in this machine's kernel then.
    ...disk('root', root.file, root.format, root.format === 'raw' ? 'unsafe' : 'writeback'),
    ...disk('data', data, 'raw', 'unsafe'),
    ...['-netdev', 'user,id=lab', '-device', 'virtio-net-pci,netdev=lab,id=nic'],
    ...['-netdev', `user,id=commands,net=10.0.3.0/24,restrict=on,hostfwd=tcp:127.0.0.1:${port}-10.0.3.15:1022`],
    ...['-device', 'virtio-net-pci,netdev=commands'],
    ...['-serial', `file:${path.join(dir, 'console.log')}`],
    ...['-qmp', `unix:${path.join(dir, 'qmp.sock')},server=on,wait=off`],
    ...(state === null ? [] : ['-incoming', 'defer']),
  ];
}

/** Starts qemu, and continues from the saved state if there is one. */
export async function startQemu(options: QemuOptions): Promise<Qemu> {
  const log = openSync(path.join(options.dir, 'qemu.log'), 'a');
  // If the suite is killed, its machines end as well.
  const argv = ['--pdeathsig', 'KILL', 'qemu-system-x86_64', ...argumentsOf(options)];
  const child = spawn('setpriv', argv, { stdio: ['ignore', log, log] });
  const ended = new Promise<void>((resolve) => {
    child.on('error', () => resolve());
    child.on('close', () => resolve());
  });
  const socket = path.join(options.dir, 'qmp.sock');
  const qmp = await until('qemu to start', 60_000, async () => {
    if (child.exitCode !== null) throw new Error(`qemu ended with exit ${child.exitCode}; see ${options.dir}/qemu.log`);
    return existsSync(socket) ? connect(socket) : undefined;
  });
  await qmp.command('qmp_capabilities');
  if (options.state !== null) {
    await shareMemory(qmp.command);
    await qmp.command('migrate-incoming', { uri: `exec:cat ${options.state}` });
    await migrated(qmp.command);
    await until('the machine to run', 60_000, async () => {
      const { status } = await qmp.command<{ status: string }>('query-status');
      if (status === 'paused') await qmp.command('cont');
      return status === 'running';
    });
  }
  return {
    pid: child.pid ?? 0,
    command: qmp.command,
    processorS: () => processorS(child.pid ?? 0),
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** Ticks in a second, and the index of utime behind the name in parentheses, which may contain spaces: proc_pid_stat(5). */
const TICKS = 100;
const UTIME = 11;
function processorS(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const [user, system] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(UTIME);
  return (Number(user) + Number(system)) / TICKS;
}

type Command = Qemu['command'];

/** The memory is a file, and not part of the state: so continuing takes a second, and pages are read on demand. */
const shareMemory = (command: Command) =>
  command('migrate-set-capabilities', { capabilities: [{ capability: 'x-ignore-shared', state: true }] });

const migrated = (command: Command) =>
  until('the state to be transferred', 300_000, async () => {
    const { status } = await command<{ status?: string }>('query-migrate');
    if (status === 'failed') throw new Error('qemu could not transfer the state');
    return status === 'completed';
  });

/** Stops the machine and writes its state; the process cannot be used afterwards. */
export async function saveState({ command }: Qemu, file: string): Promise<void> {
  await command('stop');
  await shareMemory(command);
  await command('migrate', { uri: `exec:cat > ${file}` });
  await migrated(command);
}

interface Answer {
  return?: unknown;
  error?: { desc: string };
}

/** One command at a time, because they are answered in order; events in between are ignored. */
async function connect(file: string): Promise<{ command: Command }> {
  const socket = net.connect(file);
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  const waiting: { resolve(value: unknown): void; reject(error: Error): void }[] = [];
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk.toString();
    const lines = text.split('\n');
    text = lines.pop() ?? '';
    for (const line of lines) {
      const answer = JSON.parse(line) as Answer;
      if (answer.error) waiting.shift()?.reject(new Error(`qemu: ${answer.error.desc}`));
      else if ('return' in answer) waiting.shift()?.resolve(answer.return);
    }
  });
  const hangUp = () => {
    for (const { reject } of waiting.splice(0)) reject(new Error('qemu hung up'));
  };
  socket.on('error', hangUp);
  socket.on('close', hangUp);
  return {
    command: <T>(name: string, args: Record<string, unknown> = {}) =>
      new Promise<T>((resolve, reject) => {
        // One that is late keeps its place, because the answers have no other order.
        const isLate = () => reject(new Error(`qemu did not answer ${name} within ${ANSWER_MS / 1_000} s`));
        const timer = setTimeout(isLate, ANSWER_MS);
        const answered = <A>(then: (answer: A) => void) => {
          return (answer: A) => {
            clearTimeout(timer);
            then(answer);
          };
        };
        waiting.push({ resolve: answered((value: unknown) => resolve(value as T)), reject: answered(reject) });
        socket.write(`${JSON.stringify({ execute: name, arguments: args })}\n`);
      }),
  };
}
