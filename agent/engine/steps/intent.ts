/** Records, before any action, what the run is about to create and which restarts will follow. */
import { kindOf } from '../../core/id.ts';
import { claimsOf, needsOf, notifiesOthers, type Step } from '../../core/plan/plan.ts';
import type { Desired, RefreshVerb, ResourceId } from '../../core/types.ts';
import { AgentError } from '../../errors.ts';
import { isUnwritable } from '../../store/disk/unwritable.ts';
import type { InventoryRow } from '../../store/inventory/inventory.ts';
import type { Run } from '../types.ts';

/**
 * A crash at any later moment must lose neither ownership nor a notify.
 * @param steps those that can start in this run
 * @param declared all resources of the commit
 * @returns the steps that must not start, because their intent could not be written; an intent that was written before needs no
 * new record
 */
export function recordIntent(
  run: Run,
  steps: readonly Step[],
  declared: ReadonlySet<ResourceId>,
): ReadonlyMap<ResourceId, AgentError> {
  const { inventory } = run.store;
  const known = inventory.index();
  // The last intent may be of another declaration, which was never applied.
  const isKnown = ({ id, hash, after }: Desired): boolean => {
    const row = known.get(id);
    return row?.hash === hash && row.intent === hash && isSame(needsOf(row), after);
  };
  const changed = steps.filter((s) => s.change.op !== 'none' || !isKnown(s.want));
  const rows = changed.map(({ want }) => {
    const provider = run.providers.get(kindOf(want.id));
    const claims = provider?.claims(want.spec) ?? [];
    const was = held(known.get(want.id)).filter((claim) => !claims.includes(claim));
    return {
      id: want.id,
      hash: want.hash,
      owned: provider?.owns?.(want.spec) ?? true,
      origin: want.origin,
      info: {
        claims,
        // A resource that failed for a long time was intended many times.
        ...(was.length > 0 ? { was: [...new Set(was)] } : {}),
        ...(want.after.length > 0 ? { needs: want.after } : {}),
        memo: provider?.memo?.(want.spec),
      },
    };
  });
  const notifies = owed(steps, declared);
  try {
    // Adopting a resource that matches is no action, but its ownership must survive a lost database.
    if (rows.length > 0 || notifies.length > 0) inventory.intend(rows, notifies);
  } catch (thrown) {
    if (!(thrown instanceof AgentError && isUnwritable(thrown))) throw thrown;
    const unwritten = changed.filter((s) => !intendedBefore(run, s, declared));
    return new Map(unwritten.map((s) => [s.want.id, thrown]));
  }
  const matching = changed.filter((s) => s.change.op === 'none');
  if (matching.length > 0)
    inventory.settle(
      matching.map(({ want }) => ({ id: want.id, hash: want.hash, notified: false, reobservable: true })),
    );
  // Drops notifies for targets that were never created and are no longer declared.
  for (const { target } of inventory.pendingNotifies())
    if (!declared.has(target) && !known.has(target)) inventory.notifyDone(target);
  return new Map();
}

/**
 * Whether the intent is recorded already and the step causes no restart that is not recorded already: then a crash loses
 * nothing.
 */
function intendedBefore({ store }: Run, step: Step, declared: ReadonlySet<ResourceId>): boolean {
  const row = store.inventory.index().get(step.want.id);
  if (row?.intent !== step.want.hash) return false;
  const pending = new Set(store.inventory.pendingNotifies().map((n) => `${n.target} ${n.source}`));
  return owed([step], declared).every((n) => pending.has(`${n.target} ${n.source}`));
}

const isSame = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((one, i) => one === b[i]);

const held = (row: InventoryRow | undefined): string[] => (row ? claimsOf(row) : []);

/**
 * Notifies for every target of a change, whatever happens to the target in this run: a target that is recreated, fails or is
 * unreachable now still owes the restart until a step for it is done.
 */
function owed(
  steps: readonly Step[],
  declared: ReadonlySet<ResourceId>,
): { target: ResourceId; source: ResourceId; verb: RefreshVerb }[] {
  const sources = steps.filter((s) => notifiesOthers(s.change));
  const of = (targets: readonly ResourceId[], source: ResourceId, verb: RefreshVerb) =>
    targets.filter((target) => declared.has(target)).map((target) => ({ target, source, verb }));
  return [
    ...sources.flatMap(({ want }) => [
      ...of(want.reload ?? [], want.id, 'reload'),
      ...of(want.notify, want.id, 'restart'),
    ]),
    ...steps.flatMap((s) => s.refreshFor.map((source) => ({ target: s.want.id, source, verb: s.refreshVerb }))),
  ];
}
