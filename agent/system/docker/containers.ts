/** Calls about containers for which the library's own way is not enough. */
import type Dockerode from 'dockerode';
import type { ContainerRequest, DockerCommand } from './types.ts';

/** The library's own way keeps nothing of the answer but the id. */
export function createContainer(
  docker: Dockerode,
  { platform, name, ...body }: ContainerRequest,
): Promise<{ Id: string; Warnings?: string[] | null }> {
  const options = { _query: { name, ...(platform ? { platform } : {}) }, _body: body };
  const statusCodes = {
    200: true,
    201: true,
    400: 'bad parameter',
    404: 'no such container',
    406: 'impossible to attach',
    409: 'conflict',
    500: 'server error',
  };
  return new Promise((resolve, reject) => {
    docker.modem.dial(
      { path: '/containers/create?', method: 'POST', options, statusCodes },
      (error: unknown, answer: unknown) => (error ? reject(error) : resolve(answer as { Id: string })),
    );
  });
}

/** A command may print without end: of its frames the first are kept. */
const OUTPUT_LIMIT = 256 * 1024;

export async function runCommand(docker: Dockerode, id: string, command: DockerCommand) {
  const made = await docker.getContainer(id).exec({ ...command, AttachStdout: true, AttachStderr: true });
  const stream = await made.start({});
  const kept: Buffer[] = [];
  let size = 0;
  await new Promise<void>((resolve, reject) => {
    stream.on('data', (chunk: Buffer) => {
      if (size < OUTPUT_LIMIT) kept.push(chunk);
      size += chunk.length;
    });
    stream.on('end', resolve);
    stream.on('error', reject);
  });
  const { ExitCode: exitCode } = await made.inspect();
  return { exitCode: exitCode ?? -1, output: plainLog(Buffer.concat(kept)) };
}

/** Characters of a log that are handed on: its end. The caller shortens it further after secrets are masked. */
const MAX_LOG = 64 * 1024;

/** The engine's frames (8-byte header each) as one line of text. */
export function plainLog(frames: Buffer): string {
  const lines: string[] = [];
  for (let at = 0; at + 8 <= frames.length; ) {
    const size = frames.readUInt32BE(at + 4);
    lines.push(
      frames
        .subarray(at + 8, at + 8 + size)
        .toString('utf8')
        .trim(),
    );
    at += 8 + size;
  }
  return lines.filter(Boolean).join(' | ').slice(-MAX_LOG);
}
