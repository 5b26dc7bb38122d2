/** What the host has of the given resources, one batched call a kind, all kinds side by side. */
import { kindOf } from '../core/graph.ts';
import type { Provider } from '../core/provider.ts';
import type { Desired, Kind, ResourceId, Seen } from '../core/types.ts';
import { type AgentError, asAgentError } from '../errors.ts';

export interface Observed {
  seen: ReadonlyMap<ResourceId, Seen>;
  /** Kinds that could not be observed (engine down, no D-Bus): nothing of them may be touched in this run. */
  unreachable: ReadonlyMap<Kind, AgentError>;
}

export async function observe(
  providers: ReadonlyMap<Kind, Provider>,
  ids: readonly ResourceId[],
  signal: AbortSignal,
  desired: readonly Desired[],
  healthAlone = false,
): Promise<Observed> {
  const wants = new Map(desired.map((d) => [d.id, d]));
  const byKind = Map.groupBy(new Set(ids), kindOf);
  const seen = new Map<ResourceId, Seen>();
  const unreachable = new Map<Kind, AgentError>();
  await Promise.all(
    [...byKind].map(async ([kind, wanted]) => {
      try {
        for (const [id, found] of (await providers.get(kind)?.observe(wanted, signal, wants, healthAlone)) ?? [])
          seen.set(id, found);
      } catch (thrown) {
        unreachable.set(kind, asAgentError(thrown, { code: 'ObserveFailed', phase: 'observe', retry: true }));
      }
    }),
  );
  return { seen, unreachable };
}
