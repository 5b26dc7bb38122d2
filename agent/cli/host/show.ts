/** `fairlead show ID`: one resource in one screen, and the bytes that repairs of it overwrote. */
import { isUtf8 } from 'node:buffer';
import { readFileSync } from 'node:fs';
import type { IdsDocument, ShowDocument } from '../../control/protocol.ts';
import { AgentError } from '../../errors.ts';
import { isTame, tame, tameLines } from '../../tame.ts';
import { type Context, EXIT } from '../context.ts';
import { showText } from '../text/show-text.ts';

/** @param text an id, or a part of one that fits no other */
export async function show(
  c: Context,
  text: string,
  { overwritten }: { overwritten?: number | true },
): Promise<number> {
  const document = (await ask(c, text)) ?? (await ask(c, (await resolve(c, text)) ?? ''));
  if (document === null) return EXIT.unknown;
  if (overwritten !== undefined) return take(c, document, overwritten === true ? 1 : overwritten);
  c.print(document, () => showText(document, c));
  return EXIT.ok;
}

const ask = async (c: Context, id: string): Promise<ShowDocument | null> =>
  id === '' ? null : c.client.get<ShowDocument>(`resources/${encodeURIComponent(id)}`);

/** The id that `text` abbreviates. If there is none or several, prints that and returns null. */
export async function resolve(c: Context, text: string): Promise<string | null> {
  const found = await c.client.get<IdsDocument>(`ids?like=${encodeURIComponent(text)}`);
  const { matches, near } = found ?? { matches: [], near: [] };
  if (matches.length === 1) return matches[0] ?? null;
  if (matches.length > 1) c.complain(`${text} matches ${matches.length} resources; give more of the id`);
  else if (near.length > 0) c.complain(`no resource ${text}; did you mean`);
  else c.complain(`no resource ${text}; \`fairlead resources\` lists them`);
  for (const id of [...matches, ...near].slice(0, MOST_NAMED)) c.terminal.stderr(`  ${tame(id)}\n`);
  if (matches.length > MOST_NAMED) c.terminal.stderr(`  … ${matches.length - MOST_NAMED} more\n`);
  return null;
}

const MOST_NAMED = 20;

/** Prints the bytes unchanged: for a pipe, a diff, or to put them back. */
function take(c: Context, { id, overwritten }: ShowDocument, n: number): number {
  const wanted = overwritten.find((one) => one.n === n);
  if (wanted === undefined) {
    const kept = overwritten.length === 0 ? 'no repair of it overwrote a file' : `there are ${overwritten.length}`;
    c.complain(`no overwritten bytes of ${id} are kept under number ${n}: ${kept}`);
    return EXIT.unknown;
  }
  if (wanted.kept === null) {
    c.complain(
      `the bytes that run #${wanted.run} overwrote at ${wanted.path} are no longer kept: newer ones took their place`,
    );
    return EXIT.unknown;
  }
  if (c.options.json) {
    c.print(wanted, () => '');
    return EXIT.ok;
  }
  try {
    onto(c, readFileSync(wanted.kept));
    return EXIT.ok;
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    throw new AgentError({ code: 'NotKept', phase: 'report', message: `cannot read ${wanted.kept}: ${why}` });
  }
}

/** A pipe gets the bytes; a terminal gets text that cannot steer it. */
function onto(c: Context, bytes: Uint8Array): void {
  if (!c.terminal.isTTY) {
    c.terminal.stdout(bytes);
    return;
  }
  const text = Buffer.from(bytes).toString('utf8');
  c.terminal.stdout(tameLines(text));
  if (!isTame(text) || !isUtf8(bytes))
    c.complain('this is not plain text: control characters are shown as ·; pipe the output to get the bytes');
}
