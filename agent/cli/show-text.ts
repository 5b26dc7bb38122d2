/** `show`: one resource in one screen. Pure. */
import { stringify } from 'yaml';
import type { ActionDocument, ShowDocument } from '../control/protocol.ts';
import { actionText } from './print.ts';
import { wrap } from './table.ts';
import { ago, count, type Reader, shortId, tone, whose } from './words.ts';

const INDENT = 9;
/** Newest actions that are shown; `history --resource` has them all. */
const ACTIONS = 5;
const PIECES = 3;

export function showText(s: ShowDocument, reader: Reader): string {
  const { style, columns, now } = reader;
  const at = now();
  const verdict = s.status
    ? `${tone(s.status.sync, style)}, ${tone(s.status.health, style)}${s.status.reason ? `  ${style.dim(`[${s.status.reason}]`)}` : ''}`
    : 'not declared any more';
  const head = [`${style.bold(s.id)}  ${verdict}`];
  if (s.origin) head.push(`declared ${s.origin.file}:${s.origin.line} (layer ${s.origin.layer})`);
  for (const [name, from] of Object.entries(s.attributes))
    if (from.file !== s.origin?.file || from.line !== s.origin.line)
      head.push(`  ${name}: ${from.file}:${from.line} (layer ${from.layer})`);
  if (s.commit)
    head.push(
      `commit   ${shortId(s.commit.commit)} "${s.commit.subject}" by ${whose(s.commit)}, ${ago(s.commit.committedAt, at)}`,
    );
  const lines = [wrap(head.join('\n'), columns, INDENT)];
  if (s.desired !== null) lines.push(style.bold('desired'), block(said(s.desired)));
  lines.push(style.bold('actual'), s.actual === null ? '  nothing' : block(s.actual));
  if (s.history.length > 0) {
    const shown = s.history.slice(0, ACTIONS);
    lines.push(style.bold('last actions'));
    for (const h of shown)
      lines.push(wrap(`  #${h.run}, ${ago(h.at, at)}: ${actionText(withoutKept(h.action), style, s.id)}`, columns, 4));
    if (s.history.length > shown.length) lines.push(`  … \`fairlead history --resource ${s.id}\``);
  }
  if (s.overwritten.length > 0) {
    lines.push(style.bold('overwritten by repairs'));
    for (const { n, run, at: when, path, bytes } of s.overwritten.slice(0, PIECES))
      lines.push(
        wrap(
          `  ${n}: #${run}, ${ago(when, at)}: ${bytes === null ? 'kept no more' : count(bytes, 'byte')}${s.id === `file:${path}` ? '' : ` of ${path}`}`,
          columns,
          4,
        ),
      );
    lines.push(`  \`fairlead show ${s.id} --overwritten ${s.overwritten[0]?.n}\` prints them`);
  }
  return lines.join('\n');
}

/** Where bytes are kept is said once, below. */
const withoutKept = (action: ActionDocument): ActionDocument => ({
  ...action,
  why: action.why.filter(({ field, to }) => field !== 'kept' || !to?.startsWith('/')),
});

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

/** A hash is told from another by its beginning. */
const HASH = /\b([0-9a-f]{12})[0-9a-f]{52}\b/g;
const block = (value: unknown): string =>
  (typeof value === 'string' ? value : stringify(value, { lineWidth: 0 }).trimEnd())
    .replaceAll(HASH, '$1…')
    .replace(/^/gm, '  ');
