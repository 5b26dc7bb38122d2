/** Talks git with one repository: its refs, and packs of what is wanted. */
import { broken, type Packet, packets } from './packet.ts';
import {
  checkHello,
  type FetchRequest,
  fetchRequest,
  type Hello,
  lsRefsRequest,
  type Ref,
  readFetch,
  readHello,
  readRefs,
} from './protocol.ts';
import type { Remote } from './remote.ts';

export interface GitClient {
  /** What the server can do. */
  hello(signal: AbortSignal): Promise<Hello>;
  /** Refs that begin with one of `prefixes`; older servers list all, whatever is asked. */
  refs(prefixes: readonly string[], signal: AbortSignal): Promise<readonly Ref[]>;
  /**
   * @param save takes the bytes of the pack, to the end
   * @returns our `haves` that the server knows, and whether a pack came
   */
  fetch(
    request: FetchRequest,
    save: (pack: AsyncIterable<Uint8Array>) => Promise<void>,
    signal: AbortSignal,
  ): Promise<{ common: readonly string[]; pack: boolean }>;
}

/** Over HTTP what the server said first is remembered: a poll is one request. */
export function createClient(remote: Remote): GitClient {
  let known: Hello | null = null;

  async function hear(signal: AbortSignal): Promise<Hello> {
    const from = packets(remote.exchange({ body: null, size: 'refs' }, signal));
    const hello = await readHello(from);
    await drain(from);
    checkHello(hello);
    known = hello;
    return hello;
  }

  /** Sends a request and reads its answer to the end, so that the connection can be used again. */
  async function talk<T>(
    hello: Hello,
    body: Uint8Array,
    size: 'refs' | 'pack',
    read: (from: AsyncGenerator<Packet>) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const from = packets(remote.exchange({ body, size }, signal));
    try {
      if (!remote.stateless) checkSame(hello, await readHello(from));
      const answer = await read(from);
      await drain(from);
      return answer;
    } catch (thrown) {
      // The server may have been replaced by one of another kind: hear it anew next time.
      known = null;
      throw thrown;
    } finally {
      await from.return(undefined);
    }
  }

  return {
    hello: async (signal) => known ?? hear(signal),
    async refs(prefixes, signal) {
      // A server without version 2 says its refs at once, and only then: ask each time.
      const hello = known?.version === 2 ? known : await hear(signal);
      if (hello.version !== 2) return hello.refs;
      return talk(hello, closing(remote, lsRefsRequest(hello, prefixes)), 'refs', readRefs, signal);
    },
    async fetch(request, save, signal) {
      const hello = known ?? (await hear(signal));
      const body = closing(remote, fetchRequest(hello, request), hello);
      return talk(
        hello,
        body,
        'pack',
        async (from) => {
          const answer = await readFetch(hello, from);
          if (answer.pack !== null) await save(answer.pack);
          return { common: answer.common, pack: answer.pack !== null };
        },
        signal,
      );
    },
  };
}

/** Over a standing connection a version 2 server waits for a further command until a flush ends it. */
const closing = (remote: Remote, body: Uint8Array, hello?: Hello): Uint8Array =>
  remote.stateless || (hello !== undefined && hello.version !== 2) ? body : Buffer.concat([body, Buffer.from('0000')]);

function checkSame(known: Hello, now: Hello): void {
  checkHello(now);
  if (known.version !== now.version) throw broken(`it spoke version ${known.version} before and ${now.version} now`);
}

async function drain(from: AsyncIterator<Packet>): Promise<void> {
  for (let at = 0; !(await from.next()).done; at++) if (at > 100) throw broken('it does not end');
}
