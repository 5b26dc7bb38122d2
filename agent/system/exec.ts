import { spawn } from 'node:child_process';

export interface ExecOptions {
  input?: string | Uint8Array;
  timeoutMs?: number;
  env?: Record<string, string>;
  cwd?: string;
  signal?: AbortSignal;
}

export interface ExecResult {
  /** Exit code; 128 + n after signal n, 127 where the program could not be started. */
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs a program by its argv, never through a shell. */
export type Exec = (argv: readonly string[], options?: ExecOptions) => Promise<ExecResult>;

/** Most of each stream that is kept; the rest is read and dropped. */
const MAX_OUTPUT = 256 * 1024;

export const exec: Exec = (argv, options = {}) =>
  new Promise((resolve) => {
    const [file = '', ...args] = argv;
    const child = spawn(file, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: 'pipe',
      timeout: options.timeoutMs ?? 60_000,
      killSignal: 'SIGKILL',
      ...(options.signal ? { signal: options.signal } : {}),
    });
    const collect = (stream: NodeJS.ReadableStream) => {
      const chunks: Buffer[] = [];
      let size = 0;
      stream.on('data', (chunk: Buffer) => {
        if (size < MAX_OUTPUT) chunks.push(chunk.subarray(0, MAX_OUTPUT - size));
        size += chunk.length;
      });
      return () => Buffer.concat(chunks).toString('utf8');
    };
    const stdout = collect(child.stdout);
    const stderr = collect(child.stderr);
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input);
    child.on('error', (error) => resolve({ code: 127, stdout: '', stderr: error.message }));
    child.on('close', (code, signal) =>
      resolve({ code: code ?? 128, stdout: stdout(), stderr: signal ? `${stderr()} (${signal})` : stderr() }),
    );
  });
