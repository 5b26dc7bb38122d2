/** Images by the Engine API: pulled layer by layer, with their progress in bytes. */
import type Dockerode from 'dockerode';
import { createTally, type PullLine } from './pull-tally.ts';

export interface PullOptions {
  signal: AbortSignal;
  /** Hears how many bytes of how many that are known of so far have come; a few times a second. */
  tell?(doneBytes: number, totalBytes: number): void;
}

const TELL_MS = 250;

/**
 * Resolves when the image is on the host. An engine that is asked again goes on with the layers that it has. Ends by
 * itself where nothing at all is heard within the library's time limit for a socket; however long it takes otherwise.
 */
export async function pullImage(docker: Dockerode, image: string, { signal, tell }: PullOptions): Promise<void> {
  const named = /@|:[^/]*$/.test(image) ? image : `${image}:latest`;
  const stream = (await docker.pull(named, { abortSignal: signal })) as NodeJS.ReadableStream;
  const tally = createTally();
  let told = 0;
  for await (const line of lines(stream)) {
    if (line.error) throw new Error(line.errorDetail?.message ?? line.error);
    if (!tally.note(line) || Date.now() - told < TELL_MS) continue;
    told = Date.now();
    tell?.(tally.done(), tally.total());
  }
  if (tally.total() > 0) tell?.(tally.done(), tally.total());
}

/** JSON, a line each. */
async function* lines(stream: NodeJS.ReadableStream): AsyncGenerator<PullLine> {
  stream.setEncoding('utf8');
  let rest = '';
  for await (const chunk of stream) {
    const parts = (rest + chunk).split('\n');
    rest = parts.pop() ?? '';
    for (const part of parts) if (part.trim() !== '') yield JSON.parse(part) as PullLine;
  }
  if (rest.trim() !== '') yield JSON.parse(rest) as PullLine;
}
