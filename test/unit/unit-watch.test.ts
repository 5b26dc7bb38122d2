/** Which paths are watched for a unit. */
import { expect, test } from 'vitest';
import { unitPaths } from '../../agent/kinds/unit/watch.ts';

test('a unit is watched in the directories in which an administrator would change it', () => {
  const content =
    '[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target a.target\nAlias=other.service\n';
  expect(unitPaths({ name: 'x.service', content, onChange: 'restart' })).toEqual([
    '/etc/systemd/system/x.service',
    '/etc/systemd/system/x.service.d/*',
    '/etc/systemd/system/multi-user.target.wants/x.service',
    '/etc/systemd/system/a.target.wants/x.service',
    '/etc/systemd/system/other.service',
  ]);
});
