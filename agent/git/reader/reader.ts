/** The agent's side of the process that unpacks: it is started while a fetch is under way, and gone when that is over. */
import { type ChildProcess, spawn } from 'node:child_process';
import { AgentError } from '../../errors.ts';
import { idOf, type ObjectType, unpooled } from '../pack/objects.ts';
import type { UnpackOptions } from '../pack/unpack.ts';
import { createBudget, MAX_MADE, OverBudget, overBudget } from '../wire/budget.ts';
import { broken } from '../wire/packet.ts';
import { quoted } from '../wire/remote.ts';
import { HEAD, headOf, type Kind, readHead, TYPES } from './frames.ts';

/** How the process is started; what does not say that it is ready is tried no more. */
export interface Way {
  /** As people know it. */
  name: string;
  argv: readonly string[];
  env?: Record<string, string>;
  /** Of the process, where it is not the agent's own. */
  uid?: number;
}

/** One process, or none. */
export interface Channel {
  unpack(pack: AsyncIterable<Uint8Array>, options: UnpackOptions): Promise<void>;
  /** Ends it, and waits until it is gone. */
  stop(): Promise<void>;
}

/** The process could not be started this way. */
export class NotStarted extends Error {}

const READY_MS = 10_000;
/** Of words that it says besides. */
const MAX_SAID = 2_000;

export const unreadable = (why: string): AgentError =>
  new AgentError({
    code: 'PackUnreadable',
    phase: 'fetch',
    message: `what the git server sent cannot be unpacked: ${why}; everything else goes on`,
  });

interface Frame {
  kind: string;
  payload: Buffer;
}

/** Starts the process. @throws NotStarted */
export async function openChannel({ name, argv, env = {}, uid }: Way): Promise<Channel> {
  const [program = '', ...args] = argv;
  const child = spawn(program, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
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
  const ended = gone.then(() => undefined);
  const frames = framesOf(child);
  const timer = setTimeout(() => child.kill('SIGKILL'), READY_MS);
  const first = await frames.next().catch(() => null);
  clearTimeout(timer);
  if (first?.value?.kind !== 'h') {
    child.kill('SIGKILL');
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
    return Promise.race([new Promise<void>((resolve) => child.stdin.once('drain', resolve)), ended]);
  };

  async function next(): Promise<Frame> {
    const { value, done } = await frames.next();
    if (!done) return value;
    throw unreadable(
      `the process that reads it ${(await gone).replace(/^it /, '')}, for its bounds most likely${said === '' ? '' : ` (${said})`}`,
    );
  }

  async function unpack(pack: AsyncIterable<Uint8Array>, options: UnpackOptions): Promise<void> {
    const { limits } = options;
    const from = pack[Symbol.asyncIterator]();
    // What it says of sizes and numbers is not relied on: it has read foreign bytes.
    const [bytes, objects] = [createBudget(limits.made), createBudget(limits.objects, 'objects')];
    await send('L', Buffer.from(JSON.stringify(limits)));
    try {
      for (;;) {
        const { kind, payload } = await next();
        if (kind === 'd') return;
        if (kind === 'x') throw failureOf(payload);
        if (kind === 'w') {
          const { value, done } = await from.next();
          await (done ? send('E') : send('D', value));
        } else if (kind === 'b') {
          const found = await options.base(payload.toString('hex', 0, 20));
          await (found === null ? send('N') : send('F', Buffer.from([TYPES.indexOf(found.type)]), found.bytes));
        } else if (kind === 'o') {
          const type: ObjectType | undefined = TYPES[payload[0] ?? -1];
          if (type === undefined) throw unreadable('the process that reads it says what it may not');
          bytes.spend(payload.length);
          objects.spend(1);
          const object = { type, bytes: unpooled(payload.subarray(1)) };
          await options.object({ ...object, oid: idOf(object) });
        } else if (kind === 'p') {
          bytes.spend(payload.length);
          await options.piece(payload.subarray(8), payload.readDoubleBE(0));
        } else if (kind === 'l') {
          objects.spend(1);
          await options.large(payload.readDoubleBE(0));
        } else throw unreadable('the process that reads it says what it may not');
      }
    } finally {
      await from.return?.();
    }
  }

  return {
    unpack,
    async stop() {
      child.stdin.destroy();
      child.stdout.destroy();
      child.kill('SIGKILL');
      await gone;
    },
  };
}

/** As it came: nothing is joined before all of it is here. */
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

/** What the process says was wrong: in its words, which are tamed, or by numbers of ours. */
function failureOf(payload: Buffer): AgentError {
  const said = JSON.parse(payload.toString()) as { what?: string; size?: number; limit?: number; why?: string };
  if (OverBudget.isKind(said.what)) return overBudget(said.what, Number(said.size), Number(said.limit));
  return broken(quoted(String(said.why)).replace(/^the git server is not right: /, ''));
}
