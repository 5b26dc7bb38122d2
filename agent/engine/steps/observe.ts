/** Observes the given resources: one batched call for each kind, all kinds concurrently. */
import { kindOf } from '../../core/id.ts';
import type { Provider } from '../../core/provider.ts';
import type { Desired, Kind, ResourceId, Seen } from '../../core/types.ts';
import { type AgentError, asAgentError } from '../../errors.ts';
import type { Away, Observed, Unobserved } from '../types.ts';

/** @param ids each once @param wants the declarations of those that are declared @param options see `Provider.observe` */
export async function observe(
  providers: ReadonlyMap<Kind, Provider>,
  ids: readonly ResourceId[],
  signal: AbortSignal,
  wants: ReadonlyMap<ResourceId, Desired>,
  options?: { healthAlone: boolean },
): Promise<Observed> {
  const seen = new Map<ResourceId, Seen>();
  const failed = new Map<ResourceId, AgentError>();
  const unreachable = new Map<Kind, AgentError>();
  await Promise.all(
    [...Map.groupBy(ids, kindOf)].map(async ([kind, wanted]) => {
      try {
        const found = await providers.get(kind)?.observe(wanted, signal, wants, {
          ...options,
          failed: (id, error) => void failed.set(id, error),
        });
        for (const id of wanted) {
          const one = found?.get(id);
          if (one !== undefined) seen.set(id, one);
        }
      } catch (thrown) {
        unreachable.set(kind, asAgentError(thrown, { code: 'ObserveFailed', phase: 'observe' }));
      }
    }),
  );
  return { seen, failed, unreachable };
}

/** Why the resource could not be observed. */
export const awayOf = ({ failed, unreachable }: Unobserved, id: ResourceId): AgentError | undefined =>
  failed.get(id) ?? unreachable.get(kindOf(id));

/** Those of the given resources that could not be observed. */
export const awayAmong = (unobserved: Unobserved, ids: readonly ResourceId[]): Away =>
  new Map(
    ids.flatMap((id) => {
      const why = awayOf(unobserved, id);
      return why ? [[id, why] as const] : [];
    }),
  );

/** Ids of everything that is declared or in the inventory. */
export const idsOf = (
  wants: ReadonlyMap<ResourceId, Desired>,
  inventory: ReadonlyMap<ResourceId, unknown>,
): ResourceId[] => {
  const ids = [...wants.keys()];
  for (const id of inventory.keys()) if (!wants.has(id)) ids.push(id);
  return ids;
};

/** Declarations by id. */
export const indexed = (wants: readonly Desired[]): ReadonlyMap<ResourceId, Desired> =>
  new Map(wants.map((want) => [want.id, want]));
