/**
 * The socket of a message bus, without what is too large in it. Every local user may send a signal of 32 MiB to any connection
 * (dbus-daemon(1), `max_message_size`), and reading one into values takes a second and 400 MB: it has to go before that,
 * by the first 16 bytes of its head (D-Bus Specification, "Message Format").
 */
import net from 'node:net';
import { Duplex } from 'node:stream';

/** systemd's signals have a few hundred bytes, and some kilobytes where properties of a unit change. */
const MAX_UNASKED = 256 * 1024;
const HEAD = 16;
/** Types of messages that answer what was asked, of any size: METHOD_RETURN and ERROR. */
const ANSWERS = [2, 3];
const [LITTLE, BIG, LINE_FEED] = [0x6c, 0x42, 0x0a];

/** Connects to the bus at `path`. Messages of more than 256 KiB that answer nothing never come out. */
export function openBusSocket(path: string): Duplex {
  const socket = net.createConnection({ path });
  const keep = withoutLarge(MAX_UNASKED);
  const stream = new Duplex({
    read: () => void socket.resume(),
    write: (chunk, _, done) => void socket.write(chunk, done),
    final: (done) => void socket.end(done),
    destroy(error, done) {
      socket.destroy();
      done(error);
    },
  });
  socket.on('data', (chunk: Buffer) => {
    for (const part of keep(chunk)) if (!stream.push(part)) socket.pause();
  });
  socket.on('end', () => stream.push(null));
  socket.on('error', (error) => stream.destroy(error));
  socket.on('close', () => stream.destroy());
  return stream;
}

/** @param limit bytes of a message that is no answer @returns a function from received bytes to the bytes to pass on */
export function withoutLarge(limit: number): (chunk: Buffer) => Buffer[] {
  /** Authentication comes first, in lines of ASCII, none of which begins as a message does. */
  let isLines = true;
  let isLineStart = true;
  let head = Buffer.alloc(0);
  /** Bytes of the current message that are missing, and whether to pass them on. */
  let left = 0;
  let isKept = true;

  /** @returns where the first message begins */
  const afterLines = (chunk: Buffer): number => {
    for (let at = 0; at < chunk.length; ) {
      if (isLineStart && (chunk[at] === LITTLE || chunk[at] === BIG)) {
        isLines = false;
        return at;
      }
      const end = chunk.indexOf(LINE_FEED, at);
      isLineStart = end >= 0;
      at = end < 0 ? chunk.length : end + 1;
    }
    return chunk.length;
  };

  return (chunk) => {
    const kept: Buffer[] = [];
    let at = isLines ? afterLines(chunk) : 0;
    if (at > 0) kept.push(chunk.subarray(0, at));
    while (at < chunk.length) {
      if (left === 0) {
        const part = chunk.subarray(at, at + HEAD - head.length);
        head = Buffer.concat([head, part]);
        at += part.length;
        if (head.length < HEAD) break;
        left = restOf(head);
        isKept = ANSWERS.includes(head[1] ?? 0) || HEAD + left <= limit;
        if (isKept) kept.push(head);
        head = Buffer.alloc(0);
      } else {
        const part = chunk.subarray(at, at + left);
        at += part.length;
        left -= part.length;
        if (isKept) kept.push(part);
      }
    }
    return kept;
  };
}

/** Bytes of a message after its first 16: the fields of its head, which end at a multiple of 8, and its body. */
function restOf(head: Buffer): number {
  const read = (at: number) => (head[0] === BIG ? head.readUInt32BE(at) : head.readUInt32LE(at));
  return Math.ceil(read(12) / 8) * 8 + read(4);
}
