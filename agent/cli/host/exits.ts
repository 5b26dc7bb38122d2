/** Exit codes of commands whose answer is a verdict on the host (docs/commands.md, "Exit codes"). Pure. */
import type { StatusDocument } from '../../../manifests-schema/payloads.ts';
import type { RunRecord } from '../../core/types.ts';
import { EXIT } from '../context.ts';

type Verdict = Pick<StatusDocument, 'sync' | 'health' | 'problems'>;

/** The problem under this id says that the head of the repository could not be read. */
const REPOSITORY = 'repository';

export const isHeadUnread = ({ problems }: Pick<StatusDocument, 'problems'>): boolean =>
  problems.some(({ id }) => id === REPOSITORY);

/** `status`: 0 synced and healthy, 2 held and healthy, 1 not. */
export function exitOfStatus({ sync, health }: Verdict): number {
  if (health !== 'healthy') return EXIT.bad;
  if (sync === 'held') return EXIT.pending;
  return sync === 'synced' ? EXIT.ok : EXIT.bad;
}

/** `sync`: 0 synced, 2 held, 1 failed, also if it could not be read what there is to sync to. */
export function exitOfSync({ sync }: Pick<RunRecord, 'sync'>, status: Verdict): number {
  if (isHeadUnread(status)) return EXIT.bad;
  if (sync === 'held') return EXIT.pending;
  return sync === 'synced' ? EXIT.ok : EXIT.bad;
}
