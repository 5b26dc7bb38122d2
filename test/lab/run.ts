/** Running programs, and waiting for conditions. */
import { spawn } from 'node:child_process';
import os from 'node:os';

export interface ExecResult {
  code: number;
  stdout: string;
  stderr: string;
}

export interface ExecOptions {
  input?: string | Uint8Array;
  /** Read as standard input, instead of `input`. */
  stream?: NodeJS.ReadableStream;
  timeoutMs?: number;
  /** Default true: a non-zero exit throws, with the output. */
  check?: boolean;
  env?: Record<string, string>;
  cwd?: string | undefined;
}

export interface RunOptions extends ExecOptions {
  /** The whole environment, instead of this process's own with `env` above it. */
  onlyEnv?: Record<string, string>;
  /** The time limit ends all processes of the program's group, not just the program. */
  group?: boolean;
  /** Called for each line of output and of errors. */
  onLine?: (line: string) => void;
}

/** If a program has ended but a child process holds its output open, reading stops after this long. */
const QUIET_MS = 300;

/** Runs a program (argv, no shell) and collects its output. */
export function run(argv: readonly string[], options: RunOptions = {}): Promise<ExecResult> {
  const [file = '', ...args] = argv;
  const { onlyEnv, group = false, check = true, timeoutMs = 300_000, onLine } = options;
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, {
      cwd: options.cwd,
      env: onlyEnv ?? { ...process.env, ...options.env },
      stdio: 'pipe',
      detached: group,
    });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    const timer = setTimeout(() => endOf(child.pid, group), timeoutMs);
    let quiet: NodeJS.Timeout | undefined;
    let chunks = 0;
    const readOn = (into: Buffer[]) => {
      const told = onLine && linesTo(onLine);
      return (chunk: Buffer) => {
        into.push(chunk);
        chunks++;
        quiet?.refresh();
        told?.(chunk);
      };
    };
    child.stdout.on('data', readOn(out));
    child.stderr.on('data', readOn(err));
    child.stdin.on('error', () => undefined);
    child.on('error', reject);
    child.on('exit', () => {
      quiet = setTimeout(() => {
        const before = chunks;
        // A busy process comes here before it has read all data in the pipes: that is read first (setImmediate follows it).
        setImmediate(() => {
          if (chunks > before) return quiet?.refresh();
          child.stdout.destroy();
          child.stderr.destroy();
        });
      }, QUIET_MS);
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      clearTimeout(quiet);
      const result = {
        code: code ?? 128 + (signal ? os.constants.signals[signal] : 0),
        stdout: Buffer.concat(out).toString(),
        stderr: Buffer.concat(err).toString(),
      };
      if (result.code === 0 || !check) return resolve(result);
      const said = (result.stderr + result.stdout).trim().slice(-2_000);
      reject(new Error(`${argv.join(' ')} failed (${signal ?? `exit ${result.code}`}): ${said}`));
    });
    if (options.stream) options.stream.pipe(child.stdin);
    else child.stdin.end(options.input);
  });
}

/** A last line without a line break is not passed on. */
function linesTo(tell: (line: string) => void): (chunk: Buffer) => void {
  let open = '';
  return (chunk) => {
    const lines = (open + chunk.toString()).split('\n');
    open = lines.pop() ?? '';
    for (const line of lines) tell(line);
  };
}

function endOf(pid: number | undefined, group: boolean): void {
  if (pid === undefined) return;
  try {
    process.kill(group ? -pid : pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

const FIRST_POLL_MS = 5;
const POLL_MS = 100;

/**
 * Polls until `probe` returns something other than undefined or false, at first after milliseconds, since most conditions hold at
 * once. A probe that throws has not answered yet. A slow probe runs at most half of the time, so that waiting does not slow down
 * what is waited for.
 */
export async function until<T>(
  what: string,
  timeoutMs: number,
  probe: () => Promise<T | undefined | false>,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  let last: unknown = null;
  for (let pauseMs = FIRST_POLL_MS; ; pauseMs = Math.min(pauseMs * 2, POLL_MS)) {
    const asked = Date.now();
    try {
      const found = await probe();
      if (found !== undefined && found !== false) return found;
    } catch (thrown) {
      last = thrown;
    }
    if (Date.now() > deadline) {
      throw new Error(`waited ${timeoutMs / 1000} s for ${what}${last instanceof Error ? `: ${last.message}` : ''}`);
    }
    await new Promise((resolve) => setTimeout(resolve, Math.max(pauseMs, Date.now() - asked)));
  }
}
