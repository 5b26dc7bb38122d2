/** The agent's side of the process that unpacks: it is started while a fetch is under way, and gone when that is over. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { AgentError } from '../../errors.ts';
import { idOf, type ObjectType, unpooled } from '../pack/objects.ts';
import type { UnpackOptions } from '../pack/unpack.ts';
import { createBudget, MAX_MADE, OverBudget, overBudget } from '../wire/budget.ts';
import { broken } from '../wire/packet.ts';
import { quoted } from '../wire/remote.ts';
import { startProgram } from '../wire/start-program.ts';
import { HEAD, headOf, type Kind, readHead, TYPES } from './frames.ts';

/** How to start the process. A way that never reports ready is not tried again. */
export interface Way {
  /** Name of this way in messages. */
  name: string;
  argv: readonly string[];
  env?: Record<string, string>;
  /** Environment of the process, if it is not the agent's. */
  uid?: number;
  /**
   * For a process that another program starts, such as systemd: the command with its own unit name, and the command that
   * ends that unit.
   */
  named?(id: string): { argv: readonly string[]; waiting: readonly string[]; kill: readonly string[] };
}

/** Everything except the process itself is prepared: a shell without privileges waits. */
export interface Prepared {
  /** Starts the process in it; to be called once. @throws NotStarted */
  open(): Promise<Channel>;
  /** Ends it, and waits until it is gone. */
  stop(): Promise<void>;
  /** The process ended, by itself or by another program. */
  isGone(): boolean;
}

/** At most one process at a time. */
export interface Channel {
  unpack(pack: AsyncIterable<Uint8Array>, options: UnpackOptions): Promise<void>;
  /** Ends it, and waits until it is gone. */
  stop(): Promise<void>;
}

/** The process could not be started this way. */
export class NotStarted extends Error {}

/** Time for a start, in ms. Node takes ten seconds on a small or busy host, and the alternatives are weaker. */
const READY_MS = 60_000;
/** It handles one object of at most 128 MiB at a time, and has 120 s of processor time in all. */
const SILENCE_MS = 180_000;
/** If the process goes on after its streams were closed, it is killed. */
const GRACE_MS = 2_000;
/** The process asks for the base of a delta when the delta arrives, and once more when the base may have arrived. */
const ASKS_AN_OBJECT = 4;
/** Limits of the process's other words, and of its error messages. */
const MAX_SAID = 2_000;
const MAX_WHY = 64 * 1024;
/** Bytes of an object's id, and of a size. */
const ID = 20;
const SIZE = 8;

export const unreadable = (why: string): AgentError =>
  new AgentError({
    code: 'PackUnreadable',
    phase: 'fetch',
    message: `cannot unpack the data of the git server: ${why}; everything else continues`,
  });

interface Frame {
  kind: string;
  payload: Buffer;
}

export interface ChannelOptions {
  /** Longest silence of the process while the agent waits for it, in ms. */
  silenceMs?: number | undefined;
}

/** Starts the process. @throws NotStarted */
export const openChannel = async (way: Way, options: ChannelOptions = {}): Promise<Channel> =>
  begin(way, { ...options, waits: false }).open();

/** @returns null if nothing can be prepared @throws NotStarted */
export const prepare = (way: Way, options: ChannelOptions = {}): Prepared | null =>
  way.named === undefined ? null : begin(way, { ...options, waits: true });

function started(name: string, ...start: Parameters<typeof startProgram>): ReturnType<typeof startProgram> {
  try {
    return startProgram(...start);
  } catch (thrown) {
    throw new NotStarted(`${name}: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  }
}

/** @throws NotStarted */
function begin(way: Way, { silenceMs = SILENCE_MS, waits }: ChannelOptions & { waits: boolean }): Prepared {
  const { name, env = {}, uid } = way;
  const named = way.named?.(randomUUID());
  const [program = '', ...args] = (waits ? named?.waiting : named?.argv) ?? way.argv;
  const child = started(name, program, args, {
    env: { PATH: '/usr/bin:/bin', ...env },
    cwd: '/',
    ...(uid === undefined ? {} : { uid, gid: uid }),
  });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    if (said.length < MAX_SAID) said += chunk.toString('latin1');
  });
  child.stdin.on('error', () => undefined);
  child.stdout.on('error', () => undefined);
  const gone = new Promise<string>((resolve) => {
    child.once('error', (cause) => resolve(cause.message));
    child.once('close', (code, signal) =>
      resolve(signal === null ? `it ended with ${code}` : `it was ended by ${signal}`),
    );
  });
  let isGone = false;
  const ended = gone.then(() => {
    isGone = true;
  });
  const frames = framesOf(child);

  /** A grandchild may still hold a stream open: no signal reaches it, and nothing waits for it. */
  async function stop(): Promise<void> {
    child.stdin.destroy();
    child.stdout.destroy();
    child.kill('SIGKILL');
    const late = setTimeout(() => {
      const [killer, ...words] = named?.kill ?? [];
      if (killer !== undefined) spawn(killer, words, { stdio: 'ignore', cwd: '/' }).on('error', () => undefined);
      child.stderr.destroy();
    }, GRACE_MS);
    await gone;
    clearTimeout(late);
  }
  let isSilent = false;
  /** Waits for the process, which may not keep the agent waiting. */
  async function awaited<T>(ms: number, answer: Promise<T>): Promise<T> {
    const timer = setTimeout(() => {
      isSilent = true;
      void stop();
    }, ms);
    try {
      return await answer;
    } finally {
      clearTimeout(timer);
    }
  }

  async function open(): Promise<Channel> {
    if (waits) child.stdin.write('\n');
    const first = await awaited(READY_MS, frames.next()).catch(() => null);
    if (first?.value?.kind === 'h') return { unpack, stop };
    await stop();
    throw new NotStarted(`${name}: ${await gone}${said === '' ? '' : ` (${quoted(said)})`}`);
  }

  const send = (kind: Kind, ...parts: Uint8Array[]): Promise<void> => {
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    child.stdin.cork();
    child.stdin.write(headOf(kind, length));
    for (const part of parts) child.stdin.write(part);
    const isFull = child.stdin.writableNeedDrain;
    child.stdin.uncork();
    if (!isFull) return Promise.resolve();
    return awaited(
      silenceMs,
      Promise.race([new Promise<void>((resolve) => child.stdin.once('drain', resolve)), ended]),
    );
  };

  async function next(): Promise<Frame> {
    const { value, done } = await awaited(silenceMs, frames.next()).catch((thrown: unknown) => {
      if (thrown instanceof AgentError) throw thrown;
      return { value: undefined, done: true as const };
    });
    if (!done) return value;
    if (isSilent) throw unreadable(`the process that reads it said nothing for ${silenceMs / 1_000} s`);
    throw unreadable(
      `the process that reads it ${(await gone).replace(/^it /, '')}, for its bounds most likely${said === '' ? '' : ` (${quoted(said)})`}`,
    );
  }

  async function unpack(pack: AsyncIterable<Uint8Array>, options: UnpackOptions): Promise<void> {
    const { limits } = options;
    const from = pack[Symbol.asyncIterator]();
    // Sizes and numbers from the process are not trusted: it has read foreign bytes.
    const bytes = createBudget(limits.made);
    const objects = createBudget(limits.objects, 'objects');
    const asks = createBudget(ASKS_AN_OBJECT * limits.objects, 'objects');
    let isRead = false;
    await send('L', Buffer.from(JSON.stringify(limits)));
    try {
      for (;;) {
        const { kind, payload } = await next();
        if (kind === 'd') return;
        if (kind === 'x') throw failureOf(payload);
        if (kind === 'w' && !isRead) {
          const { value, done } = await from.next();
          isRead = done === true;
          await (done ? send('E') : send('D', value));
        } else if (kind === 'b' && payload.length === ID) {
          asks.spend(1);
          const found = await options.base(payload.toString('hex'));
          await (found === null ? send('N') : send('F', Buffer.from([TYPES.indexOf(found.type)]), found.bytes));
        } else if (kind === 'o') {
          const type: ObjectType | undefined = TYPES[payload[0] ?? -1];
          if (type === undefined) throw notAllowed();
          bytes.spend(payload.length);
          objects.spend(1);
          const object = { type, bytes: unpooled(payload.subarray(1)) };
          await options.object({ ...object, oid: idOf(object) });
        } else if (kind === 'p') {
          bytes.spend(payload.length);
          await options.piece(payload.subarray(SIZE), sizeIn(payload));
        } else if (kind === 'l') {
          objects.spend(1);
          await options.large(sizeIn(payload));
        } else throw notAllowed();
      }
    } finally {
      await from.return?.();
    }
  }

  return { open, stop, isGone: () => isGone };
}

const notAllowed = () => unreadable('the process that reads it says what it may not');

/** The size that a frame begins with. */
function sizeIn(payload: Buffer): number {
  const size = payload.length < SIZE ? Number.NaN : payload.readDoubleBE(0);
  if (!Number.isSafeInteger(size) || size < 0) throw notAllowed();
  return size;
}

/** Parts as they arrive; they are joined only when all of them are here. */
async function* framesOf(child: ChildProcess): AsyncGenerator<Frame, undefined> {
  let parts: Buffer[] = [];
  let length = 0;
  let head: { kind: string; length: number } | null = null;
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
    parts.push(chunk);
    length += chunk.length;
    while (length >= (head?.length ?? HEAD)) {
      const all = parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts, length);
      const taken = head?.length ?? HEAD;
      parts = [all.subarray(taken)];
      length -= taken;
      if (head === null) {
        head = readHead(all);
        if (head.length > MAX_MADE + 16) throw unreadable('the process that reads it says too much');
      } else {
        const { kind } = head;
        head = null;
        yield { kind, payload: all.subarray(0, taken) };
      }
    }
  }
  return undefined;
}

/** The error that the process reports: its own words, tamed, or one of our numbered errors. */
function failureOf(payload: Buffer): AgentError {
  if (payload.length > MAX_WHY) return notAllowed();
  let said: { what?: string; size?: number; limit?: number; why?: string } | null;
  try {
    said = JSON.parse(payload.toString());
  } catch {
    return notAllowed();
  }
  if (typeof said !== 'object' || said === null) return notAllowed();
  if (OverBudget.isKind(said.what)) return overBudget(said.what, Number(said.size), Number(said.limit));
  return broken(quoted(String(said.why)).replace(/^invalid response from the git server: /, ''));
}
