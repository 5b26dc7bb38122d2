/** Plans a sync as it would be now, with the same stages as a run; changes nothing. */

import { textDiff } from '../../core/credentials/text-diff.ts';
import { kindOf } from '../../core/id.ts';
import { traitsOf } from '../../core/kind.ts';
import { type Plan, plannedActions } from '../../core/plan/plan.ts';
import type { Checkout, Issue, PlannedAction } from '../../core/types.ts';
import { asAgentError } from '../../errors.ts';
import { REPAIR, STAY, TRY } from '../decide/mode.ts';
import type { EngineDeps } from '../types.ts';
import { createRun, requestFor } from './create-run.ts';
import { mayGoTo, reviewHead } from './guards/door.ts';
import { plannedUpgrade } from './guards/upgrade.ts';
import { converges, planFor } from './plan-for.ts';
import { situate } from './pursue.ts';

export interface Preview {
  commit: string | null;
  /** Non-empty with errors: the commit cannot be planned. */
  issues: Issue[];
  /** Set if something other than the declaration failed (git, Docker engine): a sentence. */
  error: string | null;
  /** Why the plan is held, or is for another commit than the head. */
  held: string | null;
  /** Inferred edges that were dropped because they would close a cycle; missing if there are none. */
  dropped?: string[];
  /** Managed resources that stay on a decommissioned host; missing if there are none. */
  stays?: string[];
  actions: PlannedAction[];
}

/** Adds the change of the texts in the form of `diff -u`, with a header for each. */
function withDiff({ providers }: EngineDeps, { steps }: Plan, action: PlannedAction): PlannedAction {
  const step = steps.find((s) => s.want.id === action.id);
  if (step === undefined || action.op === 'refresh') return action;
  const texts = providers.get(kindOf(action.id))?.texts?.(step.want, step.seen) ?? [];
  const shown = texts.flatMap(({ name, from, to }) => {
    const text = textDiff(from, to);
    return text === '' ? [] : [`--- ${from === null ? '/dev/null' : name}\n+++ ${name}\n${text}`];
  });
  return shown.length > 0 ? { ...action, diff: shown.join('\n') } : action;
}

/**
 * @param given a checkout, or the full id of a commit, to plan instead of the head
 * @param options.diff include the changes of each resource's texts
 */
export async function preview(
  deps: EngineDeps,
  signal: AbortSignal,
  given?: Checkout | string,
  { diff = false }: { diff?: boolean } = {},
): Promise<Preview> {
  const base: Preview = { commit: null, issues: [], error: null, held: null, actions: [] };
  const run = createRun(deps, requestFor(signal));
  try {
    const named = typeof given === 'string';
    const commit = named ? given : (given?.info.commit ?? (await deps.source.head(signal)));
    if (named || given === undefined) {
      // Naming an older commit is no rewind; it must be trusted all the same.
      const { hold } = named ? await mayGoTo(deps, commit, 'person', signal) : await reviewHead(run, commit);
      if (hold !== null) return { ...base, commit, held: `${hold.message} [${hold.reason}]` };
    }
    const head = named || given === undefined ? await deps.source.checkout(commit, signal) : given;
    const loaded = await deps.load(head);
    const situation = await situate(run, head);
    const { choice, gate, stay } = situation;
    const issues = [...loaded.issues];
    const own = await plannedUpgrade(run, head);
    const first = own === null ? [] : [own];
    if (issues.some((i) => i.severity === 'error')) return { ...base, commit, issues, actions: first };
    if (!converges(head, loaded)) {
      // `sync` ends like this as well: there is nothing to be in sync with.
      const error = `${head.hostPath} declares nothing in this commit; nothing would be removed [Unassigned]`;
      return { ...base, commit, issues, error, actions: first };
    }
    if (stay !== null && stay.hold !== null)
      return { ...base, commit, issues, held: `${stay.hold.message} [${stay.hold.reason}]` };
    const of = stay === null ? loaded : await deps.load(stay.checkout);
    const mode = choice.act === 'try' ? TRY : choice.act === 'repair' ? REPAIR : STAY;
    const planned = await planFor(run, of, { given: gate, mode, countsRemovals: mode.isNew });
    const stays = of.host.decommission
      ? planned.plan.removals.map(({ id }) => id).filter((id) => traitsOf(deps.kinds, id).survivesDecommission)
      : [];
    const away = new Set([...planned.away.values()].map((e) => e.message));
    return {
      ...base,
      commit,
      issues,
      held: planned.gate?.reason ?? (choice.act === 'stay' ? choice.message : null),
      error: [...away].join('; ') || null,
      ...(of.dropped ? { dropped: [...of.dropped] } : {}),
      ...(stays.length > 0 ? { stays } : {}),
      actions: [
        ...first,
        ...plannedActions(planned.plan, planned.gate?.reason)
          .filter((a) => !planned.away.has(a.id))
          .map((action) => (diff ? withDiff(deps, planned.plan, action) : action)),
      ],
    };
  } catch (thrown) {
    return { ...base, error: asAgentError(thrown, { code: 'PlanFailed', phase: 'plan' }).message };
  }
}
