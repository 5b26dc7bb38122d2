/** Fetches the objects that a host needs of a commit, and as few others as the server allows. */

import { parseCommit } from './store/commit.ts';
import { MAX_BLOB } from './store/layer-files.ts';
import type { ObjectStore } from './store/store.ts';
import { isWhole, locate, tooHeavy, type View } from './store/tree.ts';
import { LARGE, OverBudget, type PackLimits } from './wire/budget.ts';
import { type GitClient, isMisunderstanding } from './wire/client.ts';
import { broken } from './wire/packet.ts';
import type { Hello } from './wire/protocol.ts';
import { ObjectUnknown } from './wire/server-error.ts';

export interface Fetcher {
  /**
   * Brings commit objects: `commit` itself and, where the server has `base`, those between the two.
   * @param also ids of tag objects that are needed too
   * @returns whether the server has `base`
   */
  commits(commit: string, base: string | null, also: readonly string[], signal: AbortSignal): Promise<boolean>;
  /**
   * Brings the commits that `wants` descend from, without files, as far as the server shows them.
   * @param depth generations of them; all when null
   * @returns false if the server does not have one of them, or can only send it with more than a host should fetch
   */
  history(
    wants: readonly string[],
    haves: readonly string[],
    depth: number | null,
    signal: AbortSignal,
  ): Promise<boolean>;
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

type Request = Parameters<GitClient['fetch']>[0];

/** Fetch only objects that are requested by id. */
const NOTHING_BELOW = 'tree:0';
/** With a first commit, also fetch the root and its directories: most hosts are directly below one of these. */
const FIRST = ['combine:blob:none+tree:2', 'tree:1', NOTHING_BELOW];
/** A server that refuses this sends large files in the pack. */
const NOTHING_LARGE = [`blob:limit=${LARGE}`, ''];
const REFUSED = 'it refuses to filter trees (git config uploadpackfilter.tree.allow true)';
const MIB = 1024 * 1024;
/**
 * The type of an object that was asked for by id, or that lies below one, is known. For histories and whole commits the
 * server may send more types.
 */
const LIMITS: Record<'upper' | 'closure' | 'large' | 'whole', PackLimits> = {
  upper: { pack: 256 * MIB, object: 64 * MIB, objects: 200_000, made: 1024 * MIB },
  closure: { pack: 1024 * MIB, object: 2 * MAX_BLOB, objects: 400_000, made: 2048 * MIB },
  large: { pack: MAX_BLOB + 4 * MIB, object: MAX_BLOB, objects: 8, made: 2 * MAX_BLOB },
  whole: { pack: 2048 * MIB, object: 512 * MIB, objects: 1_000_000, made: 8192 * MIB },
};
/** Small files in the directory of a role that host.yaml may turn out to name. */
const SMALL_AT_THE_TOP = ['combine:blob:limit=4096+tree:2', NOTHING_BELOW];
/** Number of files that are requested one by one. If more are missing, their whole directories are requested first, once. */
const MAX_SINGLE = 16;
/** Number of roles that may be fetched although the host does not name them. */
const MAX_GUESSED = 8;
/** Commits of history that are fetched with all their files, from a server that cannot leave these out. */
const MAX_WHOLE_HISTORY = 64;
/** Path depth and roles of roles bound how often more turns out to be missing. */
const MAX_ROUNDS = 48;

export function createFetcher(options: FetcherOptions): Fetcher {
  const { client, store, hostPath } = options;

  const get = (request: Request, limits: PackLimits, signal: AbortSignal) =>
    client.fetch(request, (pack) => store.add(pack, limits), signal);

  /** Why this server cannot filter; null if it can. */
  async function shortcoming(signal: AbortSignal): Promise<string | null> {
    const why = lacking(await client.hello(signal)) ?? (client.refuses(NOTHING_BELOW) ? REFUSED : null);
    if (why !== null) options.downgraded(why);
    return why;
  }

  /** The server supports less than was assumed, and has been asked meanwhile: begin again. */
  async function attempt<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const before = await shortcoming(signal);
    try {
      return await work();
    } catch (thrown) {
      if (before !== null || !isMisunderstanding(thrown)) throw thrown;
      if ((await shortcoming(signal).catch(() => null)) === null) throw thrown;
      return work();
    }
  }

  async function commits(
    commit: string,
    base: string | null,
    also: readonly string[],
    signal: AbortSignal,
  ): Promise<boolean> {
    const whole = (await shortcoming(signal)) !== null;
    const limits = whole ? LIMITS.whole : LIMITS.upper;
    const wants = [commit, ...also];
    let hasBase = false;
    if (base !== null) {
      // Deltas against our objects of the base reduce a wide directory to its changed entries.
      const held = (await store.complete()).includes(base);
      const depth = hostPath.split('/').filter(Boolean).length;
      const filters = whole ? [] : [...(held ? [`tree:${depth}`] : []), NOTHING_BELOW];
      const range = { wants, haves: [base], thin: held && !whole, filters };
      const version2 = (await client.hello(signal)).version === 2;
      const ask = async (done: boolean) => {
        try {
          return await get({ ...range, done }, limits, signal);
        } catch (thrown) {
          // Wide directories of very many commits, as after a long absence: the commits alone, then.
          if (!held || whole || !(thrown instanceof OverBudget)) throw thrown;
          return get({ ...range, filters: [NOTHING_BELOW], done }, limits, signal);
        }
      };
      const asked = await ask(!version2);
      hasBase = asked.common.includes(base);
      // The server has the base but cannot tell whether the commit descends from it: let it send the history that it has.
      if (!asked.pack && asked.common.includes(base)) await ask(true);
    }
    const missing = await store.lacking(wants);
    if (missing.length === 0) return hasBase;
    const filters = whole ? [] : FIRST;
    await get({ wants: missing, depth: 1, done: true, filters }, limits, signal);
    if ((await store.lacking(wants)).length > 0) throw broken(`it did not send commit ${commit}`);
    return hasBase;
  }

  async function history(
    wants: readonly string[],
    haves: readonly string[],
    depth: number | null,
    signal: AbortSignal,
  ): Promise<boolean> {
    const whole = (await shortcoming(signal)) !== null;
    // Such a server sends the files of all of it as well.
    if (whole && haves.length === 0 && (depth === null || depth > MAX_WHOLE_HISTORY)) return false;
    const filters = whole ? [] : [NOTHING_BELOW];
    const request = { wants, haves, filters, done: true, ...(depth === null ? {} : { depth }) };
    try {
      await get(request, whole ? LIMITS.whole : LIMITS.upper, signal);
      return true;
    } catch (thrown) {
      if (thrown instanceof ObjectUnknown) return false;
      throw thrown;
    }
  }

  async function contents(commit: string, signal: AbortSignal): Promise<View> {
    const { tree } = parseCommit(await store.read(commit, 'commit'));
    const bases = await basesOf(store);
    let before = '';
    let hasAskedWhole = false;
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const found = await locate(store, tree, hostPath);
      if (isWhole(found)) return found.view;
      const { trees, closures, files, view } = found;
      const now = JSON.stringify([trees, closures, [...files.keys()]]);
      const stuck = now === before;
      if (stuck && bases.length === 0)
        throw broken(`it did not send ${[...trees, ...closures, ...files.keys()].join(', ')}`);
      // The object that the server left out is in a delta base, but not in our part of the repository.
      if (stuck) bases.length = 0;
      before = now;
      if ((await shortcoming(signal)) !== null)
        await get({ wants: [commit], depth: 1, done: true }, LIMITS.whole, signal);
      else {
        // Send one request per round: the objects below a path are known only when the path itself is here.
        if (trees.length > 0) await get({ wants: trees, filters: [NOTHING_BELOW], done: true }, LIMITS.upper, signal);
        else if (closures.length > 0) {
          // On a first pull the roles are probably named by the host: request them at the same time.
          const guess = bases.length === 0 && found.roles.length <= MAX_GUESSED ? found.roles : [];
          await together([
            get(closureRequest(closures, bases), LIMITS.closure, signal),
            guess.length === 0
              ? null
              : get({ wants: guess, filters: SMALL_AT_THE_TOP, done: true }, LIMITS.upper, signal).catch(
                  () => undefined,
                ),
          ]);
        } else if (!hasAskedWhole && files.size > MAX_SINGLE) {
          // Most of them are in a base, but not in our part of it, or the first requests left them out as deep or not small.
          hasAskedWhole = true;
          bases.length = 0;
          const trees = view.layers.map((layer) => layer.tree);
          await get(closureRequest(trees, bases), LIMITS.closure, signal);
          // All of them may be large: then none came, and each is requested by itself.
          before = '';
        } else await getLarge(files, signal);
      }
    }
    throw broken(`after ${MAX_ROUNDS} requests there is still more missing of ${hostPath}`);
  }

  /** Request files one by one: then a pack is no larger than its file, and the server sends no deltas between them. */
  async function getLarge(files: ReadonlyMap<string, string>, signal: AbortSignal): Promise<void> {
    for (const [oid, file] of files) {
      const save = (pack: AsyncIterable<Uint8Array>) => store.addOne(oid, pack, LIMITS.large);
      await client.fetch({ wants: [oid], done: true }, save, signal).catch((thrown) => {
        throw thrown instanceof OverBudget && thrown.what === 'object' ? tooHeavy(file, thrown.size) : thrown;
      });
    }
  }

  return {
    commits: (commit, base, also, signal) => attempt(() => commits(commit, base, also, signal), signal),
    history: (wants, haves, depth, signal) => attempt(() => history(wants, haves, depth, signal), signal),
    contents: (commit, signal) => attempt(() => contents(commit, signal), signal),
  };
}

/** Waits for all of them, whatever becomes of one. */
async function together(work: readonly (Promise<unknown> | null)[]): Promise<void> {
  for (const result of await Promise.allSettled(work)) if (result.status === 'rejected') throw result.reason;
}

/**
 * Called shallow, so that the server compares with the base's trees although no commit is asked for; it does so for thin
 * packs alone (git-pack-objects: --objects-edge-aggressive). An object whose base is not here is asked for again, whole.
 */
const closureRequest = (wants: readonly string[], bases: readonly string[]): Request => ({
  wants,
  haves: bases,
  shallow: bases,
  thin: bases.length > 0,
  filters: NOTHING_LARGE,
  done: true,
});

async function basesOf(store: ObjectStore): Promise<string[]> {
  const complete = await store.complete();
  const absent = await store.lacking(complete);
  return complete.filter((commit) => !absent.includes(commit));
}

function lacking(hello: Hello): string | null {
  if (hello.version !== 2) return `it speaks version ${hello.version} of the git protocol, not version 2`;
  const features = hello.capabilities.get('fetch')?.split(' ') ?? [];
  return features.includes('filter') ? null : 'it does not filter (git config uploadpack.allowFilter true)';
}
