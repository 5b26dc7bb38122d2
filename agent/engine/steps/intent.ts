/** Written before anything is done: what is about to be made, and the restarts that will follow from it. */
import { kindOf } from '../../core/id.ts';
import { claimsOf, isTold, needsOf, type Step } from '../../core/plan.ts';
import type { Desired, RefreshVerb, ResourceId } from '../../core/types.ts';
import { AgentError } from '../../errors.ts';
import type { InventoryRow } from '../../store/inventory.ts';
import { isUnwritable } from '../../store/unwritable.ts';
import type { Run } from '../types.ts';

/**
 * A crash at any later moment must cost neither ownership nor a notify.
 * @param steps those that can begin in this run
 * @param declared all resources of the commit
 * @returns those that may not begin, since their intent could not be written; what was intended before needs no record
 */
export function recordIntent(
  run: Run,
  steps: readonly Step[],
  declared: ReadonlySet<ResourceId>,
): ReadonlyMap<ResourceId, AgentError> {
  const { inventory } = run.store;
  const known = inventory.index();
  // What was last intended may be another declaration, which never came to be.
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
        // What could not be done for a long time is intended over and over.
        ...(was.length > 0 ? { was: [...new Set(was)] } : {}),
        ...(want.after.length > 0 ? { needs: want.after } : {}),
        memo: provider?.memo?.(want.spec),
      },
    };
  });
  const notifies = owed(steps, declared);
  try {
    // Adopting what matches is no action, and yet ownership that a lost database must not cost.
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
  // Owed to something that was never made and is not declared any more.
  for (const { target } of inventory.pendingNotifies())
    if (!declared.has(target) && !known.has(target)) inventory.notifyDone(target);
  return new Map();
}

/** A repair of what is recorded as it is to be, and which causes no restart that is not owed already: a crash would cost nothing. */
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
 * Every target of what will change, whatever becomes of the target in this run: one that is made anew, fails or is out of
 * reach now still owes the restart, and only a done step takes the debt away.
 */
function owed(
  steps: readonly Step[],
  declared: ReadonlySet<ResourceId>,
): { target: ResourceId; source: ResourceId; verb: RefreshVerb }[] {
  const sources = steps.filter((s) => isTold(s.change));
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
