/** `fairlead doctor`: probes each part that a host needs, and prints the fix for each that fails or could not be checked. */
import { tamed } from '../../tame.ts';
import { type Context, EXIT } from '../context.ts';
import { wrap } from '../text/table.ts';

export async function doctor(c: Context): Promise<number> {
  const findings = await c.deps.examine(c.options);
  const width = Math.max(...findings.map((f) => f.name.length));
  const indent = 'FAIL'.length + 4 + width;
  c.print({ schema: 1, findings }, () =>
    tamed(findings)
      .map(({ name, ok, unknown, message, fix }) => {
        const mark = unknown ? c.style.yellow('?   ') : ok ? c.style.green('ok  ') : c.style.red('FAIL');
        const line = `${mark}  ${name.padEnd(width)}  ${message}`;
        const lines = ok && !unknown ? [line] : [line, `${' '.repeat(indent)}→ ${fix}`];
        return lines.map((text) => wrap(text, c.columns, indent)).join('\n');
      })
      .join('\n'),
  );
  return findings.every((f) => f.ok) ? EXIT.ok : EXIT.bad;
}
