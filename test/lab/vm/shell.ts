/** Commands into a virtual machine: the other side of guest-agent.pl, which documents the protocol. */
import net from 'node:net';
import type { ExecOptions, ExecResult } from '../run.ts';

export interface ShellOptions {
  /** Loopback port that qemu forwards to the machine's agent. */
  port: number;
  /** The token that this machine's agent requires: other users of this computer can connect to the port as well. */
  token: string;
}

const frame = (data: Uint8Array): Buffer => {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(data.length);
  return Buffer.concat([head, data]);
};

/** Code of a command that was ended by its time limit, as from timeout(1) with KILL. */
const KILLED = 137;

/**
 * Runs one command. A connection that ends without an exit code is an error, also with `check: false`: the machine lost power, or
 * its agent does not listen yet.
 */
export function execIn(
  { port, token }: ShellOptions,
  argv: readonly string[],
  options: ExecOptions,
): Promise<ExecResult> {
  const { input, stream, timeoutMs = 300_000, check = true, env = {}, cwd = '' } = options;
  const pairs = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const request = frame(Buffer.from([token, cwd, String(pairs.length), ...pairs, ...argv].join('\0')));
  return new Promise((resolve, reject) => {
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    let rest = Buffer.alloc(0);
    let code: number | null = null;
    let isLate = false;
    const socket = net.connect({ host: '127.0.0.1', port });
    const timer = setTimeout(() => {
      isLate = true;
      socket.destroy();
    }, timeoutMs);
    socket.on('connect', () => {
      socket.write(request);
      if (stream) {
        stream.on('data', (chunk: Buffer) => {
          if (socket.write(frame(chunk))) return;
          stream.pause();
          socket.once('drain', () => stream.resume());
        });
        stream.on('end', () => socket.write(frame(Buffer.alloc(0))));
        return;
      }
      if (input !== undefined && input.length > 0) socket.write(frame(Buffer.from(input)));
      socket.write(frame(Buffer.alloc(0)));
    });
    socket.on('data', (chunk) => {
      rest = Buffer.concat([rest, chunk]);
      while (rest.length >= 5 && rest.length >= 5 + rest.readUInt32BE(1)) {
        const letter = String.fromCharCode(rest[0] ?? 0);
        const end = 5 + rest.readUInt32BE(1);
        const data = Buffer.from(rest.subarray(5, end));
        rest = rest.subarray(end);
        if (letter === 'o') out.push(data);
        else if (letter === 'e') err.push(data);
        else code = Number(data.toString());
      }
    });
    // `close` follows, with the error.
    let failure = '';
    socket.on('error', (error) => {
      failure = `: ${error.message}`;
    });
    socket.on('close', () => {
      clearTimeout(timer);
      const ended = isLate ? KILLED : code;
      if (ended === null) return reject(new Error(`${argv.join(' ')}: the virtual machine hung up${failure}`));
      const result = { code: ended, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() };
      if (ended === 0 || !check) return resolve(result);
      const said = (result.stderr + result.stdout).trim().slice(-2_000);
      reject(new Error(`${argv.join(' ')} failed (${isLate ? 'time limit' : `exit ${ended}`}): ${said}`));
    });
  });
}
