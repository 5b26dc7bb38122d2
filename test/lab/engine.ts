/** The Docker engine that the lab's hosts run on: the machine's own, or one started here. */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { ensurePrograms } from './packages.ts';
import { run, until } from './run.ts';

/** Everything the lab keeps on this machine, and nothing else. */
export const LAB_DIR = process.env.FAIRLEAD_LAB_DIR ?? '/var/lib/fairlead-lab';
const SOCKET = path.join(LAB_DIR, 'docker.sock');
const PID_FILE = path.join(LAB_DIR, 'dockerd.pid');
const EXEC_ROOT = path.join(LAB_DIR, 'exec');

export type Docker = (args: readonly string[], options?: Parameters<typeof run>[1]) => ReturnType<typeof run>;

const on =
  (socket: string | null): Docker =>
  (args, options) =>
    run(['docker', ...(socket ? ['-H', `unix://${socket}`] : []), ...args], options);
const answers = async (docker: Docker): Promise<boolean> =>
  docker(['version', '--format', '{{.Server.Version}}'], { timeoutMs: 10_000 }).then(
    () => true,
    () => false,
  );

/** Answers a `docker` command bound to an engine that runs. Starts one, as root, where the machine has none. */
export async function ensureEngine(log: (line: string) => void): Promise<Docker> {
  const own = on(SOCKET);
  if (existsSync(SOCKET) && (await answers(own))) return own;
  const machine = on(null);
  if (await answers(machine)) return machine;
  if (process.getuid?.() !== 0)
    throw new Error('the lab needs a Docker engine, or root to start one; `npm run demo -- --light` needs neither');
  await ensurePrograms(NEEDS, log);
  log('starting a Docker engine for the lab');
  mkdirSync(LAB_DIR, { recursive: true });
  if (engineRuns()) {
    // It starts for somebody else, or is about to end.
    await until(
      'the Docker engine of the lab to answer or to end',
      60_000,
      async () => !engineRuns() || (await answers(own)),
    );
    if (engineRuns()) return own;
  }
  await clearAfterKilled();
  const output = openSync(path.join(LAB_DIR, 'dockerd.log'), 'a');
  const flags = [
    '--data-root',
    path.join(LAB_DIR, 'docker'),
    '--exec-root',
    EXEC_ROOT,
    '-H',
    `unix://${SOCKET}`,
    '--pidfile',
    PID_FILE,
  ];
  spawn('dockerd', [...flags, '--bip', '172.30.255.1/24', '--insecure-registry', '127.0.0.0/8'], {
    detached: true,
    stdio: ['ignore', output, output],
  }).unref();
  await until('the Docker engine of the lab to answer', 60_000, () => answers(own));
  return own;
}

/**
 * Removes what an engine that was killed left behind: its containerd and shims, what they mounted, and files whose
 * process id may be another process's by now.
 */
async function clearAfterKilled(): Promise<void> {
  const isLeft = (pid: string) => commandOf(pid).startsWith('containerd') && argumentsOf(pid).includes(`${EXEC_ROOT}/`);
  const left = () => readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && isLeft(pid));
  // A container would outlive its shim.
  for (const pid of left()) for (const each of [...childrenOf(pid), pid]) kill(Number(each));
  await until('the processes of an engine that was killed to end', 30_000, async () => left().length === 0);
  const mounts = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '');
  // What was mounted last may lie on what was mounted before.
  for (const at of mounts.filter((at) => at.startsWith(`${EXEC_ROOT}/`)).reverse()) await run(['umount', '-l', at]);
  for (const file of [PID_FILE, SOCKET, EXEC_ROOT]) rmSync(file, { recursive: true, force: true });
}

const childrenOf = (pid: string): string[] => procFile(pid, `task/${pid}/children`).split(' ').filter(Boolean);

/** Empty for a process that is gone, both; the arguments are each followed by NUL (proc_pid_cmdline(5)). */
const commandOf = (pid: string): string => procFile(pid, 'comm');
const argumentsOf = (pid: string): string => procFile(pid, 'cmdline');

function procFile(pid: string, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch {
    return '';
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended by itself.
  }
}

/** Process id of the engine that `ensureEngine` started, while it runs. */
function enginePid(): number | null {
  if (!existsSync(PID_FILE)) return null;
  const pid = Number(readFileSync(PID_FILE, 'utf8'));
  const comm = `/proc/${pid}/comm`;
  return existsSync(comm) && readFileSync(comm, 'utf8').trim() === 'dockerd' ? pid : null;
}

export const engineRuns = (): boolean => enginePid() !== null;

/** Stops the engine that `ensureEngine` started; leaves any other alone. */
export async function stopEngine(): Promise<void> {
  const pid = enginePid();
  if (pid === null) return;
  try {
    process.kill(pid, 'SIGTERM');
  } catch {
    return;
  }
  await until('the Docker engine of the lab to stop', 60_000, async () => !existsSync(`/proc/${pid}`));
}

/** What the lab needs of Debian. */
const NEEDS = {
  dockerd: 'docker.io',
  iptables: 'iptables',
  debootstrap: 'debootstrap',
  busybox: 'busybox-static',
};
