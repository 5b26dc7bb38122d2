/** A resource that mounts something which this run changed, and is not restarted for it, may look different afterwards. */
import { kindOf } from '../../core/id.ts';
import { definitionOf } from '../../core/kind.ts';
import type { Step } from '../../core/plan/plan.ts';
import type { Health } from '../../core/provider.ts';
import type { ActionRecord } from '../../core/types.ts';
import type { Run } from '../types.ts';
import { awayOf, indexed, observe } from './observe.ts';

/** @param health receives the health of resources that mount what changed without being restarted */
export async function lookAgain(
  run: Run,
  steps: readonly Step[],
  records: readonly ActionRecord[],
  health: Map<string, Health>,
): Promise<void> {
  const done = new Set(records.filter((r) => r.result === 'done').map((r) => r.id));
  const changed = new Set(
    steps
      .filter((s) => done.has(s.want.id))
      .flatMap(({ want }) => definitionOf(run.kinds, want.id).place?.(want.spec).path ?? []),
  );
  const wants = steps
    .map((s) => s.want)
    .filter(({ id, quiet = [] }) => !done.has(id) && quiet.some((path) => changed.has(path)));
  if (wants.length === 0) return;
  const ids = wants.map((w) => w.id);
  const observed = await observe(run.providers, ids, run.io.signal, indexed(wants));
  for (const want of wants) {
    const { id } = want;
    const now = awayOf(observed, id) ? undefined : run.providers.get(kindOf(id))?.health(want, observed.seen.get(id));
    if (now) health.set(want.id, now);
  }
}
