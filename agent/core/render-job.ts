/** One `jobs` entry → one resource. Pure. */
import { issueAt } from '../../manifests-schema/check.ts';
import type { JobEntry } from '../../manifests-schema/kinds/job.ts';
import type { Parsed } from '../../manifests-schema/yaml.ts';
import { durationMs } from '../config.ts';
import { canonicalHash } from './hash.ts';
import type { LayerContext } from './render-file.ts';
import type { JobSpec } from './specs.ts';
import type { Desired, Issue, ResourceId } from './types.ts';

/** It becomes part of a unit's name. */
export const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

export function renderJob(
  context: LayerContext,
  parsed: Parsed,
  name: string,
  entry: JobEntry,
): { resources: Desired[]; issues: Issue[] } {
  if (!NAME.test(name)) {
    const message = `\`${name}\` is not a name; it may have letters, digits, . _ - and 100 characters at most`;
    return { resources: [], issues: [issueAt(parsed, ['jobs', name], message)] };
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
  const resource: Desired<JobSpec> = {
    id: `job:${name}`,
    spec,
    hash: canonicalHash(spec, context.sha256),
    after: (entry.after ?? []) as ResourceId[],
    notify: (entry.notify ?? []) as ResourceId[],
    ...(entry.reload ? { reload: entry.reload as ResourceId[] } : {}),
    origin: { file: parsed.file, line: parsed.locate(['jobs', name]).line, layer: context.layer },
  };
  return { resources: [resource], issues: [] };
}
