import { expect, test } from 'vitest';
import { explainBreakdown } from '../../agent/engine/run/records/breakdown.ts';

const coded = (code: string) => explainBreakdown(Object.assign(new Error('no room'), { code }), '/state').reason;

test('errors of a full, broken or read-only disk are distinguished from bugs', () => {
  for (const code of [
    'SQLITE_FULL',
    'SQLITE_IOERR',
    'SQLITE_IOERR_WRITE',
    'SQLITE_READONLY',
    'ENOSPC',
    'EROFS',
    'EDQUOT',
  ])
    expect([code, coded(code)]).toEqual([code, 'StateUnwritable']);
  for (const code of ['SQLITE_CONSTRAINT', 'ENOENT', 'EIOX']) expect([code, coded(code)]).toEqual([code, 'Internal']);
  for (const thrown of [new TypeError('x'), null, 'x', undefined])
    expect(explainBreakdown(thrown, '/state').reason).toBe('Internal');
});
