/** Brings what a host needs of a commit into the object store, and as little else as the server allows. */
import type { GitClient } from './client.ts';
import { parseCommit } from './commit.ts';
import { broken } from './packet.ts';
import type { FetchRequest, Hello } from './protocol.ts';
import type { ObjectStore, PackLimits } from './store.ts';
import { locate, MAX_BLOB, type View } from './tree.ts';

export interface Fetcher {
  /**
   * Brings commit objects: `commit` itself and, where the server has `base`, those between the two.
   * @param also ids of tag objects that are needed too
   */
  commits(commit: string, base: string | null, also: readonly string[], signal: AbortSignal): Promise<void>;
  /** Brings all of this host's part of `commit`, whose own object is here already. */
  contents(commit: string, signal: AbortSignal): Promise<View>;
}

export interface FetcherOptions {
  client: GitClient;
  store: ObjectStore;
  hostPath: string;
  /** Called once for each reason why whole commits must be fetched. */
  downgraded(why: string): void;
}

const MIB = 1024 * 1024;
const LIMITS: Record<'upper' | 'closure' | 'whole', PackLimits> = {
  upper: { pack: 256 * MIB, object: 64 * MIB },
  closure: { pack: 1024 * MIB, object: 2 * MAX_BLOB },
  whole: { pack: 2048 * MIB, object: 512 * MIB },
};
/** Path depth and roles of roles bound how often more turns out to be missing. */
const MAX_ROUNDS = 48;

export function createFetcher(options: FetcherOptions): Fetcher {
  const { client, store, hostPath } = options;

  const get = async (request: FetchRequest, limits: PackLimits, signal: AbortSignal) => {
    return client.fetch(request, (pack) => store.add(pack, limits), signal);
  };

  /** Why this server cannot leave out what other hosts need; null where it can. */
  async function shortcoming(signal: AbortSignal): Promise<string | null> {
    const why = lacking(await client.hello(signal));
    if (why !== null) options.downgraded(why);
    return why;
  }

  async function commits(
    commit: string,
    base: string | null,
    also: readonly string[],
    signal: AbortSignal,
  ): Promise<void> {
    // Packs are indexed with it in a moment; it loads while the server works.
    void import('isomorphic-git');
    const whole = (await shortcoming(signal)) !== null;
    const limits = whole ? LIMITS.whole : LIMITS.upper;
    const wants = [commit, ...also];
    if (base !== null) {
      // Deltas against what we have of the base shrink a wide directory to the entries that changed.
      const held = (await store.complete()).includes(base);
      const depth = hostPath.split('/').filter(Boolean).length;
      const filter = whole ? {} : { filter: held ? `tree:${depth}` : 'tree:0' };
      const range = { wants, haves: [base], thin: held && !whole, ...filter };
      const version2 = (await client.hello(signal)).version === 2;
      const asked = await get({ ...range, done: !version2 }, limits, signal);
      // It has the base, and is not sure that the commit comes after it: let it send what it has.
      if (!asked.pack && asked.common.includes(base)) await get({ ...range, done: true }, limits, signal);
    }
    const missing = await absent(store, wants);
    if (missing.length === 0) return;
    const filter = whole ? {} : { filter: 'tree:1' };
    await get({ wants: missing, depth: 1, done: true, ...filter }, limits, signal);
    if ((await absent(store, wants)).length > 0) throw broken(`it did not send commit ${commit}`);
  }

  async function contents(commit: string, signal: AbortSignal): Promise<View> {
    const { tree } = parseCommit(await store.read(commit, 'commit'));
    const bases = await basesOf(store);
    let before = '';
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const { trees, closures, view } = await locate(store, tree, hostPath);
      if (trees.length + closures.length === 0) return view;
      const now = JSON.stringify([trees, closures]);
      const stuck = now === before;
      if (stuck && bases.length === 0) throw broken(`it did not send ${[...trees, ...closures].join(', ')}`);
      // What it left out is in a base, but not in our part of it.
      if (stuck) bases.length = 0;
      before = now;
      if ((await shortcoming(signal)) !== null)
        await get({ wants: [commit], depth: 1, done: true }, LIMITS.whole, signal);
      else {
        // One request a round; what hangs below the way is clearer once the way is here.
        if (trees.length > 0) await get({ wants: trees, filter: 'tree:0', done: true }, LIMITS.upper, signal);
        else await get(closureRequest(closures, bases), LIMITS.closure, signal);
      }
    }
    throw broken(`after ${MAX_ROUNDS} requests there is still more missing of ${hostPath}`);
  }

  return { commits, contents };
}

/** Called shallow, so that the server compares with the base's trees although no commit is asked for. */
const closureRequest = (wants: readonly string[], bases: readonly string[]): FetchRequest => ({
  wants,
  haves: bases,
  shallow: bases,
  done: true,
});

async function basesOf(store: ObjectStore): Promise<string[]> {
  const complete = await store.complete();
  const here = await Promise.all(complete.map(async (c) => ((await store.has(c)) ? [c] : [])));
  return here.flat();
}

async function absent(store: ObjectStore, ids: readonly string[]): Promise<string[]> {
  const found = await Promise.all(ids.map(async (id) => ((await store.has(id)) ? [] : [id])));
  return found.flat();
}

function lacking(hello: Hello): string | null {
  if (hello.version !== 2) return `it speaks version ${hello.version} of the git protocol, not version 2`;
  const features = hello.capabilities.get('fetch')?.split(' ') ?? [];
  return features.includes('filter') ? null : 'it does not filter (git config uploadpack.allowFilter true)';
}
