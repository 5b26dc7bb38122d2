/**
 * Command lines that run a script of Node's without any right: no files but its own, no network, no other process, bounded
 * memory. Sources: systemd.exec(5), systemd.resource-control(5), systemd-run(1), setpriv(1), prlimit(1), unshare(1), and the
 * page "Permissions" of Node's manual.
 */
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

export interface Confined {
  /** How processes are confined here: by `systemd`, `setpriv`, `prlimit` or `sh`. */
  name: string;
  argv: readonly string[];
  env: Record<string, string>;
  /** The user of the process; default: the user of this process. */
  uid?: number;
  /**
   * For systemd: the command with its own unit name, and the command that ends that unit. `waiting` is a third command that
   * prepares the sandbox and leaves a shell waiting in it for a line on standard input.
   */
  named?(id: string): { argv: readonly string[]; waiting: readonly string[]; kill: readonly string[] };
}

export interface ConfinedOptions {
  /** Absolute path; the process can read only this file and those in `beside`. */
  script: string;
  /** A directory that the script needs; only its own file where that is left out. */
  beside?: string;
  /** Node's own binary. */
  node: string;
  uid: number;
  /**
   * Selects the user of the process, 0 or more. Agents on one kernel need different ones, as in containers, where all of them may
   * have the same process id: the kernel counts the threads of a user, not of a container.
   */
  slot: number;
  /** Whether systemd is process 1; looked at where that is left out: sd_booted(3). */
  hasSystemd?: boolean;
  /** Whether this process may take capabilities out of the bounding set of its children; looked at where that is left out. */
  mayBound?: boolean;
}

/** Bytes of address space: Node itself takes 700 MB of it, most of them never used. */
const ADDRESS_SPACE = 1536 * 1024 * 1024;
/** Seconds of processor time for one fetch. */
const CPU = 120;
/**
 * The main thread, two of V8, two of libuv: the script takes them all at its start, and no more can be made. The kernel asks for
 * one more than there are.
 */
const THREADS = 6;
/** Users of no account: `man 7 systemd.uids-gids`, UIDS-GIDS.md of systemd, leaves 60578 to 61183 unused. */
const FIRST_UID = 60_578;
const UIDS = 600;
const ULIMIT = `ulimit -v ${ADDRESS_SPACE / 1024} && ulimit -t ${CPU} && ulimit -f 0 && ulimit -c 0 && exec "$0" "$@"`;
/** Reads one line, byte by byte, and leaves what follows to the script; ends with the stream. */
const WAIT = 'read -r line && exec "$0" "$@"';
const ENV = { UV_THREADPOOL_SIZE: '2', NODE_OPTIONS: '', MALLOC_ARENA_MAX: '1' };

const idFor = (slot: number) => FIRST_UID + (slot % UIDS);

/** The ways that this machine has, the best one first. */
export function confined(options: ConfinedOptions): Confined[] {
  const { script, node, uid, beside = script } = options;
  const lines = (...argv: string[]) => argv;
  const program = lines(
    node,
    // Interpreted: then no memory needs to be writable and executable.
    '--jitless',
    '--v8-pool-size=0',
    '--disable-sigusr1',
    '--max-old-space-size=384',
    '--permission',
    `--allow-fs-read=${beside}`,
    '--no-warnings',
    script,
  );
  const limits = lines(
    tool('prlimit'),
    `--as=${ADDRESS_SPACE}`,
    `--cpu=${CPU}`,
    '--nofile=64',
    '--fsize=0',
    '--core=0',
  );
  const plain: Confined = { name: 'prlimit', argv: [...limits, ...program], env: ENV };
  // With what POSIX has: systems with busybox have neither prlimit nor setpriv.
  const shell: Confined = { name: 'sh', argv: ['/bin/sh', '-c', ULIMIT, ...program], env: ENV };
  if (uid !== 0) return [plain, shell];
  const id = idFor(options.slot);
  const setpriv = (...bounding: string[]) => [
    ...[tool('setpriv'), `--reuid=${id}`, `--regid=${id}`, '--clear-groups', '--no-new-privs'],
    ...['--inh-caps=-all', ...bounding, '--ambient-caps=-all', '--pdeathsig=KILL', '--'],
  ];
  const bounded = setpriv('--bounding-set=-all');
  const nproc = `--nproc=${THREADS}`;
  // The agent's own unit leaves it no right to change the bounding set. A user without capabilities and without new privileges
  // gains nothing by one (capabilities(7)), and setpriv would fail.
  const own = [...((options.mayBound ?? mayBound()) ? bounded : setpriv()), ...limits, nproc, ...program];
  const unshare = [tool('unshare'), '--net', '--ipc', '--uts', '--'];
  return [
    ...((options.hasSystemd ?? isSystemd()) ? [bySystemd(options, bounded, program)] : []),
    { name: 'setpriv', argv: [...unshare, ...own], env: ENV },
    // For hosts that cannot create namespaces, as in many containers and in the agent's own unit.
    { name: 'setpriv without namespaces', argv: own, env: ENV },
    { ...shell, uid: id },
  ];
}

function bySystemd(options: ConfinedOptions, setpriv: readonly string[], program: readonly string[]): Confined {
  const whole = [...setpriv, ...program];
  return {
    name: 'systemd',
    argv: systemd(options, whole),
    env: {},
    named(id) {
      const unit = `fairlead-unpacks-${id}.service`;
      const name = [`--unit=${unit}`];
      return {
        argv: systemd(options, whole, name),
        waiting: systemd(options, [...setpriv, tool('sh'), '-c', WAIT, ...program], name),
        kill: [tool('systemctl'), 'kill', '--signal=KILL', unit],
      };
    },
  };
}

function systemd(
  { script, node, beside = script }: ConfinedOptions,
  program: readonly string[],
  more: readonly string[] = [],
): string[] {
  const properties = [
    // Not DynamicUser=: what that does to protect the root is mounted in place of the empty one.
    'TemporaryFileSystem=/:ro',
    // Libraries that Node is linked with; the second name is the loader's.
    `BindReadOnlyPaths=${node} ${beside} ${tool('setpriv')} ${tool('sh')} -/usr/lib -/usr/lib64 -/lib -/lib64`,
    'PrivateNetwork=yes',
    'PrivateIPC=yes',
    'PrivateDevices=yes',
    'ProtectProc=invisible',
    'ProcSubset=pid',
    // For setpriv alone, which gives them away.
    'CapabilityBoundingSet=CAP_SETUID CAP_SETGID CAP_SETPCAP',
    'NoNewPrivileges=yes',
    'RestrictNamespaces=yes',
    'RestrictRealtime=yes',
    'LockPersonality=yes',
    'MemoryDenyWriteExecute=yes',
    'SystemCallArchitectures=native',
    'SystemCallFilter=@system-service',
    'SystemCallFilter=~@privileged @network-io fork vfork execveat',
    'SystemCallFilter=capset setgroups setresgid setresuid',
    'SystemCallErrorNumber=EPERM',
    `LimitAS=${ADDRESS_SPACE}`,
    `LimitCPU=${CPU}`,
    `LimitNPROC=${THREADS}`,
    'LimitNOFILE=64',
    'LimitFSIZE=0',
    'LimitCORE=0',
    // Ends a process whose agent was killed and could end nothing. A process that waited this long is replaced when it is
    // needed.
    'RuntimeMaxSec=1d',
    'OOMScoreAdjust=500',
    'KeyringMode=private',
  ];
  return [
    ...[tool('systemd-run'), '--pipe', '--quiet', '--collect', '--service-type=exec', '--no-ask-password'],
    ...more,
    '--description=unpacks what a git server sent to fairlead',
    ...properties.map((property) => `--property=${property}`),
    ...Object.entries(ENV).map(([name, value]) => `--setenv=${name}=${value}`),
    '--',
    ...program,
  ];
}

const isSystemd = (): boolean => existsSync('/run/systemd/system') && path.isAbsolute(tool('systemd-run'));

/** CAP_SETPCAP, by its number in linux/capability.h. */
const SETPCAP = 8n;

/** Whether this process has CAP_SETPCAP (proc_pid_status(5)). */
function mayBound(): boolean {
  try {
    const [, effective = '0'] = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
    return ((BigInt(`0x${effective}`) >> SETPCAP) & 1n) === 1n;
  } catch {
    return false;
  }
}

/** Never looked up by the environment's PATH. */
function tool(name: string): string {
  for (const dir of ['/usr/bin', '/bin', '/usr/sbin', '/sbin'])
    try {
      accessSync(path.join(dir, name), constants.X_OK);
      return path.join(dir, name);
    } catch {}
  return name;
}
