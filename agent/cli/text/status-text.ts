/** `status`, as people read it. Pure. */
import type { StatusDocument } from '../../../manifests-schema/payloads.ts';
import { turnText } from '../../core/reporting/turn-text.ts';
import { tamed } from '../../tame.ts';
import { wrap } from './table.ts';
import { ago, ahead, localTime, type Reader, shortId, tone, took, whose } from './words.ts';

/** Who has to act; an older agent does not send it. */
const turnOf = ({ turn }: StatusDocument['problems'][number]): string => (turn ? ` ${turnText(turn)}` : '');

/** Continuation lines are indented to the column of the text. */
const INDENT = 9;

export function statusText(document: StatusDocument, { now, style, columns }: Reader): string {
  const s = tamed(document);
  const at = now();
  const lines = [`${style.bold(s.host)}  ${tone(s.sync, style)}, ${tone(s.health, style)}  (fleet ${s.fleet})`];
  if (s.message) lines.push(`         ${s.message}`);
  if (s.desired)
    lines.push(
      `commit   ${shortId(s.desired.commit)} ${s.desired.ref}  "${s.desired.subject}" by ${whose(s.desired)}, ${ago(s.desired.committedAt, at)}`,
    );
  if (s.applied && s.applied.commit !== s.desired?.commit)
    lines.push(`applied  ${shortId(s.applied.commit)}, ${ago(s.applied.at, at)}`);
  if (s.pin) lines.push(`pinned   ${shortId(s.pin)}, until \`fairlead resume\``);
  if (s.gate && s.gate.reason !== s.message) lines.push(`held     ${s.gate.reason}`);
  if (s.gate?.until) lines.push(`until    ${localTime(s.gate.until)} (${ahead(s.gate.until, at)})`);
  for (const b of s.bad) lines.push(`bad      ${shortId(b.commit)} [${b.reason}]`);
  if (s.run)
    lines.push(
      `run      #${s.run.id} ${s.run.trigger}, ${ago(s.run.startedAt, at)}, ${took(s.run.durationMs)}: ${s.run.changed} changed, ${s.run.failed} failed, ${s.run.repaired} repaired`,
    );
  for (const p of s.paused ?? [])
    lines.push(
      `paused   ${p.id}${p.reason ? `: ${p.reason}` : ''}, ${p.until ? `until ${localTime(p.until)}` : `until \`fairlead resume ${p.id}\``}`,
    );
  for (const w of s.waiting ?? [])
    lines.push(`waiting  ${w.id}, since ${ago(w.since, at)}${w.until ? `, until ${ahead(w.until, at)} at most` : ''}`);
  if (s.next) lines.push(`next     ${ahead(s.next, at)}`);
  if (s.commands) lines.push(`commands ${s.commands.join(', ')}, over the broker`);
  const r = s.resources;
  lines.push(
    `resources ${r.total}: ${r.synced} synced, ${r.outOfSync} out of sync, ${r.failed} failed, ${r.held} held`,
  );
  if (s.problemsTotal > 0) {
    lines.push(`problems (${s.problemsTotal})`);
    for (const p of s.problems)
      lines.push(
        `  ${p.file ? `${p.file}:${p.line}: ` : ''}${p.id ? `${p.id}: ` : ''}${p.message} ${style.dim(`[${p.reason}]${turnOf(p)}`)}`,
      );
    const more = s.problemsTotal - s.problems.length;
    if (more > 0) lines.push(`  … ${more} more`);
  }
  if (s.warningsTotal > 0) {
    lines.push(`warnings (${s.warningsTotal})`);
    for (const w of s.warnings) lines.push(`  ${w.file}:${w.line}: ${w.message}`);
    const more = s.warningsTotal - s.warnings.length;
    if (more > 0) lines.push(`  … ${more} more`);
  }
  return wrap(lines.join('\n'), columns, INDENT);
}
