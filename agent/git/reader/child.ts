/**
 * The process that reads packs from a git server: it inflates them, applies deltas and hands over the objects. It runs
 * without rights, network or files, so that a fault in code that parses foreign bytes does not run as root. It talks to the
 * agent over its standard streams only, and ends when they close. It answers one question at a time, and reads and writes
 * concurrently.
 */
import { readSync, writeSync } from 'node:fs';
import zlib from 'node:zlib';
import type { Identified, Whole } from '../pack/objects.ts';
import { unpack } from '../pack/unpack.ts';
import { OverBudget, type PackLimits } from '../wire/budget.ts';
import { HEAD, headOf, type Kind, readHead, sizeOf, TYPES } from './frames.ts';

const NOTHING = Buffer.alloc(0);

function write(bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(1, bytes, at);
}

function send(kind: Kind, ...parts: Uint8Array[]): void {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  write(headOf(kind, length));
  for (const part of parts) write(part);
}

/** Ends the process when there is no more input. */
function read(length: number): Buffer {
  const bytes = Buffer.allocUnsafeSlow(length);
  for (let at = 0; at < length; ) {
    const came = readSync(0, bytes, at, length - at, null);
    if (came === 0) process.exit(0);
    at += came;
  }
  return bytes;
}

function receive(): { kind: string; payload: Buffer } {
  const { kind, length } = readHead(read(HEAD));
  return { kind, payload: length === 0 ? NOTHING : read(length) };
}

async function* pack(): AsyncGenerator<Uint8Array> {
  for (;;) {
    send('w');
    const { kind, payload } = receive();
    if (kind !== 'D') return;
    yield payload;
  }
}

async function base(oid: string): Promise<Whole | null> {
  send('b', Buffer.from(oid, 'hex'));
  const { kind, payload } = receive();
  const type = TYPES[payload[0] ?? -1];
  return kind === 'F' && type !== undefined ? { type, bytes: payload.subarray(1) } : null;
}

const object = async ({ type, bytes }: Identified): Promise<void> =>
  send('o', Buffer.from([TYPES.indexOf(type)]), bytes);

const piece = async (bytes: Uint8Array, size: number): Promise<void> => send('p', sizeOf(size), bytes);

const large = async (size: number): Promise<void> => send('l', sizeOf(size));

/** Takes the threads that it may have before anything foreign comes: with none left, no process can be made either. */
const ready = () => new Promise((resolve) => zlib.deflate(NOTHING, resolve));

async function main(): Promise<never> {
  await ready();
  send('h');
  for (;;) {
    const { payload } = receive();
    const limits = JSON.parse(payload.toString()) as PackLimits;
    try {
      await unpack(pack(), { limits, base, object, piece, large });
      send('d');
    } catch (thrown) {
      const why =
        thrown instanceof OverBudget
          ? { what: thrown.what, size: thrown.size, limit: thrown.limit }
          : { why: thrown instanceof Error ? thrown.message : String(thrown) };
      send('x', Buffer.from(JSON.stringify(why)));
    }
  }
}

void main();
