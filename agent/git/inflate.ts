/**
 * Small zlib streams, one after the other, out of one buffer. `zlib.inflateSync` makes a stream of Node's for each, and
 * throws it away: of a pack with a thousand files that is two thirds of the time. Here one engine is used again and again.
 */
import zlib from 'node:zlib';
import { unpooled } from './objects.ts';

export interface Inflated {
  content: Buffer;
  /** Bytes of the input that it took. */
  read: number;
}

export interface Inflater {
  /**
   * @param size of the content, as announced
   * @returns what begins at the start of `from`; null where it does not end there
   * @throws whatever is wrong with it
   */
  inflate(from: Buffer, size: number): Inflated | null;
  close(): void;
}

/** What is smaller shares its buffer with others that stay. */
const POOLED = 1024;

/** What is asked of the engine inside a stream of Node's: nowhere documented, and the same since Node 10. */
interface Engine {
  /** writeSync(flush, from, start, length, to, start, length) */
  writeSync(...args: [number, Buffer, number, number, Buffer, number, number]): void;
  reset(): void;
  onerror: unknown;
}

/** @param find looks for the engine of a stream; where there is none, the documented way is all there is */
export function createInflater(find = findEngine): Inflater {
  const stream = zlib.createInflate();
  const found = find(stream);
  return {
    // What is not right is for the documented way to tell.
    inflate: (from, size) => (found && quickly(found, from, size)) ?? slowly(from, size),
    close: () => stream.close(),
  };
}

interface Found {
  engine: Engine;
  /** How much of the output and of the input a write left over. */
  left: Uint32Array;
}

function findEngine(stream: zlib.Inflate): Found | null {
  const { _handle: engine, _writeState: left } = stream as unknown as { _handle?: Engine; _writeState?: unknown };
  const isOne = typeof engine?.writeSync === 'function' && typeof engine.reset === 'function';
  return isOne && left instanceof Uint32Array ? { engine, left } : null;
}

/** @returns null where that is not what begins there, whole */
function quickly({ engine, left }: Found, from: Buffer, size: number): Inflated | null {
  let failed = false;
  engine.onerror = () => {
    failed = true;
  };
  // One byte more, so that more than was announced shows.
  const to = size < POOLED ? Buffer.allocUnsafe(size + 1) : Buffer.allocUnsafeSlow(size + 1);
  engine.reset();
  engine.writeSync(zlib.constants.Z_FINISH, from, 0, from.length, to, 0, to.length);
  const [output, input = 0] = left;
  return failed || output !== 1 ? null : { content: to.subarray(0, size), read: from.length - input };
}

function slowly(from: Buffer, size: number): Inflated | null {
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
