/** Inflates one small zlib stream from bytes that may continue after its end. */
import zlib from 'node:zlib';
import { unpooled } from './objects.ts';

export interface Inflated {
  content: Buffer;
  /** Bytes of the input that it took. */
  read: number;
}

/** Node allocates smaller buffers from a shared pool. */
const POOLED = 1024;

/**
 * @param size of the content, as announced
 * @returns the data that begins at the start of `from`; null if it does not end in it
 * @throws whatever is wrong with it
 */
export function inflate(from: Buffer, size: number): Inflated | null {
  // By default each call would take 16 KiB for its answer, which most objects fill by a fiftieth.
  const options = { info: true, maxOutputLength: size + 1, chunkSize: Math.min(Math.max(size + 1, 64), 16_384) };
  try {
    // With `info` Node answers the engine too, which knows how many bytes it read; the types do not say so.
    const { buffer, engine } = zlib.inflateSync(from, options) as unknown as {
      buffer: Buffer;
      engine: { bytesWritten: number };
    };
    if (buffer.length !== size) throw new Error('smaller than announced');
    return { content: size < POOLED ? buffer : unpooled(buffer), read: engine.bytesWritten };
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === 'ERR_BUFFER_TOO_LARGE') throw new Error(`larger than announced: ${message}`, { cause });
    if (code !== 'Z_BUF_ERROR') throw cause;
    return null;
  }
}
