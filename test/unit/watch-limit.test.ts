/** When the limits of watches and of file descriptors become a problem. */
import { expect, test } from 'vitest';
import { descriptorLimit, descriptors } from '../../agent/system/proc/descriptors.ts';
import { watchLimit } from '../../agent/system/watch/watch-limit.ts';

test('the limit is reported when it is near, and the unwatched paths when it is exceeded', () => {
  expect(watchLimit('files', { watched: 89, left: 0 }, 100)).toBeNull();
  expect(watchLimit('files', { watched: 90, left: 0 }, 100)).toMatchObject({ reason: 'WatchLimitNear' });
  expect(watchLimit('files', { watched: 100, left: 3 }, 100)?.message).toContain('3 of 103 directories');
  // With only a few watches the kernel refused the process, not a directory.
  expect(watchLimit('units', { watched: 0, left: 6 }, 100)?.message).toContain('fs.inotify.max_user_instances');
});

test('file descriptors are a problem only near their limit', () => {
  const { open, limit } = descriptors();
  expect(open).toBeGreaterThan(3);
  expect(limit).toBeGreaterThan(open);
  expect(descriptorLimit({ open: 799, limit: 1000 })).toBeNull();
  expect(descriptorLimit({ open: 5_000, limit: null })).toBeNull();
  expect(descriptorLimit({ open: 800, limit: 1000 })).toMatchObject({
    reason: 'DescriptorLimitNear',
    message: expect.stringMatching(/^800 of 1000 file descriptors/),
  });
});
