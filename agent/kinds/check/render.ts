/** One `checks` entry → one resource. Pure. */

import { durationMs } from '../../../manifests-schema/duration.ts';
import type { CheckEntry } from '../../../manifests-schema/kinds/check.ts';
import type { RenderContext, Rendered } from '../../core/kind.ts';
import { isName } from '../../core/names/entry-name.ts';
import type { CheckSpec } from './spec.ts';

export function renderCheck(entry: CheckEntry, context: RenderContext): Rendered {
  const { key: name } = context;
  const fail = (at: readonly string[], message: string) => ({
    resources: [],
    issues: [context.issue(at, message)],
  });
  if (!isName(name))
    return fail([], `\`${name}\` is not a name; it may have letters, digits, . _ - and 100 characters at most`);
  const forms = (['http', 'tcp', 'run'] as const).filter((form) => entry[form] !== undefined);
  if (forms.length > 1)
    return fail([forms[1] ?? ''], `\`${name}\` has both \`${forms[0]}\` and \`${forms[1]}\`; keep one`);
  const probe = probeOf(entry);
  if (typeof probe === 'string') return fail([...forms], `\`${name}\` ${probe}`);
  const spec: CheckSpec = {
    name,
    probe,
    withinMs: durationMs(entry.within ?? '30s'),
    everyMs: durationMs(entry.every ?? '30s'),
  };
  return { resources: [context.declare(name, spec)], issues: [] };
}

/** The probe, or why the entry is invalid. */
function probeOf({ http, tcp, run, expect }: CheckEntry): CheckSpec['probe'] | string {
  if (http !== undefined) {
    if (!URL.canParse(http)) return `has no URL that can be read: ${http}`;
    return { type: 'http', url: http, expect: expect ?? null };
  }
  if (tcp !== undefined) {
    if (expect !== undefined) return 'only asks for a connection, so it can have no `expect`';
    const at = tcp.lastIndexOf(':');
    const port = Number(tcp.slice(at + 1));
    if (port < 1 || port > 65_535) return `names port ${port}, and ports go from 1 to 65535`;
    return { type: 'tcp', host: tcp.slice(0, at).replace(/^\[(.*)\]$/, '$1'), port };
  }
  if (run !== undefined) return { type: 'run', argv: run, expect: expect ?? 0 };
  return 'has no probe; give `http`, `tcp` or `run`';
}
