/** The fleet repository through isomorphic-git: shallow over http(s), or read in place from a local path. */
import fs from 'node:fs';
import { readdir, readFile, rename, rm } from 'node:fs/promises';
import https from 'node:https';
import path from 'node:path';
import type { Source } from '../core/provider.ts';
import type { Checkout, CommitInfo } from '../core/types.ts';
import { AgentError } from '../errors.ts';
import type { Log } from '../log.ts';
import { readCheckout } from './tree.ts';

export interface SourceOptions {
  url: string;
  ref: string;
  /** The host's directory in the repository. */
  path: string;
  auth?:
    | { username?: string | undefined; passwordFile?: string | undefined; tokenFile?: string | undefined }
    | undefined;
  /** PEM file of a private CA. */
  ca?: string | undefined;
  /** Where fetched objects are kept (bare). Only a cache: it can be deleted at any time. */
  gitdir: string;
  log: Log;
  /** No single exchange with the server may take longer. */
  timeoutMs?: number;
}

/** Every fetch adds a pack; beyond this many the cache is begun anew. */
const MAX_PACKS = 20;
const DEFAULT_TIMEOUT_MS = 60_000;

/** http(s) URLs are fetched, everything else is a path on this machine. */
export function createSource(options: SourceOptions): Source {
  if (/^https?:\/\//.test(options.url)) return httpSource(options);
  if (/^(ssh:\/\/|[\w.-]+@[\w.-]+:)/.test(options.url)) {
    throw new AgentError({
      code: 'UnsupportedTransport',
      phase: 'config',
      message: `repo.url ${options.url}: ssh is not supported yet; use https or a local path`,
    });
  }
  return localSource(options);
}

function localSource(options: SourceOptions): Source {
  const root = options.url.replace(/^file:\/\//, '');
  const gitdir = () => (fs.existsSync(path.join(root, '.git')) ? path.join(root, '.git') : root);
  return {
    async head() {
      const git = await import('isomorphic-git');
      if (!fs.existsSync(path.join(gitdir(), 'HEAD'))) throw unreachable(options, 'there is no git repository');
      return git.resolveRef({ fs, gitdir: gitdir(), ref: options.ref }).catch(() => {
        throw refNotFound(options);
      });
    },
    checkout: (commit) => read(options, gitdir(), commit),
  };
}

function httpSource(options: SourceOptions): Source {
  const gitdir = options.gitdir;
  return {
    async head(signal) {
      const git = await import('isomorphic-git');
      const refs = await exchange(options, signal, async (http) =>
        git.listServerRefs({
          http,
          url: options.url,
          protocolVersion: 2,
          ...(await prefixOf(options)),
          ...(await auth(options)),
        }),
      );
      const wanted = [options.ref, `refs/heads/${options.ref}`, `refs/tags/${options.ref}`];
      const found = refs.find((r) => wanted.includes(r.ref));
      if (found === undefined) {
        if (/^[0-9a-f]{40}$/.test(options.ref)) return options.ref;
        throw refNotFound(options);
      }
      return found.peeled ?? found.oid;
    },
    async checkout(commit, signal) {
      const git = await import('isomorphic-git');
      const here = await git.readCommit({ fs, gitdir, oid: commit }).then(
        () => true,
        () => false,
      );
      if (!here || !(await readable(options, gitdir, commit))) await fetchInto(options, commit, signal);
      return read(options, gitdir, commit);
    },
  };
}

const readable = (options: SourceOptions, gitdir: string, commit: string) =>
  read(options, gitdir, commit).then(
    () => true,
    () => false,
  );

/** Fetches into the cache; a full or broken cache is replaced only after a good fetch into a fresh one. */
async function fetchInto(options: SourceOptions, commit: string, signal: AbortSignal): Promise<void> {
  const git = await import('isomorphic-git');
  const packs = await readdir(path.join(options.gitdir, 'objects/pack')).catch(() => [] as string[]);
  const fresh = packs.length === 0 || packs.length > MAX_PACKS * 2 || (await brokenHead(options, commit));
  const gitdir = fresh ? `${options.gitdir}.new` : options.gitdir;
  if (fresh) {
    await rm(gitdir, { recursive: true, force: true });
    await git.init({ fs, gitdir, bare: true, defaultBranch: 'main' });
    await git.setConfig({ fs, gitdir, path: 'remote.origin.url', value: options.url });
    await git.setConfig({ fs, gitdir, path: 'remote.origin.fetch', value: '+refs/heads/*:refs/remotes/origin/*' });
  }
  await exchange(options, signal, async (http) =>
    git.fetch({
      fs,
      http,
      gitdir,
      url: options.url,
      remote: 'origin',
      ref: options.ref,
      singleBranch: true,
      depth: 1,
      tags: false,
      ...(await auth(options)),
    }),
  );
  if (fresh) {
    await rm(options.gitdir, { recursive: true, force: true });
    await rename(gitdir, options.gitdir);
  }
}

/** The commit object is here but its trees are not whole: the cache is damaged. */
async function brokenHead(options: SourceOptions, commit: string): Promise<boolean> {
  const git = await import('isomorphic-git');
  try {
    await git.readCommit({ fs, gitdir: options.gitdir, oid: commit });
    options.log.warn({ commit }, 'the object store is damaged; fetching it anew');
    return true;
  } catch {
    return false;
  }
}

async function read(options: SourceOptions, gitdir: string, commit: string): Promise<Checkout> {
  const git = await import('isomorphic-git');
  const found = await git.readCommit({ fs, gitdir, oid: commit });
  const { author, message, committer } = found.commit;
  const info: CommitInfo = {
    ref: options.ref,
    commit: found.oid,
    author: `${author.name} <${author.email}>`,
    subject: message.split('\n', 1)[0] ?? '',
    committedAt: new Date(committer.timestamp * 1000).toISOString(),
  };
  return readCheckout({ gitdir, tree: found.commit.tree, info, hostPath: options.path });
}

type HttpClient = typeof import('isomorphic-git/http/node');

/** One conversation with the server: private CA, a bound on time, and errors that say what to do. */
async function exchange<T>(
  options: SourceOptions,
  signal: AbortSignal,
  talk: (http: HttpClient) => Promise<T>,
): Promise<T> {
  const http = await import('isomorphic-git/http/node');
  const client = (http.default ?? http) as HttpClient;
  const agent = options.ca === undefined ? undefined : new https.Agent({ ca: await readFile(options.ca) });
  const withAgent = {
    ...client,
    request: (r: Parameters<HttpClient['request']>[0]) => client.request(agent ? { ...r, agent } : r),
  };
  const limit = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const bound = AbortSignal.any([signal, AbortSignal.timeout(limit)]);
  try {
    return await Promise.race([talk(withAgent as HttpClient), aborted(bound)]);
  } catch (thrown) {
    if (thrown instanceof AgentError) throw thrown;
    if (signal.aborted)
      throw new AgentError({ code: 'Stopped', phase: 'fetch', message: 'the fetch was stopped', retry: true });
    if (bound.aborted) throw unreachable(options, `no answer within ${Math.round(limit / 1000)} s`);
    const status = (thrown as { data?: { statusCode?: number } }).data?.statusCode;
    if (status === 401 || status === 403) {
      const used = options.auth?.tokenFile ?? options.auth?.passwordFile ?? 'no credential';
      throw new AgentError({
        code: 'AuthenticationFailed',
        phase: 'fetch',
        retry: true,
        message: `${options.url} answered ${status}, using ${used}; check repo.auth in agent.yaml`,
        cause: thrown,
      });
    }
    throw unreachable(options, thrown instanceof Error ? thrown.message : String(thrown), thrown);
  }
}

const aborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });

/** Credentials are read at each use, so that they can rotate. */
async function auth(options: SourceOptions): Promise<{ onAuth?: () => { username: string; password: string } }> {
  const file = options.auth?.tokenFile ?? options.auth?.passwordFile;
  if (file === undefined) return {};
  const secret = (await readFile(file, 'utf8')).trim();
  const username = options.auth?.username ?? (options.auth?.tokenFile ? 'x-access-token' : 'git');
  return { onAuth: () => ({ username, password: secret }) };
}

const prefixOf = async (options: SourceOptions): Promise<{ prefix?: string; peelTags: boolean }> =>
  options.ref === 'HEAD' || options.ref.startsWith('refs/')
    ? { prefix: options.ref, peelTags: true }
    : { prefix: 'refs/', peelTags: true };

function unreachable(options: SourceOptions, why: string, cause?: unknown): AgentError {
  return new AgentError({
    code: 'RepositoryUnreachable',
    phase: 'fetch',
    retry: true,
    message: `cannot read ${options.url}: ${why}; check repo.url and the way there`,
    cause,
  });
}

function refNotFound(options: SourceOptions): AgentError {
  return new AgentError({
    code: 'RefNotFound',
    phase: 'fetch',
    retry: true,
    message: `${options.url} has no branch or tag \`${options.ref}\`; check repo.ref in agent.yaml`,
  });
}
