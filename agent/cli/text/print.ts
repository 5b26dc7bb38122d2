/** Text for people. Pure: the output depends only on the arguments. */

import type { ActionDocument, HistoryDocument, ResourcesDocument, RunDocument } from '../../control/protocol.ts';
import { tamed } from '../../tame.ts';
import { type Style, table, wrap } from './table.ts';
import { ago, clockTime, type Reader, reasons, shortId, tone, took, whose } from './words.ts';

/** The action as one letter. */
export const SIGN: Record<string, string> = {
  create: '+',
  update: '~',
  replace: '±',
  remove: '-',
  release: '○',
  refresh: '↻',
  none: ' ',
};

/** @param known the id that the reader has before their eyes already */
export function actionText(document: ActionDocument, style: Style, known = ''): string {
  const action = tamed(document);
  const drift = action.drift ? `${style.yellow('had drifted')}: ` : '';
  const error = action.error ? `  ${style.red(action.error.message)} [${action.error.code}]` : '';
  const id = action.id === known ? '' : `${action.id}  `;
  return `${SIGN[action.op]} ${id}${action.op} ${tone(action.result, style)}, ${took(action.durationMs)}  ${drift}${reasons(action.why)}${error}`;
}

export const resourcesText = ({ resources }: ResourcesDocument, page: Reader): string =>
  resources.length === 0
    ? 'No resources.'
    : table(
        ['RESOURCE', 'SYNC', 'HEALTH', 'REASON'],
        resources.map((r) => [r.id, r.sync, r.health, r.reason]),
        page,
        (cell, column) => (column === 1 || column === 2 ? tone(cell, page.style) : cell),
      );

/** On narrower terminals the year and the seconds go, so that the hour stays. */
const WHOLE_DATES = 100;

export function historyText({ runs }: HistoryDocument, page: Reader): string {
  const { columns } = page;
  if (runs.length === 0) return 'No runs.';
  const rows = runs.map((r) => [
    r.quietFrom === undefined ? `#${r.id}` : `#${r.quietFrom}–${r.id}`,
    columns < WHOLE_DATES ? clockTime(r.startedAt).slice('2026-'.length, -':00'.length) : clockTime(r.startedAt),
    r.trigger,
    r.sync,
    shortId(r.commit?.commit),
    `${r.changed}/${r.failed}/${r.repaired}`,
    `${r.quietFrom === undefined ? '' : `${r.id - r.quietFrom + 1} runs ${r.sync === 'synced' ? 'with nothing to do' : 'alike'}: `}${r.command ? `command ${r.command.id}: ` : ''}${r.message || (r.commit?.subject ?? '')}`,
  ]);
  return table(['RUN', 'STARTED (UTC)', 'TRIGGER', 'SYNC', 'COMMIT', 'CH/FA/RE', 'WHAT'], rows, page, (cell, column) =>
    column === 3 ? tone(cell, page.style) : cell,
  );
}

export function runText(document: RunDocument, { style, columns, now }: Reader): string {
  const { run, actions } = tamed(document);
  const at = now();
  const asked = run.command
    ? ` by command ${run.command.id}${run.command.reason ? ` ("${run.command.reason}")` : ''}`
    : '';
  const head = `run #${run.id}  ${run.trigger}${asked}, ${clockTime(run.startedAt)} UTC (${ago(run.startedAt, at)}), ${took(run.durationMs)}: ${tone(run.sync, style)}`;
  const commit = run.commit
    ? `commit ${run.commit.commit} "${run.commit.subject}" by ${whose(run.commit)}, ${ago(run.commit.committedAt, at)}`
    : 'no commit';
  const seen = (run.commit?.commits ?? []).map(
    (c) =>
      `  ${shortId(c.commit)} "${c.subject}" by ${c.author}${c.touched === false ? ' (seen, not for this host)' : ''}`,
  );
  const quiet =
    run.quietFrom === undefined
      ? []
      : [
          `It stands for the runs #${run.quietFrom} to #${run.id}: all of them found the same${run.sync === 'synced' ? ', with nothing to do' : ''}.`,
        ];
  const body = actions.length > 0 ? actions.map((a) => actionText(a, style)) : ['Nothing was changed.'];
  return wrap([head, commit, ...seen, ...(run.message ? [run.message] : []), ...quiet, ...body].join('\n'), columns, 4);
}
