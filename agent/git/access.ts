/** Access to one repository: the transport to the server, and the local store of fetched objects. */
import { rm } from 'node:fs/promises';
import { AgentError } from '../errors.ts';
import type { Log } from '../log.ts';
import { createFetcher, type Fetcher } from './fetch.ts';
import { DamagedObject, MissingObject, type Objects } from './pack/objects.ts';
import { unpack } from './pack/unpack.ts';
import type { Unpacking } from './reader/unpacking.ts';
import { newBeside, replaceStore } from './renewal.ts';
import { parseCommit } from './store/commit.ts';
import { openLocal } from './store/local.ts';
import { createRecent } from './store/recent.ts';
import { type ObjectStore, openObjects } from './store/store.ts';
import { idsOf, isWhole, locate } from './store/tree.ts';
import type { Policy } from './trust/review.ts';
import type { SignatureOptions } from './trust/signature.ts';
import { createClient, type GitClient } from './wire/client.ts';
import { createHttp } from './wire/http.ts';
import { LIMITS, type Limits, type Remote } from './wire/remote.ts';
import { createSmartHttp, type HttpAuth } from './wire/smart-http.ts';
import { createSsh, parseSshUrl } from './wire/ssh.ts';

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
  /** The agent's environment: proxies and PATH. */
  env: Record<string, string | undefined>;
  exec: SignatureOptions['exec'];
  log: Log;
  limits?: Partial<Limits>;
  /** A part of an answer of the server came, or a signature was checked: signs of life. */
  received?: (() => void) | undefined;
  /** The commit that was accepted last: of it nothing will come that must be unpacked, also after a restart. */
  accepted?: (() => string | null) | undefined;
  /** Starts the process that unpacks packs. Default: this process unpacks them itself. */
  unpacking?: Pick<Unpacking, 'begin' | 'unpack' | 'end'> | undefined;
}

/** Reads refs and brings objects; a repository in place has nothing to bring. */
export interface Access {
  refs: GitClient['refs'];
  /** Runs `work` on the objects; a damaged store is replaced, once the work went well on a fresh one. */
  using<T>(work: (objects: Objects, fetcher: Fetcher | null) => Promise<T>): Promise<T>;
  /** Resolves when the objects from `using` are on disk. */
  settled(): Promise<void>;
  /** Something new is about to be fetched. Never throws. */
  begin(): void;
  /** Stop fetching for now. Never throws. */
  end(): Promise<void>;
  /** To be called after a checkout: names the objects that stay. Never throws. */
  keep(commits: readonly string[]): Promise<void>;
}

/** @throws AgentError `InvalidConfig` if fairlead cannot use the url */
export function accessTo(options: SourceOptions): Access {
  const { url, env } = options;
  if (/^https?:\/\//.test(url)) {
    const parsed = URL.parse(url);
    if (parsed === null) throw invalid(`repo.url ${url} is no web address`);
    if (parsed.username || parsed.password)
      throw invalid('repo.url must not carry a password or token; put it into a file and name that in repo.auth');
    const limits = { ...LIMITS, ...options.limits };
    const http = createHttp({ ca: options.ca, cert: options.cert, key: options.key, env, limits });
    return remoteAccess(
      options,
      createClient(heard(createSmartHttp({ url, auth: options.auth ?? {}, http, limits }), options)),
    );
  }
  if (/^\w[\w+.-]*:\/\//.test(url) ? url.startsWith('ssh://') : parseSshUrl(url) !== null && !url.startsWith('/')) {
    const limits = { ...LIMITS, ...options.limits };
    return remoteAccess(options, createClient(heard(createSsh({ url, ...options.auth, env, limits }), options)));
  }
  if (/^\w[\w+.-]*:\/\//.test(url) && !url.startsWith('file://'))
    throw invalid(`repo.url ${url} is of no kind that fairlead knows; use https, http, ssh or a path`);
  return localAccess(url);
}

/** Tells of each part of an answer as it comes. */
const heard = (remote: Remote, { received }: SourceOptions): Remote =>
  received === undefined
    ? remote
    : {
        ...remote,
        async *exchange(request, signal) {
          for await (const part of remote.exchange(request, signal)) {
            received();
            yield part;
          }
        },
      };

function localAccess(url: string): Access {
  const local = openLocal(url);
  return {
    refs: (prefixes) => local.refs(prefixes),
    using: async (work) => work(await local.objects(), null),
    settled: async () => undefined,
    begin: () => undefined,
    end: async () => undefined,
    keep: async () => undefined,
  };
}

function remoteAccess(options: SourceOptions, client: GitClient): Access {
  const { url, gitdir, path: hostPath, log, unpacking = HERE } = options;
  const said = new Set<string>();
  const downgraded = (why: string) => {
    if (!said.has(why))
      log.warn({ repo: url }, `whole commits are fetched from ${url}, not only this host's part: ${why}`);
    said.add(why);
  };
  const on = async <T>(store: ObjectStore, work: Parameters<Access['using']>[0]) =>
    (await work(store, createFetcher({ client, store, hostPath, downgraded }))) as T;
  let recent = createRecent();
  /** A review and the checkout after it fetch in memory; their objects are written to the store afterwards. */
  let view: ObjectStore | null = null;
  /** Why the store must be fetched again, if that was found while nothing could be fetched. */
  let spoiled: string | null = null;
  /** @returns whether everything was written; objects that were not are fetched again */
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
  const forget = () => {
    recent = createRecent();
  };

  /** On a store that begins empty, and takes the place of the one that is there when the work went well. */
  async function anew<T>(why: string, work: Parameters<Access['using']>[0]): Promise<T> {
    log.warn({ object: why }, 'the object store is damaged; fetching it again');
    forget();
    const fresh = newBeside(gitdir);
    await rm(fresh, { recursive: true, force: true });
    const store = openObjects({ gitdir: fresh, recent, home: gitdir, unpack: unpacking.unpack });
    const result = await on<T>(store, work);
    await store.settled();
    const aside = await replaceStore(gitdir);
    spoiled = null;
    log.info({ aside }, 'the object store was fetched again');
    return result;
  }

  return {
    refs: client.refs,
    async using(work) {
      type Result = Awaited<ReturnType<typeof work>>;
      if (spoiled !== null) return anew<Result>(spoiled, work);
      view ??= openObjects({ gitdir, recent, unpack: unpacking.unpack });
      try {
        return await on<Result>(view, work);
      } catch (thrown) {
        await close();
        if (!isDamage(thrown)) throw thrown;
        return anew<Result>(thrown.message, work);
      }
    },
    begin: unpacking.begin,
    end: unpacking.end,
    settled: async () => void (await close()),
    async keep(commits) {
      if (!(await close())) return;
      try {
        const store = openObjects({ gitdir, recent, unpack: unpacking.unpack });
        const complete = await store.complete();
        const kept = commits.filter((c, at) => at === commits.length - 1 || complete.includes(c));
        if (JSON.stringify(kept) !== JSON.stringify(complete)) await store.setComplete(kept);
        await store.compact(() => allIds(store, kept, hostPath));
      } catch (thrown) {
        // A damaged store must never be read again, and a store that cannot be compacted would grow for ever.
        if (isDamage(thrown)) spoiled = thrown.message;
        log.warn({ error: String(thrown) }, 'the object store could not be made smaller');
      }
    },
  };
}

const HERE: Pick<Unpacking, 'begin' | 'unpack' | 'end'> = {
  begin: () => undefined,
  unpack,
  end: async () => undefined,
};

const isDamage = (thrown: unknown): thrown is Error =>
  thrown instanceof DamagedObject || thrown instanceof MissingObject;

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

const invalid = (message: string) => new AgentError({ code: 'InvalidConfig', phase: 'config', message });
