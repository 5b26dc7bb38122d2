/** Answers to remote commands: documents of bounded size. Pure. */
import type { CommandResult, PlanSummary } from '../../../manifests-schema/commands.ts';
import type { PlanDocument } from '../../../manifests-schema/documents.ts';
import type { StatusDocument } from '../../../manifests-schema/payloads.ts';
import type { RunRecord } from '../../core/types.ts';

const MAX_TEXT = 500;
const MAX_LONG_TEXT = 2_000;
const MAX_ACTIONS = 50;
const MAX_WHY = 5;
const MAX_ISSUES = 20;
const MAX_PROBLEMS = 3;
/** Bytes of an answer as JSON. */
export const MAX_ANSWER_BYTES = 32 * 1024;

const clip = (text: string, most = MAX_TEXT): string =>
  text.length > most ? `${text.slice(0, most - 1).toWellFormed()}…` : text;

export function statusSummary(status: StatusDocument, run: RunRecord | null): NonNullable<CommandResult['status']> {
  return {
    sync: status.sync,
    health: status.health,
    commit: status.applied?.commit ?? null,
    run: run && {
      id: run.id,
      changed: run.changed,
      failed: run.failed,
      repaired: run.repaired,
      durationMs: Math.round(run.durationMs),
    },
    problems: status.problems
      .slice(0, MAX_PROBLEMS)
      .map(({ id, reason, message }) => ({ id: clip(id), reason, message: clip(message) })),
    problemsTotal: status.problemsTotal,
  };
}

export function planSummaryOf({ commit, held = null, error, issues, actions }: PlanDocument): PlanSummary {
  const counts: Record<string, number> = {};
  for (const { op } of actions) counts[op] = (counts[op] ?? 0) + 1;
  return {
    commit,
    held: held === null ? null : clip(held, MAX_LONG_TEXT),
    error: error === null ? null : clip(error, MAX_LONG_TEXT),
    issues: issues.slice(0, MAX_ISSUES).map(({ severity, file, line, message }) => ({
      severity,
      file: clip(file),
      line,
      message: clip(message),
    })),
    issuesTotal: issues.length,
    counts,
    actions: actions.slice(0, MAX_ACTIONS).map(({ id, op, why }) => ({
      id: clip(id),
      op,
      why: why
        .slice(0, MAX_WHY)
        .map(({ field, from, to }) =>
          clip(to === undefined ? field : from === undefined ? `${field}: ${to}` : `${field}: ${from} → ${to}`),
        ),
    })),
    actionsTotal: actions.length,
  };
}

/** Within the bound, by leaving out what is longest: reasons of actions, then actions and issues. */
export function bounded(result: CommandResult): CommandResult {
  const said = { ...result, message: clip(result.message, MAX_LONG_TEXT) };
  const fits = (one: CommandResult) => Buffer.byteLength(JSON.stringify(one)) <= MAX_ANSWER_BYTES;
  if (fits(said) || said.plan === null) return said;
  const { plan } = said;
  const bare = { ...plan, actions: plan.actions.map((action) => ({ ...action, why: [] })) };
  const smaller = [bare, { ...bare, issues: bare.issues.slice(0, 3) }, { ...bare, actions: [], issues: [] }];
  const plans = smaller.map((plan) => ({ ...said, plan }));
  return plans.find(fits) ?? { ...said, plan: null };
}
