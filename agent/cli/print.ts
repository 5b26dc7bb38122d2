/** Text for people. Pure: what it prints depends on its arguments alone. */

import type { StatusDocument } from '../../manifests-schema/payloads.ts';
import type { HistoryDocument, PlanDocument, RunDocument, ShowDocument } from '../control/protocol.ts';
import type { Progress } from '../core/provider.ts';
import type { ActionRecord, PlannedAction, Reason, ResourceStatus } from '../core/types.ts';
import type { FleetRow } from '../fleet/model.ts';
import { type Style, table } from './table.ts';

export const shortId = (commit: string | null | undefined): string => commit?.slice(0, 7) ?? '-';

export function ago(at: string | null, now: Date): string {
  if (at === null) return '-';
  const s = Math.max(0, Math.round((now.getTime() - Date.parse(at)) / 1000));
  if (s < 120) return `${s} s ago`;
  if (s < 7_200) return `${Math.round(s / 60)} min ago`;
  return s < 172_800 ? `${Math.round(s / 3_600)} h ago` : `${Math.round(s / 86_400)} d ago`;
}

export const reasons = (why: readonly Reason[]): string =>
  why
    .map(({ field, from, to }) => (from === undefined ? `${field}: ${to ?? ''}` : `${field}: ${from} → ${to ?? ''}`))
    .join('; ');

const tone = (word: string, style: Style): string => {
  if (['synced', 'healthy', 'online', 'done'].includes(word)) return style.green(word);
  return ['failed', 'degraded', 'offline', 'rolled-back'].includes(word) ? style.red(word) : style.yellow(word);
};

export function statusText(s: StatusDocument, now: Date, style: Style): string {
  const lines = [`${style.bold(s.host)}  ${tone(s.sync, style)}, ${tone(s.health, style)}  (fleet ${s.fleet})`];
  if (s.message) lines.push(`         ${s.message}`);
  if (s.desired)
    lines.push(
      `commit   ${shortId(s.desired.commit)} ${s.desired.ref}  "${s.desired.subject}" by ${whose(s.desired)}, ${ago(s.desired.committedAt, now)}`,
    );
  if (s.applied && s.applied.commit !== s.desired?.commit)
    lines.push(`applied  ${shortId(s.applied.commit)}, ${ago(s.applied.at, now)}`);
  if (s.pin) lines.push(`pinned   ${shortId(s.pin)}, until \`fairlead resume\``);
  if (s.gate && s.gate.reason !== s.message) lines.push(`held     ${s.gate.reason}`);
  if (s.gate?.until) lines.push(`until    ${s.gate.until}`);
  for (const b of s.bad) lines.push(`bad      ${shortId(b.commit)} [${b.reason}]`);
  if (s.run)
    lines.push(
      `run      #${s.run.id} ${s.run.trigger}, ${ago(s.run.startedAt, now)}, ${s.run.durationMs} ms: ${s.run.changed} changed, ${s.run.failed} failed, ${s.run.repaired} repaired`,
    );
  if (s.next) lines.push(`next     ${new Date(s.next).toISOString()}`);
  const r = s.resources;
  lines.push(
    `resources ${r.total}: ${r.synced} synced, ${r.outOfSync} out of sync, ${r.failed} failed, ${r.held} held`,
  );
  if (s.problemsTotal > 0) {
    lines.push(`problems (${s.problemsTotal})`);
    for (const p of s.problems)
      lines.push(`  ${p.file ? `${p.file}:${p.line}: ` : ''}${p.id ? `${p.id}: ` : ''}${p.message} [${p.reason}]`);
  }
  return lines.join('\n');
}

const SIGN: Record<string, string> = { create: '+', update: '~', replace: '±', remove: '-', refresh: '↻', none: ' ' };

export function planText(plan: PlanDocument): string {
  const lines = plan.issues.map(
    (i) => `${i.file}:${i.line}:${i.column}: ${i.severity === 'warning' ? 'warning: ' : ''}${i.message}`,
  );
  if (plan.error) lines.push(plan.error);
  if (plan.held) lines.push(`held: ${plan.held}`);
  lines.push(...plan.actions.map(plannedLine));
  if (lines.length === 0)
    lines.push(
      plan.commit === null
        ? 'Nothing to do: the host matches this directory.'
        : `Nothing to do: the host matches commit ${shortId(plan.commit)}.`,
    );
  return lines.join('\n');
}

const plannedLine = ({ id, op, why, origin }: PlannedAction): string =>
  `${SIGN[op]} ${id}  ${op}${why.length > 0 ? `  ${reasons(why)}` : ''}${origin ? `  (${origin.file}:${origin.line})` : ''}`;

export function actionText(action: ActionRecord, style: Style): string {
  const drift = action.drift ? `${style.yellow('had drifted')}: ` : '';
  const error = action.error ? `  ${style.red(action.error.message)} [${action.error.code}]` : '';
  return `${SIGN[action.op]} ${action.id}  ${action.op} ${tone(action.result, style)}, ${action.durationMs} ms  ${drift}${reasons(action.why)}${error}`;
}

/** In steps of a tenth: a log has room for these. */
export function progressText({ image, doneBytes, totalBytes }: Progress): string {
  const tenths = totalBytes > 0 ? Math.floor((10 * doneBytes) / totalBytes) : 0;
  return `pull ${image}  ${tenths * 10} % of ${(totalBytes / 1e6).toFixed(1)} MB`;
}

export const resourcesText = (rows: readonly ResourceStatus[], columns: number, style: Style): string =>
  rows.length === 0
    ? 'No resources.'
    : table(
        ['RESOURCE', 'SYNC', 'HEALTH', 'REASON'],
        rows.map((r) => [r.id, r.sync, r.health, r.reason]),
        columns,
        style,
      );

export function historyText({ runs }: HistoryDocument, columns: number, style: Style): string {
  if (runs.length === 0) return 'No runs.';
  const rows = runs.map((r) => [
    `#${r.id}`,
    r.startedAt.replace('T', ' ').slice(0, 19),
    r.trigger,
    r.sync,
    shortId(r.commit?.commit),
    `${r.changed}/${r.failed}/${r.repaired}`,
    r.message || (r.commit?.subject ?? ''),
  ]);
  return table(['RUN', 'STARTED (UTC)', 'TRIGGER', 'SYNC', 'COMMIT', 'CH/FA/RE', 'WHAT'], rows, columns, style);
}

/** Author; committer and signer where they say more. */
function whose({ author, committer, signer }: { author: string; committer?: string; signer?: string | null }): string {
  const by = committer !== undefined && committer !== author ? `, committed by ${committer}` : '';
  return `${author}${by}${signer ? `, signed by ${signer}` : ''}`;
}

export function runText({ run, actions }: RunDocument, style: Style): string {
  const head = `run #${run.id}  ${run.trigger}, ${run.startedAt}, ${run.durationMs} ms: ${tone(run.sync, style)}`;
  const commit = run.commit
    ? `commit ${run.commit.commit} "${run.commit.subject}" by ${whose(run.commit)}`
    : 'no commit';
  const seen = (run.commit?.commits ?? []).map(
    (c) =>
      `  ${shortId(c.commit)} "${c.subject}" by ${c.author}${c.touched === false ? ' (seen, not for this host)' : ''}`,
  );
  const body = actions.length > 0 ? actions.map((a) => actionText(a, style)) : ['Nothing was changed.'];
  return [head, commit, ...seen, ...(run.message ? [run.message] : []), ...body].join('\n');
}

export function showText(s: ShowDocument, style: Style): string {
  const lines = [
    `${style.bold(s.id)}  ${s.status ? `${tone(s.status.sync, style)}, ${tone(s.status.health, style)}` : 'not declared any more'}`,
  ];
  if (s.origin) lines.push(`declared ${s.origin.file}:${s.origin.line} (layer ${s.origin.layer})`);
  for (const [name, at] of Object.entries(s.attributes))
    lines.push(`  ${name.padEnd(10)} ${at.file}:${at.line} (layer ${at.layer})`);
  if (s.commit) lines.push(`commit   ${shortId(s.commit.commit)} "${s.commit.subject}" by ${whose(s.commit)}`);
  lines.push('desired', indent(said(s.desired)), 'actual', indent(s.actual));
  if (s.history.length > 0)
    lines.push('history', ...s.history.map((h) => `  run #${h.run} ${h.at}  ${actionText(h.action, style)}`));
  return lines.join('\n');
}

/** Without what is empty, and so was left to its default: what is left fits a screen. */
function said(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const empty = (v: unknown) =>
    v === null || v === '' || v === 0 || v === false || (typeof v === 'object' && Object.keys(v).length === 0);
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, v]) => !empty(v))
      .map(([key, v]) => [key, said(v)]),
  );
}

const indent = (value: unknown): string => JSON.stringify(value, null, 2).replace(/^/gm, '  ');

export function fleetText(rows: readonly FleetRow[], columns: number, now: Date, style: Style): string {
  if (rows.length === 0) return 'No host has reported to this broker.';
  const cells = rows.map((r) => [
    r.host,
    r.presence,
    r.sync,
    r.health,
    shortId(r.commit),
    ago(r.at, now),
    r.message || r.subject,
  ]);
  return table(['HOST', 'PRESENCE', 'SYNC', 'HEALTH', 'COMMIT', 'REPORTED', 'WHAT'], cells, columns, style);
}
