import { type ChildProcess, type SpawnOptions, spawn as spawnProcess } from 'node:child_process';
import { LONGEST_TIMER_MS } from './clock.ts';

export interface ExecOptions {
  input?: string | Uint8Array;
  /** Then it is killed, with all it started (default 60 s). */
  timeoutMs?: number;
  env?: Record<string, string>;
  /** The given environment alone, with a PATH; not the agent's own. */
  cleanEnv?: boolean;
  cwd?: string;
  signal?: AbortSignal;
}

export interface ExecResult {
  /** Exit code; 128 + n after signal n, 127 where the program could not be started. */
  code: number;
  stdout: string;
  stderr: string;
  /** It was killed but is still there, because the kernel waits for a device or a server; settles when it is gone at last. */
  lingers?: Promise<void>;
}

/** Runs a program by its argv, never through a shell, in a process group of its own. */
export type Exec = (argv: readonly string[], options?: ExecOptions) => Promise<ExecResult>;

/** Most of each stream that is kept: its end. The rest is read and dropped. */
const MAX_OUTPUT = 256 * 1024;
/** For output that is still on its way when the program has ended; what it left running may hold the pipe for ever. */
const LINGER_MS = 500;
/** A killed program that the kernel holds (uninterruptible sleep: a dead mount or disk) is given up after this time. */
const GIVE_UP_MS = 5_000;
const KILLED = 137;
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export type Spawn = (file: string, args: readonly string[], options: SpawnOptions) => ChildProcess;

export const createExec =
  (spawn: Spawn): Exec =>
  (argv, options = {}) =>
    new Promise((resolve) => {
      const [file = '', ...args] = argv;
      const own = options.cleanEnv ? { PATH, LANG: 'C.UTF-8' } : inherited();
      let child: ChildProcess;
      try {
        child = spawn(file, args, {
          cwd: options.cwd,
          env: { ...own, ...options.env },
          stdio: 'pipe',
          detached: true,
        });
      } catch (thrown) {
        // No memory, or arguments that are too long: these are thrown rather than emitted.
        resolve({ code: 127, stdout: '', stderr: thrown instanceof Error ? thrown.message : String(thrown) });
        return;
      }
      // First of all: an error that nobody listens to ends the agent. Without a free descriptor, the child has no streams.
      child.on('error', (error) => end(127, error.message));
      let killed = '';
      let giveUp: NodeJS.Timeout | undefined;
      const kill = (why: string) => {
        killed = why;
        try {
          if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
        } catch {
          // The process has just ended by itself.
        }
        giveUp ??= setTimeout(abandon, GIVE_UP_MS);
      };
      const abandon = () => {
        child.unref();
        const lingers = new Promise<void>((gone) => void child.once('exit', () => gone()));
        end(KILLED, ` (${killed}, and could not be killed within ${GIVE_UP_MS / 1_000} s)`, lingers);
      };
      const timer = setTimeout(() => kill('timed out'), Math.min(options.timeoutMs ?? 60_000, LONGEST_TIMER_MS));
      const aborted = () => kill('stopped');
      if (options.signal?.aborted) aborted();
      options.signal?.addEventListener('abort', aborted, { once: true });
      const stdout = collect(child.stdout);
      const stderr = collect(child.stderr);
      child.stdin?.on('error', () => undefined);
      child.stdin?.end(options.input);
      let hasEnded = false;
      const end = (code: number, error: string, lingers?: Promise<void>) => {
        if (hasEnded) return;
        hasEnded = true;
        clearTimeout(timer);
        clearTimeout(giveUp);
        options.signal?.removeEventListener('abort', aborted);
        for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.destroy();
        resolve({ code, stdout: stdout(), stderr: stderr() + error, ...(lingers ? { lingers } : {}) });
      };
      const ended = (code: number | null, signal: NodeJS.Signals | null) =>
        end(code ?? 128 + signalNumber(signal), signal ? ` (${killed || signal})` : '');
      child.on('exit', (code, signal) => {
        clearTimeout(giveUp);
        setTimeout(ended, LINGER_MS, code, signal).unref();
      });
      child.on('close', ended);
    });

export const exec = createExec(spawnProcess);

/**
 * The agent's own environment without what systemd gave to it alone: with NotifyAccess=all, whoever has NOTIFY_SOCKET speaks
 * for the agent (sd_notify(3), sd_listen_fds(3)).
 */
function inherited(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^(NOTIFY_SOCKET$|WATCHDOG_|LISTEN_)/.test(name));
  return Object.fromEntries(kept);
}

function collect(stream: NodeJS.ReadableStream | null | undefined): () => string {
  let chunks: Buffer[] = [];
  let size = 0;
  const all = () => Buffer.concat(chunks).subarray(-MAX_OUTPUT);
  stream?.on('data', (chunk: Buffer) => {
    chunks.push(chunk);
    size += chunk.length;
    if (size > 2 * MAX_OUTPUT) {
      chunks = [Buffer.from(all())];
      size = MAX_OUTPUT;
    }
  });
  return () => all().toString('utf8');
}

const SIGNALS: Partial<Record<NodeJS.Signals, number>> = {
  SIGINT: 2,
  SIGABRT: 6,
  SIGKILL: 9,
  SIGSEGV: 11,
  SIGTERM: 15,
};
const signalNumber = (signal: NodeJS.Signals | null): number => (signal && SIGNALS[signal]) ?? 0;
