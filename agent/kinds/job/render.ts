/** One `jobs` entry → one resource. Pure. */

import { durationMs } from '../../../manifests-schema/duration.ts';
import type { JobEntry } from '../../../manifests-schema/kinds/job.ts';
import type { RenderContext, Rendered } from '../../core/kind.ts';
import { isName } from '../../core/names/entry-name.ts';
import type { JobSpec } from './spec.ts';

export function renderJob(entry: JobEntry, context: RenderContext): Rendered {
  const { key: name } = context;
  if (!isName(name)) {
    const message = `\`${name}\` is not a name; it may have letters, digits, . _ - and 100 characters at most`;
    return { resources: [], issues: [context.issue([], message)] };
  }
  const spec: JobSpec = {
    name,
    run: entry.run,
    when: entry.when ?? 'change',
    ...(entry.unless ? { unless: entry.unless } : {}),
    cwd: entry.cwd ?? '/',
    env: entry.env ?? {},
    user: entry.user ?? 'root',
    timeoutMs: durationMs(entry.timeout ?? '10m'),
    onRollback: entry.on_rollback ?? 'skip',
  };
  return { resources: [context.declare(name, spec)], issues: [] };
}
