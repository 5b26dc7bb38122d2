/** The Docker engine that runs the lab's hosts: the machine's own, or one started here. */
import { spawn } from 'node:child_process';
import { existsSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { closeNetwork, openNetwork } from './engine-network.ts';
import { shareLock, withLockSoon } from './lock.ts';
import { ensurePrograms } from './packages.ts';
import { type RunOptions, run, until } from './run.ts';

/** Everything the lab keeps on this machine, and nothing else. */
export const LAB_DIR = process.env.FAIRLEAD_LAB_DIR ?? '/var/lib/fairlead-lab';
const SOCKET = path.join(LAB_DIR, 'docker.sock');
const PID_FILE = path.join(LAB_DIR, 'dockerd.pid');
const EXEC_ROOT = path.join(LAB_DIR, 'exec');
/** Lock that every process shares which works with the lab's engine. */
const USE = path.join(LAB_DIR, 'use.lock');

/** Label of all hosts and networks of labs. */
export const LAB_LABEL = 'fairlead-lab';
/** Label of the hosts of a lab that is in use although no process of ours runs. */
export const KEPT_LABEL = 'fairlead-lab.kept';

export type Docker = (args: readonly string[], options?: RunOptions) => ReturnType<typeof run>;

/** Arguments with which docker(1) reaches the lab's own engine. */
const OWN = ['-H', `unix://${SOCKET}`];
const on =
  (flags: readonly string[]): Docker =>
  (args, options) =>
    run(['docker', ...flags, ...args], options);
const answers = async (docker: Docker): Promise<boolean> =>
  docker(['version', '--format', '{{.Server.Version}}'], { timeoutMs: 10_000 }).then(
    () => true,
    () => false,
  );

/**
 * Returns a `docker` command bound to an engine that runs. Starts one, as root, if the machine has none. No process stops an
 * engine of the lab while a process that requested it lives.
 */
export async function ensureEngine(log: (line: string) => void): Promise<Docker> {
  const own = on(OWN);
  if (process.getuid?.() === 0) {
    await shareLock(USE);
    allowWatchers();
  }
  const found = await findEngine();
  if (found) return found;
  if (process.getuid?.() !== 0)
    throw new Error('the lab needs a Docker engine, or root to start one; `npm run demo -- --light` needs neither');
  await ensurePrograms(NEEDS, log);
  log('starting a Docker engine for the lab');
  if (engineRuns()) {
    // Another process starts it, or it is about to end.
    await until(
      'the Docker engine of the lab to answer or to end',
      60_000,
      async () => !engineRuns() || (await answers(own)),
    );
    if (engineRuns()) return own;
  }
  await clearAfterKilled();
  const output = openSync(path.join(LAB_DIR, 'dockerd.log'), 'a');
  const flags = {
    'data-root': path.join(LAB_DIR, 'docker'),
    'exec-root': EXEC_ROOT,
    host: `unix://${SOCKET}`,
    pidfile: PID_FILE,
    ...(await openNetwork(LAB_DIR)),
  };
  const argv = Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`);
  spawn('dockerd', argv, { detached: true, stdio: ['ignore', output, output] }).unref();
  await until('the Docker engine of the lab to answer', 60_000, () => answers(own));
  return own;
}

/** Enough for dozens of hosts, each of which has about eight. */
const WATCHERS = 1_024;

/**
 * systemd, Docker engine and agent of all hosts use inotify as one user of this machine, who may have 128 instances (inotify(7)):
 * as many as four files with three hosts each have. With one more, an agent watches nothing.
 */
function allowWatchers(): void {
  const limit = '/proc/sys/fs/inotify/max_user_instances';
  try {
    if (Number(readFileSync(limit, 'utf8')) < WATCHERS) writeFileSync(limit, String(WATCHERS));
  } catch {
    // A machine that forbids setting it keeps its value.
  }
}

/** @returns the arguments with which docker(1) reaches the lab's own engine, or else the machine's; null if neither runs */
export async function engineFlags(): Promise<readonly string[] | null> {
  if (existsSync(SOCKET) && (await answers(on(OWN)))) return OWN;
  return (await answers(on([]))) ? [] : null;
}

/** @returns the engine that labs would run on, if one runs */
export async function findEngine(): Promise<Docker | null> {
  const flags = await engineFlags();
  return flags && on(flags);
}

/**
 * Removes the traces of a killed engine: its containerd and shims, their mounts, and files whose process id may belong to another
 * process by now.
 */
async function clearAfterKilled(): Promise<void> {
  const isLeft = (pid: string) => commandOf(pid).startsWith('containerd') && argumentsOf(pid).includes(`${EXEC_ROOT}/`);
  const left = () => readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && isLeft(pid));
  // A container would outlive its shim.
  for (const pid of left()) for (const each of [...childrenOf(pid), pid]) kill(Number(each));
  await until('the processes of a killed engine to end', 30_000, async () => left().length === 0);
  await unmountBelow(EXEC_ROOT);
  for (const file of [PID_FILE, SOCKET, EXEC_ROOT]) rmSync(file, { recursive: true, force: true });
}

/** Unmounts everything below a directory, so that removing the directory removes nothing else. */
export async function unmountBelow(dir: string): Promise<void> {
  const mounts = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '');
  // A later mount may be on top of an earlier one.
  for (const at of mounts.filter((at) => at.startsWith(`${dir}/`)).reverse()) await run(['umount', '-l', at]);
}

const childrenOf = (pid: string): string[] => procFile(pid, `task/${pid}/children`).split(' ').filter(Boolean);

/** Both are empty for a process that is gone; each argument is followed by NUL (proc_pid_cmdline(5)). */
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

/**
 * Stops the engine that `ensureEngine` started, and removes the rest of its hosts and networks; leaves any other engine alone.
 * @returns `stopped`; `none` if it does not run; `used` if another process works with it or a lab is kept on it (`up`)
 */
export async function stopEngine(): Promise<'stopped' | 'none' | 'used'> {
  const pid = enginePid();
  if (pid === null) return 'none';
  const done = await withLockSoon(USE, async () => {
    const docker = on(OWN);
    const kept = await docker(['ps', '-aq', '--filter', `label=${KEPT_LABEL}`]);
    if (kept.stdout.trim() !== '') return 'used';
    await removeLeftovers(docker);
    await endProcess(pid);
    await closeNetwork(LAB_DIR);
    return 'stopped';
  });
  return done ?? 'used';
}

/** Traces of the lab of a killed process: nobody works with it, otherwise the lock would not be free. */
async function removeLeftovers(docker: Docker): Promise<void> {
  const idsOf = async (...list: string[]) =>
    (await docker([...list, '--filter', `label=${LAB_LABEL}`])).stdout.split('\n').filter(Boolean);
  const hosts = await idsOf('ps', '-aq');
  if (hosts.length > 0) await docker(['rm', '-fv', ...hosts]);
  const networks = await idsOf('network', 'ls', '-q');
  if (networks.length > 0) await docker(['network', 'rm', ...networks]);
}

async function endProcess(pid: number): Promise<void> {
  try {
    process.kill(pid, 'SIGTERM');
  } catch {
    return;
  }
  await until('the Docker engine of the lab to stop', 60_000, async () => !existsSync(`/proc/${pid}`));
}

/** Debian packages that the lab needs. */
const NEEDS = {
  dockerd: 'docker.io',
  iptables: 'iptables',
  ip: 'iproute2',
  debootstrap: 'debootstrap',
  busybox: 'busybox-static',
};
