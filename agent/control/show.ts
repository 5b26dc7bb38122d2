/** Describes one resource: where and by whom it is declared, its desired and actual state, and its history. */
import { KINDS } from '../../manifests-schema/kinds/index.ts';
import { kindOf } from '../core/id.ts';
import type { Provider } from '../core/provider.ts';
import type { AgentState } from '../core/reporting/status.ts';
import type { CommitInfo, Desired, ResourceId } from '../core/types.ts';
import type { EngineDeps } from '../engine/types.ts';
import type { Kept } from './overwritten.ts';
import { printable } from './printable.ts';
import type { ShowDocument } from './protocol.ts';

/** Actions of a resource that are shown, and those among which overwritten bytes are looked for. */
const MAX_SHOWN = 20;
const MAX_PAST = 500;

/** Author, committer and signer of a commit. */
const audit = ({ commit, author, committer, subject, committedAt, signer }: CommitInfo) => ({
  commit,
  author,
  committer: committer ?? author,
  subject,
  committedAt,
  signer: signer ?? null,
});

/** @returns null if nobody ever declared it */
export async function show(
  { deps, state, kept }: { deps: EngineDeps; state: AgentState; kept: Kept },
  id: string,
  signal: AbortSignal,
): Promise<ShowDocument | null> {
  if (!KINDS.some((kind) => id.startsWith(`${kind}:`))) return null;
  const rid = id as ResourceId;
  const { accepted } = deps.store.commits.get();
  const checkout = accepted ? await deps.snapshots.load(accepted) : null;
  const want = checkout ? (await deps.load(checkout)).resources.find((r) => r.id === rid) : undefined;
  const past = deps.store.runs.actionsOf(rid, MAX_PAST);
  if (want === undefined && past.length === 0) return null;
  const provider = deps.providers.get(kindOf(rid));
  const observed = await provider
    ?.observe([rid], signal, new Map(want ? [[rid, want]] : []))
    .catch(
      (thrown) =>
        new Map([[rid, { fact: `not readable: ${thrown instanceof Error ? thrown.message : String(thrown)}` }]]),
    );
  const writing = want ? deps.store.declared.writerOf(rid, want.hash) : null;
  // Accepted before there was such a record.
  const applied = deps.store.facts.get('applied');
  const info = writing?.commit ?? (applied ? deps.store.runs.get(applied.run)?.run.commit : null) ?? checkout?.info;
  return {
    schema: 1,
    id,
    origin: want?.origin ?? null,
    attributes: want?.attributes ?? {},
    commit: info ? { ...audit(info), oneOf: writing?.oneOf ?? 1 } : null,
    desired: want ? printable(want.spec) : null,
    actual: printable(masked(want, describe(provider, observed?.get(rid)?.fact ?? null))),
    status: state.resources.find((r) => r.id === rid) ?? null,
    history: past.slice(0, MAX_SHOWN),
    overwritten: kept.list(past),
  };
}

/** An error of the observation becomes a sentence in the answer. */
const describe = (provider: Provider | undefined, fact: unknown): unknown =>
  fact === null || typeof fact === 'string' ? fact : (provider?.describe?.(fact) ?? fact);

/** A plain hash of secret content would give a weak secret away. */
function masked(want: Desired | undefined, fact: unknown): unknown {
  if ((want?.spec as { secret?: boolean } | undefined)?.secret !== true) return fact;
  const text = JSON.stringify(fact).replaceAll(/"[0-9a-f]{64}"/g, '"(secret)"');
  return JSON.parse(text) as unknown;
}
