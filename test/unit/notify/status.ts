/** Statuses of hosts, with the fields that notifications use. */
import type { StatusDocument } from '../../../manifests-schema/payloads.ts';

type Seen = Pick<
  StatusDocument,
  'host' | 'at' | 'sync' | 'health' | 'reason' | 'message' | 'gate' | 'desired' | 'problems' | 'problemsTotal'
>;

export const problem = (id: string, reason: string, message = `${reason} of ${id}`): Seen['problems'][number] => ({
  ...{ id, reason, message, file: null, line: null },
});

/** A host that is well, except for the given fields. */
export const statusWith = (given: Partial<Seen> = {}, commit = 'a'.repeat(40)): Seen => ({
  host: 'edge-1',
  at: '2026-11-24T08:00:00.000Z',
  sync: 'synced',
  health: 'healthy',
  reason: '',
  message: '',
  gate: null,
  desired: {
    ...{ ref: 'main', commit, author: 'Ada <ada@example.com>', subject: 'shop: a new front', signer: null },
    committedAt: '2026-11-24T07:59:00.000Z',
  },
  problems: [],
  problemsTotal: given.problems?.length ?? 0,
  ...given,
});
