/** Errors of writes: those of the disk or the machine are retried, and no commit is blamed for them. */
import { expect, test } from 'vitest';
import { explain } from '../../agent/system/paths/errors.ts';

const refused = (code: string) => explain('write', '/srv/a', Object.assign(new Error(`${code}: said`), { code }));

test.each(['EIO', 'ENXIO', 'ESTALE', 'ENOMEM', 'EMFILE', 'ENFILE', 'EROFS', 'ENOSPC'])('%s is temporary', (code) => {
  expect(refused(code).retry).toBe(true);
});

test('an input/output error names the disk', () => {
  expect(refused('EIO').message).toBe(
    'cannot write /srv/a: the disk answers with an input/output error; look at the kernel log (dmesg) and at the disk',
  );
});

test.each(['ELOOP', 'ENAMETOOLONG', 'EEXIST'])('%s is permanent', (code) => {
  expect(refused(code).retry).toBe(false);
});
