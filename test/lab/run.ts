import { spawn } from 'node:child_process';

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
  /** Default true: a non-zero exit throws, with what was printed. */
  check?: boolean;
  env?: Record<string, string>;
  cwd?: string | undefined;
}

/** Runs a program (argv, no shell) and collects what it prints. */
export function run(argv: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
  const [file = '', ...args] = argv;
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { cwd: options.cwd, env: { ...process.env, ...options.env }, stdio: 'pipe' });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    const timer = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs ?? 300_000);
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
    child.stdin.on('error', () => undefined);
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      const result = {
        code: code ?? 128,
        stdout: Buffer.concat(out).toString(),
        stderr: Buffer.concat(err).toString(),
      };
      if (result.code === 0 || options.check === false) resolve(result);
      else
        reject(
          new Error(
            `${argv.join(' ')} failed (${signal ?? `exit ${result.code}`}): ${(result.stderr + result.stdout).trim().slice(-2_000)}`,
          ),
        );
    });
    if (options.stream) options.stream.pipe(child.stdin);
    else child.stdin.end(options.input);
  });
}

/** Polls until `probe` answers something other than undefined or false. A probe that throws has not answered yet. */
export async function until<T>(
  what: string,
  timeoutMs: number,
  probe: () => Promise<T | undefined | false>,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  let last: unknown = null;
  for (;;) {
    try {
      const found = await probe();
      if (found !== undefined && found !== false) return found;
    } catch (thrown) {
      last = thrown;
    }
    if (Date.now() > deadline) {
      throw new Error(`waited ${timeoutMs / 1000} s for ${what}${last instanceof Error ? `: ${last.message}` : ''}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
