/** One `checks` entry → one resource. Pure. */
import { issueAt } from '../../manifests-schema/check.ts';
import type { CheckEntry } from '../../manifests-schema/kinds/check.ts';
import type { Parsed } from '../../manifests-schema/yaml.ts';
import { durationMs } from '../config.ts';
import { canonicalHash } from './hash.ts';
import type { LayerContext } from './render-file.ts';
import { NAME } from './render-job.ts';
import type { CheckSpec } from './specs.ts';
import type { Desired, Issue } from './types.ts';

export function renderCheck(
  context: LayerContext,
  parsed: Parsed,
  name: string,
  entry: CheckEntry,
): { resources: Desired[]; issues: Issue[] } {
  const fail = (at: readonly string[], message: string) => ({
    resources: [],
    issues: [issueAt(parsed, ['checks', name, ...at], message)],
  });
  if (!NAME.test(name))
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
  const resource: Desired<CheckSpec> = {
    id: `check:${name}`,
    spec,
    hash: canonicalHash(spec, context.sha256),
    after: [],
    notify: [],
    origin: { file: parsed.file, line: parsed.locate(['checks', name]).line, layer: context.layer },
  };
  return { resources: [resource], issues: [] };
}

/** What to probe, or what is wrong with it. */
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
  return 'says nothing of what to probe; give `http`, `tcp` or `run`';
}
