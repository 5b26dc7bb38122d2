/** The git client of one repository: reads refs, and fetches packs of wanted objects. */
import { AgentError } from '../../errors.ts';
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
import { type Remote, UnexpectedAnswer } from './remote.ts';
import { FilterRefused } from './server-error.ts';

export interface GitClient {
  /** Capabilities of the server, as far as they are known. */
  hello(signal: AbortSignal): Promise<Hello>;
  /** Whether it is known to refuse this filter. */
  refuses(filter: string): boolean;
  /**
   * Refs that begin with one of `prefixes`; older servers list all, whatever is asked.
   * @param most bytes of the answer, in protocol version 2. @throws AgentError `FetchOverBudget`
   */
  refs(prefixes: readonly string[], signal: AbortSignal, most: number): Promise<readonly Ref[]>;
  /**
   * @param request `filters` in order of preference, since a server may allow some and refuse others; `''` is none
   * @param save takes the bytes of the pack, to the end
   * @returns our `haves` that the server knows, and whether a pack came
   */
  fetch(
    request: Omit<FetchRequest, 'filter'> & { filters?: readonly string[] },
    save: (pack: AsyncIterable<Uint8Array>) => Promise<void>,
    signal: AbortSignal,
  ): Promise<{ common: readonly string[]; pack: boolean }>;
}

/** Assume the capabilities of current servers; an older server answers with an error, and is then asked for its own. */
const TODAY: Hello = { version: 2, capabilities: new Map([['fetch', 'shallow filter']]), refs: [] };

/** A poll is one request, the first one too: a server is spoken to before it is heard, and remembered. */
export function createClient(remote: Remote): GitClient {
  let known: Hello | null = TODAY;
  const refused = new Set<string>();

  async function hear(signal: AbortSignal): Promise<Hello> {
    const from = packets(remote.exchange({ body: null, size: 'refs' }, signal));
    try {
      const hello = await readHello(from);
      await drain(from);
      checkHello(hello);
      known = hello;
      return hello;
    } finally {
      await from.return(undefined);
    }
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
      if (!remote.stateless) {
        const now = await readHello(from);
        checkSame(hello, now);
        known = now;
      }
      const answer = await read(from);
      await drain(from);
      return answer;
    } catch (thrown) {
      // The server may have been replaced by one of another kind: ask it again next time.
      known = null;
      throw thrown;
    } finally {
      await from.return(undefined);
    }
  }

  async function refs(prefixes: readonly string[], signal: AbortSignal, most: number): Promise<readonly Ref[]> {
    // A server without version 2 says its refs at once, and only then: ask each time.
    const hello = known?.version === 2 ? known : await hear(signal);
    if (hello.version !== 2) return hello.refs;
    const read = (from: AsyncGenerator<Packet>) => readRefs(from, most);
    try {
      return await talk(hello, closing(remote, lsRefsRequest(hello, prefixes)), 'refs', read, signal);
    } catch (thrown) {
      if (hello === TODAY && isMisunderstanding(thrown)) return refs(prefixes, signal, most);
      throw thrown;
    }
  }

  const fetch: GitClient['fetch'] = async (request, save, signal) => {
    const { filters = [], ...rest } = request;
    const hello = known ?? (await hear(signal));
    const filter = filters.find((f) => !refused.has(f));
    const body = closing(remote, fetchRequest(hello, { ...rest, ...(filter ? { filter } : {}) }), hello);
    const read = async (from: AsyncGenerator<Packet>) => {
      const answer = await readFetch(hello, from);
      if (answer.pack !== null) await save(answer.pack);
      return { common: answer.common, pack: answer.pack !== null };
    };
    try {
      return await talk(hello, body, 'pack', read, signal);
    } catch (thrown) {
      if (filter === undefined || !(thrown instanceof FilterRefused)) throw thrown;
      refused.add(filter);
      known = hello;
      if (filters.every((f) => refused.has(f))) throw thrown;
      return fetch(request, save, signal);
    }
  };

  return { hello: async (signal) => known ?? hear(signal), refuses: (filter) => refused.has(filter), refs, fetch };
}

/** Whether the server may be an older one than it was taken for. */
export const isMisunderstanding = (thrown: unknown): boolean =>
  thrown instanceof UnexpectedAnswer ||
  (thrown instanceof AgentError && (thrown.code === 'ServerError' || thrown.code === 'ProtocolError'));

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
