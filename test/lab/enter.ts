/**
 * Commands on a lab host without the Docker engine in between: the namespaces and control groups of the host's init are entered
 * (nsenter(1)). That takes 4 ms and one process instead of the 60 ms and the many processes of `docker exec`, on which a suite
 * that polls would spend most of the machine. Processes are confined, frozen and killed with the host nevertheless.
 */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Docker } from './engine.ts';
import { type ExecOptions, type ExecResult, run } from './run.ts';

/** As in docker-exec(1). */
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/**
 * $1: the number of control groups that follow; they are joined, then the rest of the arguments is run. Exit 125 as from docker.
 */
const JOIN = 'n=$1; shift; while [ $n -gt 0 ]; do echo 0 > "$1" || exit 125; shift; n=$((n - 1)); done; exec "$@"';

/** The first process of a running host. */
interface Init {
  pid: number;
  /** Field 22 of proc_pid_stat(5): distinguishes it from a later process with the same id. */
  startedAt: string;
  /** `cgroup.procs` of each of its control groups. */
  groups: readonly string[];
}

/**
 * @returns a function that runs a command on the host, or returns null if the host can only be reached through the Docker engine
 */
export function createEntry({ docker, name, container }: { docker: Docker; name: string; container: string }) {
  let known: Init | null = null;
  const init = async (): Promise<Init | null> => {
    if (known && startOf(known.pid) === known.startedAt) return known;
    const pid = Number((await docker(['inspect', '-f', '{{.State.Pid}}', container])).stdout);
    known = isHere(pid, name) ? { pid, startedAt: startOf(pid), groups: groupsOf(pid) } : null;
    return known;
  };
  return {
    /** Process id of the host's init on this machine, 0 if the host is off. */
    pid: async (): Promise<number> =>
      (await init())?.pid ?? Number((await docker(['inspect', '-f', '{{.State.Pid}}', container])).stdout),
    async exec(argv: readonly string[], { cwd, env = {}, ...options }: ExecOptions): Promise<ExecResult | null> {
      const found = await init();
      if (!found) return null;
      const inside = cwd ? ['sh', '-c', 'cd "$0" && exec "$@"', cwd, ...argv] : argv;
      return run(
        [
          ...['/bin/sh', '-c', JOIN, 'sh', String(found.groups.length), ...found.groups],
          ...['nsenter', '-t', String(found.pid), '-a', '--', ...inside],
        ],
        { ...options, onlyEnv: { PATH, HOME: '/root', HOSTNAME: name, ...env }, group: true },
      );
    },
  };
}

/** Whether a process is the init of this host, on this machine, and may be entered. */
function isHere(pid: number, name: string): boolean {
  if (!(pid > 0) || process.getuid?.() !== 0) return false;
  try {
    return readFileSync(`/proc/${pid}/root/etc/hostname`, 'utf8').trim() === name;
  } catch {
    return false;
  }
}

/** '' if there is no such process. The name before it may contain anything but its last parenthesis. */
function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}

/** See cgroups(7): each line of /proc/PID/cgroup is `id:controllers:path`, below the mount of those controllers. */
function groupsOf(pid: number): string[] {
  const mounts = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, , type]) => type === 'cgroup' || type === 'cgroup2')
    .map(([, at = '', type = '', options = '']) => ({ at, type, options: options.split(',') }));
  return readFileSync(`/proc/${pid}/cgroup`, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .flatMap((line) => {
      const [, controllers = '', ...rest] = line.split(':');
      const wanted = controllers.split(',');
      const mount = mounts.find(({ type, options }) =>
        controllers === '' ? type === 'cgroup2' : type === 'cgroup' && wanted.every((name) => options.includes(name)),
      );
      const procs = mount && path.join(mount.at, rest.join(':'), 'cgroup.procs');
      return procs && existsSync(procs) ? [procs] : [];
    });
}
