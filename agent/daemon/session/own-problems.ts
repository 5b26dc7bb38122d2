/** Problems of the agent itself, in addition to those of runs. */
import type { Problem } from '../../core/types.ts';
import type { Store } from '../../store/db.ts';
import { descriptorLimit, descriptors } from '../../system/proc/descriptors.ts';

/** The disk of the state cannot be written. */
export function diskProblem(store: Pick<Store, 'trouble'>): Problem[] {
  const message = store.trouble();
  return message === null ? [] : [{ id: 'state', reason: 'StateUnwritable', message, file: null, line: null }];
}

/** The process has few file descriptors left. */
export function descriptorProblem(): Problem[] {
  const limit = descriptorLimit(descriptors());
  return limit === null ? [] : [{ id: 'agent', ...limit, file: null, line: null }];
}
