/** The fleet repository as the engine sees it: over HTTP, over SSH, or in place. */
import { createHash } from 'node:crypto';
import { type Content, createPayload } from '../core/payload/payload.ts';
import type { Review, ReviewRequest, Source } from '../core/provider.ts';
import type { Checkout } from '../core/types.ts';
import { readEnds, readNamedSync, readWhole } from '../reading.ts';
import { accessTo, type SourceOptions } from './access.ts';
import type { Objects } from './pack/objects.ts';
import { parseCommit } from './store/commit.ts';
import { isWhole, locate, readFiles, type View } from './store/tree.ts';
import { isCommitId, isPattern, notFoundAmong, prefixesOf, type Resolved, resolve } from './trust/refs.ts';
import { commitUnknown, describe, review } from './trust/review.ts';
import { contentOf, seenSince } from './trust/seen.ts';
import { createVerdicts } from './trust/verdicts.ts';
import { MAX_REFS } from './wire/budget.ts';
import { broken } from './wire/packet.ts';
import { ObjectUnknown } from './wire/server-error.ts';

/** Resolutions that are remembered: those of a run, and of plans that were asked for meanwhile. */
const MAX_RESOLUTIONS = 8;

export interface GitSource extends Source {
  /** Writes fetched objects, which a checkout postpones: to be called while the agent is idle. The next review does it, too. */
  settled(): Promise<void>;
}

/** @throws AgentError `InvalidConfig` if fairlead cannot use the url */
export function createSource(options: SourceOptions): GitSource {
  const access = accessTo(options);
  const { ref, path: hostPath, exec } = options;
  const id = `${options.url}#${ref}`;
  const most = isPattern(ref) ? MAX_REFS.pattern : MAX_REFS.exact;
  /**
   * What the ref was resolved to, by commit, oldest first: a plan that asks for the head during a run must not make the run
   * forget the tag that named its commit.
   */
  const resolutions = new Map<string, Resolved>();
  let aboveFloor: string | null = null;
  let last: { commit: string; review: Review; accepted: string | null } | null = null;
  /** Commit → the policy under which nothing was found against it. */
  const vouched = new Map<string, string>();
  const policy = policyOf(options);
  const checksUnder = createVerdicts({ policy, checked: options.received });
  /** History that this process has fetched: a held commit is judged at each poll, but must not be fetched each time. */
  const brought = new Set<string>();
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
      ...objects,
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
        // The store was damaged, and was removed.
        const file = known !== undefined && (await objects.has(oid)) ? known : await objects.stored?.(oid);
        if (file) seen.set(oid, file);
        return file ?? null;
      },
    };
  };
  /** Commits that must stay, if that was postponed. */
  let unkept: readonly string[] | null = null;
  const keep = async () => {
    const commits = unkept;
    unkept = null;
    if (commits !== null) await access.keep(commits);
  };
  const resolvedFor = (commit: string) => resolutions.get(commit) ?? null;
  const remember = (resolved: Resolved): Resolved => {
    resolutions.delete(resolved.commit);
    resolutions.set(resolved.commit, resolved);
    for (const oldest of [...resolutions.keys()].slice(0, -MAX_RESOLUTIONS)) resolutions.delete(oldest);
    return resolved;
  };

  /** A name that was a branch is most likely still one: asking for that alone saves half of the request. */
  async function sameBranch(signal: AbortSignal): Promise<Resolved | null> {
    const name = `refs/heads/${ref}`;
    if ([...resolutions.values()].at(-1)?.kind !== 'branch' || !prefixesOf(ref).includes(name)) return null;
    const found = (await access.refs([name], signal, MAX_REFS.exact)).find((r) => r.name === name);
    return found ? { kind: 'branch', commit: found.oid, name: ref, tag: null } : null;
  }

  async function resolveNow(signal: AbortSignal): Promise<Resolved> {
    const refs = await access.refs(prefixesOf(ref), signal, most);
    try {
      return resolve(ref, refs, options.url);
    } catch (thrown) {
      // One more request, only if the first found nothing: existing names help to correct repo.ref.
      const branches = await access.refs(['refs/heads/'], signal, MAX_REFS.exact).catch(() => null);
      throw branches === null ? thrown : notFoundAmong(thrown, { ref, url: options.url, branches });
    }
  }

  async function judged(commit: string, request: ReviewRequest, signal: AbortSignal): Promise<Review> {
    await keep();
    const now = policy();
    const result = await access.using((objects, fetcher) =>
      review({
        commit,
        request,
        objects,
        exec,
        check: checksUnder(now),
        aboveFloor,
        source: id,
        policyDigest: now,
        resolved: request.named ? null : resolvedFor(commit),
        policy: options,
        bring: async (base, also) => {
          if (fetcher === null) return true;
          try {
            return await fetcher.commits(commit, base, also, signal);
          } catch (thrown) {
            throw request.named && thrown instanceof ObjectUnknown ? commitUnknown(commit) : thrown;
          }
        },
        async bringHistory(wants, haves, depth) {
          const asked = JSON.stringify([wants, depth]);
          if (fetcher === null || brought.has(asked)) return fetcher !== null;
          const came = await fetcher.history(wants, haves, depth ?? null, signal);
          if (came) brought.add(asked);
          return came;
        },
      }),
    );
    if (result.aboveFloor) aboveFloor = commit;
    const { info, hold, provenance } = result;
    last = { commit, review: { info, hold, provenance }, accepted: request.accepted };
    if (hold === null) vouched.set(commit, now);
    else await access.settled();
    return { info, hold, provenance };
  }

  async function take(commit: string, signal: AbortSignal): Promise<Checkout> {
    await keep();
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
      const { contents, executable } = await readFiles(remembering(objects), view);
      const files = createPayload(contents, { read: readWhole, readEnds, sha256, executable });
      return { info, hostPath, hostExists: view.hostExists, files };
    });
    unkept = [...(before?.accepted ? [before.accepted] : []), commit];
    return checkout;
  }

  return {
    id,
    policy,
    asksForSignatures: options.verify !== undefined,
    async head(signal) {
      const { commit } = remember(
        isCommitId(ref)
          ? { kind: 'commit', commit: ref, name: '', tag: null }
          : ((await sameBranch(signal)) ?? (await resolveNow(signal))),
      );
      // The process that unpacks is started while the request to the server is under way. Most polls bring nothing new.
      if (commit !== last?.commit && commit !== options.accepted?.()) access.begin();
      return commit;
    },
    vouchesFor: (commit) => vouched.get(commit) === policy(),
    review: (commit, request, signal) =>
      alone(async () => {
        let goesOn = false;
        try {
          const review = await judged(commit, request, signal);
          goesOn = review.hold === null;
          return review;
        } finally {
          if (!goesOn) void access.end();
        }
      }),
    checkout: (commit, signal) => alone(() => take(commit, signal).finally(() => void access.end())),
    settled: () => alone(keep),
  };
}

async function inPlace(objects: Objects, tree: string, hostPath: string): Promise<View> {
  const found = await locate(objects, tree, hostPath);
  if (!isWhole(found))
    throw broken(`it lacks ${[...found.trees, ...found.closures, ...found.files.keys()].join(', ')}`);
  return found.view;
}

/** Identifies the rules by which commits are trusted: the text also changes when the content of a signers file does. */
function policyOf({ url, ref, path, since, verify }: SourceOptions): () => string {
  const settings = [url, ref, path, since ?? null];
  if (verify === undefined) return () => digest([...settings, null]);
  const { allowedSigners, revoked, mode } = verify;
  const files = [allowedSigners, ...(revoked === undefined ? [] : [revoked])];
  return () => digest([...settings, { mode, files, signers: files.map(contentHash) }]);
}

function contentHash(file: string): string {
  try {
    return sha256(readNamedSync(file));
  } catch (thrown) {
    return String((thrown as Error).message);
  }
}

const digest = (policy: unknown) => sha256(Buffer.from(JSON.stringify(policy))).slice(0, 32);
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
