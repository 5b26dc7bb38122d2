/** The fleet repository as the engine sees it: over HTTP, over SSH, or in place. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { type Content, createPayload } from '../core/payload.ts';
import type { Review, ReviewRequest, Source } from '../core/provider.ts';
import type { Checkout } from '../core/types.ts';
import { AgentError } from '../errors.ts';
import type { Log } from '../log.ts';
import { createClient, type GitClient } from './client.ts';
import { parseCommit } from './commit.ts';
import { createFetcher, type Fetcher } from './fetch.ts';
import { createHttp } from './http.ts';
import { openLocal } from './local.ts';
import { broken } from './packet.ts';
import { isCommitId, prefixesOf, type Resolved, resolve } from './refs.ts';
import { LIMITS, type Limits } from './remote.ts';
import { describe, type Policy, review } from './review.ts';
import { contentOf, seenSince } from './seen.ts';
import type { SignatureOptions } from './signature.ts';
import { createSmartHttp, type HttpAuth } from './smart-http.ts';
import { createSsh, parseSshUrl } from './ssh.ts';
import { DamagedObject, MissingObject, type ObjectStore, type Objects, openObjects } from './store.ts';
import { idsOf, isWhole, locate, readFiles, type View } from './tree.ts';

export interface SourceOptions extends Policy {
  url: string;
  /** The host's directory in the repository. */
  path: string;
  auth?: (HttpAuth & { sshKeyFile?: string | undefined; knownHostsFile?: string | undefined }) | undefined;
  /** PEM files: a private CA; a client certificate and its key. */
  ca?: string | undefined;
  cert?: string | undefined;
  key?: string | undefined;
  /** Where fetched objects are kept (bare). Only a cache: it can be deleted at any time. */
  gitdir: string;
  /** Of the agent: proxies, PATH. */
  env: Record<string, string | undefined>;
  exec: SignatureOptions['exec'];
  log: Log;
  limits?: Partial<Limits>;
}

/** Reads refs and brings objects; a repository in place has nothing to bring. */
interface Access {
  refs: GitClient['refs'];
  /** Runs `work` on the objects; a damaged store is replaced, once the work went well on a fresh one. */
  using<T>(work: (objects: Objects, fetcher: Fetcher | null) => Promise<T>): Promise<T>;
  /** When what `using` brought lies on disk. */
  settled(): Promise<void>;
  /** After a checkout: what is kept from now on. Never throws. */
  keep(commits: readonly string[]): Promise<void>;
}

export interface GitSource extends Source {
  /** When what was fetched is on disk. A checkout does not wait for it; the next review or checkout does. */
  settled(): Promise<void>;
}

/** @throws AgentError `InvalidConfig` where the url is none that fairlead can use */
export function createSource(options: SourceOptions): GitSource {
  const access = accessTo(options);
  const { ref, path: hostPath, exec } = options;
  let resolved: Resolved | null = null;
  let aboveFloor: string | null = null;
  let last: { commit: string; review: Review; accepted: string | null } | null = null;
  const vouched = new Set<string>();
  let queue: Promise<unknown> = Promise.resolve();
  /** A plan may be asked for during a run: one at a time, since both write to the store. */
  const alone = <T>(work: () => Promise<T>): Promise<T> => {
    const next = queue.then(work, work);
    queue = next.catch(() => undefined);
    return next;
  };
  /** Files that did not change are not read again: their ids say so. The bytes are those that the host's resources hold. */
  let blobs: ReadonlyMap<string, Content> = new Map();
  const remembering = (objects: Objects): Objects => {
    const before = blobs;
    const seen = new Map<string, Content>();
    blobs = seen;
    return {
      has: (oid) => objects.has(oid),
      async read(oid, type) {
        if (type !== 'blob') return objects.read(oid, type);
        const known = before.get(oid);
        const bytes = known instanceof Uint8Array ? known : await objects.read(oid, type);
        seen.set(oid, bytes);
        return bytes;
      },
      async stored(oid) {
        const known = before.get(oid);
        if (known instanceof Uint8Array) return null;
        // One that turned out to be damaged was removed.
        const file = known !== undefined && (await objects.has(oid)) ? known : await objects.stored?.(oid);
        if (file) seen.set(oid, file);
        return file ?? null;
      },
    };
  };
  const resolvedFor = (commit: string) => (resolved?.commit === commit ? resolved : null);

  /** What was a branch before is most likely one still: half the question. */
  async function sameBranch(signal: AbortSignal): Promise<Resolved | null> {
    const name = `refs/heads/${ref}`;
    if (resolved?.kind !== 'branch' || !prefixesOf(ref).includes(name)) return null;
    const found = (await access.refs([name], signal)).find((r) => r.name === name);
    return found ? { kind: 'branch', commit: found.oid, name: ref, tag: null } : null;
  }

  async function judged(commit: string, request: ReviewRequest, signal: AbortSignal): Promise<Review> {
    const result = await access.using((objects, fetcher) =>
      review({
        ...{ commit, request, objects, exec, aboveFloor },
        resolved: resolvedFor(commit),
        policy: options,
        bring: async (base, also) => fetcher?.commits(commit, base, also, signal),
      }),
    );
    if (result.aboveFloor) aboveFloor = commit;
    last = { commit, review: result, accepted: request.accepted };
    if (result.hold === null) vouched.add(commit);
    else await access.settled();
    return { info: result.info, hold: result.hold };
  }

  async function take(commit: string, signal: AbortSignal): Promise<Checkout> {
    const before = last?.commit === commit ? last : null;
    const base = before?.accepted && before.accepted !== commit ? before.accepted : null;
    const checkout = await access.using(async (objects, fetcher) => {
      if (!(await objects.has(commit))) await fetcher?.commits(commit, null, [], signal);
      const parsed = parseCommit(await objects.read(commit, 'commit'));
      const view = await (fetcher?.contents(commit, signal) ?? inPlace(objects, parsed.tree, hostPath));
      const info = {
        ...(before?.review.info ?? describe(ref, commit, parsed, resolvedFor(commit))),
        content: contentOf(view),
        ...(base ? { commits: await seenSince(objects, commit, base, view) } : {}),
      };
      const files = createPayload(await readFiles(remembering(objects), view), { read, sha256 });
      return { info, hostPath, hostExists: view.hostExists, files };
    });
    void alone(() => access.keep([...(before?.accepted ? [before.accepted] : []), commit]));
    return checkout;
  }

  return {
    id: `${options.url}#${ref}`,
    policy: JSON.stringify([options.url, ref, hostPath, options.since ?? null, options.verify ?? null]),
    async head(signal) {
      resolved = isCommitId(ref)
        ? { kind: 'commit', commit: ref, name: '', tag: null }
        : ((await sameBranch(signal)) ?? resolve(ref, await access.refs(prefixesOf(ref), signal), options.url));
      return resolved.commit;
    },
    vouchesFor: (commit) => vouched.has(commit),
    review: (commit, request, signal) => alone(() => judged(commit, request, signal)),
    checkout: (commit, signal) => alone(() => take(commit, signal)),
    settled: () => alone(async () => undefined),
  };
}

async function inPlace(objects: Objects, tree: string, hostPath: string): Promise<View> {
  const found = await locate(objects, tree, hostPath);
  if (!isWhole(found))
    throw broken(`it lacks ${[...found.trees, ...found.closures, ...found.files.keys()].join(', ')}`);
  return found.view;
}

function accessTo(options: SourceOptions): Access {
  const { url, env } = options;
  if (/^https?:\/\//.test(url)) {
    const parsed = URL.parse(url);
    if (parsed === null) throw invalid(`repo.url ${url} is no web address`);
    if (parsed.username || parsed.password)
      throw invalid('repo.url must not carry a password or token; put it into a file and name that in repo.auth');
    const limits = { ...LIMITS, ...options.limits };
    const http = createHttp({ ca: options.ca, cert: options.cert, key: options.key, env, limits });
    return remoteAccess(options, createClient(createSmartHttp({ url, auth: options.auth ?? {}, http, limits })));
  }
  if (/^\w[\w+.-]*:\/\//.test(url) ? url.startsWith('ssh://') : parseSshUrl(url) !== null && !url.startsWith('/')) {
    const limits = { ...LIMITS, ...options.limits };
    return remoteAccess(options, createClient(createSsh({ url, ...options.auth, env, limits })));
  }
  if (/^\w[\w+.-]*:\/\//.test(url) && !url.startsWith('file://'))
    throw invalid(`repo.url ${url} is of no kind that fairlead knows; use https, http, ssh or a path`);
  return localAccess(url);
}

function localAccess(url: string): Access {
  const local = openLocal(url);
  return {
    refs: (prefixes) => local.refs(prefixes),
    using: (work) => work(local.objects(), null),
    settled: async () => undefined,
    keep: async () => undefined,
  };
}

function remoteAccess({ url, gitdir, path: hostPath, log }: SourceOptions, client: GitClient): Access {
  const said = new Set<string>();
  const downgraded = (why: string) => {
    if (!said.has(why))
      log.warn({ repo: url }, `whole commits are fetched from ${url}, not only this host's part: ${why}`);
    said.add(why);
  };
  const on = async <T>(store: ObjectStore, work: Parameters<Access['using']>[0]) =>
    (await work(store, createFetcher({ client, store, hostPath, downgraded }))) as T;
  /** Of a review and the checkout that follows: what came is indexed behind them. */
  let view: ObjectStore | null = null;
  /** @returns whether the disk took all of it; what it did not take is fetched again */
  const close = async (): Promise<boolean> => {
    const store = view;
    view = null;
    try {
      await store?.settled();
      return true;
    } catch (thrown) {
      log.warn({ error: String(thrown) }, 'what was fetched could not be kept');
      return false;
    }
  };
  return {
    refs: client.refs,
    async using(work) {
      view ??= openObjects(gitdir);
      try {
        return await on(view, work);
      } catch (thrown) {
        await close();
        if (!(thrown instanceof DamagedObject || thrown instanceof MissingObject)) throw thrown;
        log.warn({ object: thrown.message }, 'the object store is damaged; fetching it anew');
        const fresh = `${gitdir}.new`;
        await rm(fresh, { recursive: true, force: true });
        const store = openObjects(fresh, gitdir);
        const result = await on<Awaited<ReturnType<typeof work>>>(store, work);
        await store.settled();
        await rm(`${gitdir}.old`, { recursive: true, force: true });
        await rename(gitdir, `${gitdir}.old`);
        await rename(fresh, gitdir);
        await rm(`${gitdir}.old`, { recursive: true, force: true });
        return result;
      }
    },
    settled: async () => void (await close()),
    async keep(commits) {
      if (!(await close())) return;
      try {
        const store = openObjects(gitdir);
        const complete = await store.complete();
        const kept = commits.filter((c, at) => at === commits.length - 1 || complete.includes(c));
        if (JSON.stringify(kept) !== JSON.stringify(complete)) await store.setComplete(kept);
        await store.compact(() => allIds(store, kept, hostPath));
      } catch (thrown) {
        log.warn({ error: String(thrown) }, 'the object store could not be made smaller');
      }
    },
  };
}

async function allIds(objects: Objects, commits: readonly string[], hostPath: string): Promise<string[]> {
  const ids: string[] = [];
  for (const commit of commits) {
    if (!(await objects.has(commit))) continue;
    const { tree } = parseCommit(await objects.read(commit, 'commit'));
    const found = await locate(objects, tree, hostPath);
    if (isWhole(found)) ids.push(commit, ...(await idsOf(objects, tree, hostPath, found.view)));
  }
  return ids;
}

const read = (file: string): Uint8Array | null => (existsSync(file) ? readFileSync(file) : null);
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

const invalid = (message: string) => new AgentError({ code: 'InvalidConfig', phase: 'config', message });
