/** `show`: one resource in one screen. Pure. */
import { Document, isCollection, isMap, isPair, isScalar, visit } from 'yaml';
import type { ActionDocument, ShowDocument } from '../../control/protocol.ts';
import { tamed } from '../../tame.ts';
import { actionText } from './print.ts';
import { wrap } from './table.ts';
import { ago, count, type Reader, shortId, tone, whose } from './words.ts';

const INDENT = 9;
/** Number of newest actions that are shown; `history --resource` has all of them. */
const ACTIONS = 5;
const PIECES = 3;

export function showText(document: ShowDocument, reader: Reader): string {
  const s = tamed(document);
  const { style, columns, now } = reader;
  const at = now();
  const verdict = s.status
    ? `${tone(s.status.sync, style)}, ${tone(s.status.health, style)}${s.status.reason ? `  ${style.dim(`[${s.status.reason}]`)}` : ''}`
    : 'no longer declared';
  const head = [`${style.bold(s.id)}  ${verdict}`];
  if (s.origin) head.push(`declared ${s.origin.file}:${s.origin.line} (layer ${s.origin.layer})`);
  for (const [name, from] of Object.entries(s.attributes))
    if (from.file !== s.origin?.file || from.line !== s.origin.line)
      head.push(`  ${name}: ${from.file}:${from.line} (layer ${from.layer})`);
  if (s.commit)
    head.push(
      `commit   ${shortId(s.commit.commit)} "${s.commit.subject}" by ${whose(s.commit)}, ${ago(s.commit.committedAt, at)}${s.commit.oneOf > 1 ? ` (or one of the ${s.commit.oneOf - 1} before it, which came with it)` : ''}`,
    );
  const lines = [wrap(head.join('\n'), columns, INDENT)];
  if (s.desired !== null) lines.push(style.bold('desired'), block(said(s.desired, Object.keys(s.attributes)), columns));
  lines.push(style.bold('actual'), s.actual === null ? '  nothing' : block(said(s.actual), columns));
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
          `  ${n}: #${run}, ${ago(when, at)}: ${bytes === null ? 'no longer kept' : count(bytes, 'byte')}${s.id.endsWith(`:${path}`) ? '' : ` of ${path}`}`,
          columns,
          4,
        ),
      );
    if (s.overwritten.length > PIECES) lines.push(`  … ${s.overwritten.length - PIECES} more`);
    lines.push(`  \`fairlead show ${s.id} --overwritten ${s.overwritten[0]?.n}\` prints them`);
  }
  return lines.join('\n');
}

/** The place where overwritten content is kept is shown once, below. */
const withoutKept = (action: ActionDocument): ActionDocument => ({
  ...action,
  why: action.why.filter(({ field, to }) => field !== 'kept' || !to?.startsWith('/')),
});

/** Without what is empty, and so was left to its default, but for what somebody wrote: what is left fits a screen. */
function said(value: unknown, written: readonly string[] = []): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => said(item));
  const entries = Object.entries(value).map(([key, item]): [string, unknown] => [key, said(item)]);
  return Object.fromEntries(entries.filter(([key, item]) => written.includes(key) || !isEmpty(item)));
}

const isEmpty = (value: unknown): boolean =>
  value === null ||
  value === '' ||
  value === 0 ||
  value === false ||
  (typeof value === 'object' && Object.keys(value).length === 0);

/** The beginning of a hash is enough to tell it from another. */
const HASH = /\b([0-9a-f]{12})[0-9a-f]{52}\b/g;
/** Maps and lists from this depth on stand on one line; above it only those that hold a word or two. */
const FLOW_DEPTH = 2;

function block(value: unknown, columns: number): string {
  const document = new Document(value);
  visit(document, {
    Collection(_, node, path) {
      const depth = path.filter((above) => isCollection(above)).length;
      const flat = node.items.every((item) => isScalar(isPair(item) ? item.value : item));
      node.flow = depth >= FLOW_DEPTH || (depth > 0 && flat && (isMap(node) || node.items.length === 1));
    },
  });
  const text = typeof value === 'string' ? value : document.toString({ lineWidth: 0 }).trimEnd();
  return wrap(text.replaceAll(HASH, '$1…').replace(/^/gm, '  '), columns, 6);
}
