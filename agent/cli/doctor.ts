/** `fairlead doctor`: each part that a host needs, probed, with the fix (product contract, section 5). */
import { type Context, EXIT } from './context.ts';

export interface Finding {
  name: string;
  ok: boolean;
  /** What was found. */
  message: string;
  /** What to do, where it is not ok. */
  fix: string;
}

export async function doctor(c: Context): Promise<number> {
  const findings = await c.deps.examine(c.options);
  const width = Math.max(...findings.map((f) => f.name.length));
  c.print({ schema: 1, findings }, () =>
    findings
      .map(({ name, ok, message, fix }) => {
        const line = `${ok ? c.style.green('ok  ') : c.style.red('FAIL')}  ${name.padEnd(width)}  ${message}`;
        return ok ? line : `${line}\n      ${''.padEnd(width)}  → ${fix}`;
      })
      .join('\n'),
  );
  return findings.every((f) => f.ok) ? EXIT.ok : EXIT.bad;
}
