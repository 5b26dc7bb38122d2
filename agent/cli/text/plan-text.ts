/** A plan, as people read it: a summary, common holds, then each action. Pure. */
import type { PlanDocument } from '../../control/protocol.ts';
import { tamed, tameLines } from '../../tame.ts';
import { SIGN } from './print.ts';
import { wrap } from './table.ts';
import { type Reader, reasons, shortId } from './words.ts';

type Action = PlanDocument['actions'][number];

/** The order in which the summary counts. */
const VERBS = {
  create: 'create',
  update: 'update',
  replace: 'replace',
  remove: 'remove',
  release: 'let go of',
  refresh: 'restart or reload',
};

export function planText(document: PlanDocument, reader: Reader): string {
  const { style, columns } = reader;
  const plan = tamed(document);
  const head = plan.issues.map(
    (i) => `${i.file}:${i.line}:${i.column}: ${i.severity === 'warning' ? style.yellow('warning: ') : ''}${i.message}`,
  );
  if (plan.error) head.push(style.red(plan.error));
  if (plan.held) head.push(`${style.yellow('held')}: ${plan.held}`);
  const actions = plan.actions.flatMap((action, i) => [
    wrap(actionLine(action, plan.held), columns, 4),
    ...diffLines(document.actions[i]?.diff, reader),
  ]);
  const kept = (plan.stays ?? []).map((id) => `stays: ${id}, with its data; delete it by hand if nobody needs it`);
  const dropped = actions.length + head.length > 0 ? (plan.dropped ?? []).map((edge) => `note: ${edge}`) : [];
  const notes = [...kept, ...dropped];
  const first = actions.length > 0 ? [style.bold(summary(plan))] : [];
  const lines = [
    ...first,
    ...head.map((line) => wrap(line, columns, 4)),
    ...actions,
    ...notes.map((line) => wrap(line, columns, 4)),
  ];
  if (lines.length > 0) return lines.join('\n');
  return plan.commit
    ? `Nothing to do: the host matches commit ${shortId(plan.commit)}.`
    : 'Nothing to do: the host matches this directory.';
}

/** `Plan for commit 1a2b3c4: 2 to create, 1 to remove` */
function summary({ commit, actions }: PlanDocument): string {
  const counts = Object.entries(VERBS).flatMap(([op, verb]) => {
    const n = actions.filter((action) => action.op === op).length;
    return n > 0 ? [`${n} to ${verb}`] : [];
  });
  return `Plan for ${commit ? `commit ${shortId(commit)}` : 'this directory'}: ${counts.join(', ')}`;
}

/** @param said the reason that holds the whole plan: it is printed above, and not repeated for each action */
const actionLine = ({ id, op, why, origin, held }: Action, said: string | null): string =>
  `${SIGN[op]} ${id}  ${op}${why.length > 0 ? `  ${reasons(why)}` : ''}${held && held !== said ? `  held: ${held}` : ''}${origin ? `  (${origin.file}:${origin.line})` : ''}`;

/** Lines of a text stay whole: they are to be read as they stand in the file. */
function diffLines(diff: string | undefined, { style }: Reader): string[] {
  if (diff === undefined) return [];
  return tameLines(diff)
    .split('\n')
    .map((line) => {
      const text = `    ${line}`;
      if (/^(---|\+\+\+) /.test(line)) return style.bold(text);
      if (line.startsWith('@@')) return style.dim(text);
      return line.startsWith('+') ? style.green(text) : line.startsWith('-') ? style.red(text) : text;
    });
}
