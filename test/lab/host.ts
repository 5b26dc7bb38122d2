/** One booted host of the lab. */
import type { Docker } from './engine.ts';
import { createEntry } from './enter.ts';
import { type ExecOptions, type ExecResult, until } from './run.ts';

/** A machine on which other labs boot as well is slow. */
const BOOT_MS = 180_000;

export interface LabHost {
  readonly name: string;
  /** Its container's name on the outer engine. */
  readonly container: string;
  /** A machine without hardware virtualization: times there say nothing about a program. */
  readonly isEmulated?: boolean;
  exec(argv: readonly string[], options?: ExecOptions): Promise<ExecResult>;
  /** `sh -ec script` on the host. */
  sh(script: string, options?: ExecOptions): Promise<ExecResult>;
  /** Writes a file, parents included. */
  write(path: string, content: string, mode?: string): Promise<void>;
  /** Copies a file or a directory from this machine. */
  copyIn(local: string, remote: string): Promise<void>;
  /** Disconnects it from the network, and reconnects it at the same address. */
  disconnect(): Promise<void>;
  connect(): Promise<void>;
  /** Power cut: every process is gone at once; the disk stays. */
  powerOff(): Promise<void>;
  powerOn(): Promise<void>;
  freeze(): Promise<void>;
  thaw(): Promise<void>;
  /** Process id of its init on this machine: `/proc/<pid>/root` is its file system. */
  pid(): Promise<number>;
  address(): Promise<string>;
  journal(unit?: string): Promise<string>;
  booted(): Promise<void>;
}

export interface HostOptions {
  docker: Docker;
  name: string;
  container: string;
  network: string;
  /** Default true: it runs a Docker engine of its own. */
  engine?: boolean;
}

export function createHost({ docker, name, container, network, engine = true }: HostOptions): LabHost {
  const inspect = async (format: string) => (await docker(['inspect', '-f', format, container])).stdout.trim();
  const entry = createEntry({ docker, name, container });
  const throughEngine = (argv: readonly string[], { cwd, ...options }: ExecOptions) => {
    const flags = [...(options.input === undefined ? [] : ['-i']), ...(cwd ? ['-w', cwd] : [])];
    return docker(['exec', ...flags, container, ...argv], options);
  };
  let address = '';
  const host: LabHost = {
    name,
    container,
    exec: async (argv, options = {}) => (await entry.exec(argv, options)) ?? throughEngine(argv, options),
    sh: (script, options) => host.exec(['sh', '-ec', script], options),
    async write(file, content, mode = '0644') {
      await host.exec(['sh', '-ec', 'mkdir -p "$(dirname "$1")"; cat > "$1"; chmod "$2" "$1"', 'sh', file, mode], {
        input: content,
      });
    },
    async copyIn(local, remote) {
      await docker(['cp', '-q', local, `${container}:${remote}`]);
    },
    async disconnect() {
      address = await host.address();
      await docker(['network', 'disconnect', '-f', network, container]);
    },
    async connect() {
      await docker(['network', 'connect', '--ip', address, '--alias', name, network, container]);
    },
    async powerOff() {
      await docker(['kill', '-s', 'KILL', container]);
      await until(`${name} to be off`, 30_000, async () => (await inspect('{{.State.Running}}')) === 'false');
    },
    async powerOn() {
      await docker(['start', container]);
      await host.booted();
    },
    async freeze() {
      await docker(['pause', container]);
    },
    async thaw() {
      await docker(['unpause', container]);
    },
    pid: entry.pid,
    address: async () => inspect(`{{(index .NetworkSettings.Networks "${network}").IPAddress}}`),
    async journal(unit) {
      // The last log lines are still on their way to journald.
      const { stdout } = await host.exec(
        [
          'sh',
          '-c',
          'journalctl --sync; exec journalctl --no-pager -o short-precise "$@"',
          'sh',
          ...(unit ? ['-u', unit] : []),
        ],
        { check: false },
      );
      return stdout;
    },
    async booted() {
      await until(`${name} to boot`, BOOT_MS, async () =>
        /^(running|degraded)/.test((await host.exec(['systemctl', 'is-system-running'], { check: false })).stdout),
      );
      if (!engine) return;
      await until(
        `the Docker engine of ${name}`,
        BOOT_MS,
        async () => (await host.exec(['docker', 'info'], { check: false, timeoutMs: 60_000 })).code === 0,
      );
    },
  };
  return host;
}
