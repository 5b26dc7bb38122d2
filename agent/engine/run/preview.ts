/** What a sync would do now, by the very stages of a run; touches nothing. */
import { kindOf } from '../../core/id.ts';
import { traitsOf } from '../../core/kind.ts';
import { type Plan, plannedActions } from '../../core/plan.ts';
import { textDiff } from '../../core/text-diff.ts';
import type { Checkout, Issue, PlannedAction } from '../../core/types.ts';
import { asAgentError } from '../../errors.ts';
import { REPAIR, STAY, TRY } from '../decide/mode.ts';
import type { EngineDeps } from '../types.ts';
import { createRun, requestFor } from './create-run.ts';
import { mayGoTo, reviewHead } from './door.ts';
import { converges, planFor } from './plan-for.ts';
import { situate } from './pursue.ts';
import { plannedUpgrade } from './upgrade.ts';

export interface Preview {
  commit: string | null;
  /** Non-empty with errors: the commit cannot be planned. */
  issues: Issue[];
  /** Set where something other than the declaration failed (git, engine): a sentence. */
  error: string | null;
  /** The plan is held, or is of another commit than the head: why. */
  held: string | null;
  /** Inferred edges that are not kept, since they would close a cycle; missing if there are none. */
  dropped?: string[];
  /** Of a decommissioned host: what is managed and stays there; missing if there is none. */
  stays?: string[];
  actions: PlannedAction[];
}

/** What its texts would change, as `diff -u` shows it, a header for each. */
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
 * @param given a checkout, or the full id of a commit, to plan instead of what the ref names
 * @param options.diff  with what changes in the texts of each resource
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
      // An older commit that somebody names is no rewind; whether it may be trusted is asked all the same.
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
      // `sync` ends so as well: there is nothing that this host could be in sync with.
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
    const away = [...planned.observed.unreachable.values()].map((e) => e.message);
    return {
      ...base,
      commit,
      issues,
      held: planned.gate?.reason ?? (choice.act === 'stay' ? choice.message : null),
      error: away.join('; ') || null,
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
