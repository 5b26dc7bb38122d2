import { spawn } from 'node:child_process';

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
}

/** Runs a program by its argv, never through a shell, in a process group of its own. */
export type Exec = (argv: readonly string[], options?: ExecOptions) => Promise<ExecResult>;

/** Most of each stream that is kept: its end. The rest is read and dropped. */
const MAX_OUTPUT = 256 * 1024;
/** For output that is still on its way when the program has ended; what it left running may hold the pipe for ever. */
const LINGER_MS = 500;
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export const exec: Exec = (argv, options = {}) =>
  new Promise((resolve) => {
    const [file = '', ...args] = argv;
    const own = options.cleanEnv ? { PATH, LANG: 'C.UTF-8' } : inherited();
    const child = spawn(file, args, {
      cwd: options.cwd,
      env: { ...own, ...options.env },
      stdio: 'pipe',
      detached: true,
    });
    let killed = '';
    const kill = (why: string) => {
      killed = why;
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      } catch {
        // The process has just ended by itself.
      }
    };
    const timer = setTimeout(() => kill('timed out'), options.timeoutMs ?? 60_000);
    const aborted = () => kill('stopped');
    if (options.signal?.aborted) aborted();
    options.signal?.addEventListener('abort', aborted, { once: true });
    const stdout = collect(child.stdout);
    const stderr = collect(child.stderr);
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input);
    const end = (code: number, error: string) => {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', aborted);
      for (const stream of [child.stdout, child.stderr]) stream.destroy();
      resolve({ code, stdout: stdout(), stderr: stderr() + error });
    };
    const ended = (code: number | null, signal: NodeJS.Signals | null) =>
      end(code ?? 128 + signalNumber(signal), signal ? ` (${killed || signal})` : '');
    child.on('error', (error) => end(127, error.message));
    child.on('exit', (code, signal) => setTimeout(ended, LINGER_MS, code, signal).unref());
    child.on('close', ended);
  });

/**
 * The agent's own environment without what systemd gave to it alone: with NotifyAccess=all, whoever has NOTIFY_SOCKET speaks
 * for the agent (sd_notify(3), sd_listen_fds(3)).
 */
function inherited(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^(NOTIFY_SOCKET$|WATCHDOG_|LISTEN_)/.test(name));
  return Object.fromEntries(kept);
}

function collect(stream: NodeJS.ReadableStream): () => string {
  let chunks: Buffer[] = [];
  let size = 0;
  const all = () => Buffer.concat(chunks).subarray(-MAX_OUTPUT);
  stream.on('data', (chunk: Buffer) => {
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
