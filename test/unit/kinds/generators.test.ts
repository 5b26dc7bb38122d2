/** Files from which systemd's generators make units: loaded once, before any unit is started, restarted or observed. */
import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { done } from '../../reconciler.ts';
import { freshHost } from './fresh-host.ts';
import { problems } from './stack-host.ts';

const on = freshHost();

const QUADLET = '/etc/containers/systemd/web.container';
const quadlet = (image: string, keys = '') => ({
  'f.yaml': `files: {${QUADLET}: {content: "[Container]\\nImage=${image}\\n"${keys}}, /srv/a: {content: x}}\n`,
});
const started = { 'u.yaml': 'units: {web.service: {state: started}}\n' };

test('a new Quadlet and the state of its unit are applied in one commit', async () => {
  const result = await on.engine.apply({ ...quadlet('one'), ...started });
  expect(problems(result)).toEqual([]);
  expect(on.host.systemd.unit('web.service')).toMatchObject({ active: 'active' });
  expect((await on.engine.again()).outcome.actions).toEqual([]);
});

test('a changed Quadlet is loaded before the unit that it notifies is restarted', async () => {
  const notify = ', notify: ["unit:web.service"]';
  await on.engine.apply({ ...quadlet('one', notify), ...started });
  const before = on.host.systemd.unit('web.service').mainStartedUs;
  await on.host.clock.sleep(10);
  const result = await on.engine.apply({ ...quadlet('two', notify), ...started });
  expect(done(result)).toContain('refresh unit:web.service done');
  const unit = on.host.systemd.unit('web.service');
  expect(unit.mainStartedUs).toBeGreaterThan(before);
  expect(unit.text).toMatch(/Image=two/);
});

test('a Quadlet is loaded even if no unit is declared, and when it is removed', async () => {
  await on.engine.apply(quadlet('one'));
  expect(await on.host.systemd.systemd.fileState('web.service')).toBe('generated');
  await on.engine.apply({ 'f.yaml': 'files: {/srv/a: {content: x}}\n' });
  expect(await on.host.systemd.systemd.fileState('web.service')).toBe('');
});

test('one reload is enough for a Quadlet and a unit file', async () => {
  const before = on.host.systemd.reloads();
  const unit =
    'units: {web.service: {state: started}, x.service: {content: "[Service]\\nExecStart=/bin/sleep 9\\n", state: started}}\n';
  expect(problems(await on.engine.apply({ ...quadlet('one'), 'u.yaml': unit }))).toEqual([]);
  expect(on.host.systemd.reloads()).toBe(before + 1);
  expect(on.host.systemd.unit('x.service')).toMatchObject({ active: 'active' });
});

test('an fstab entry creates its mount unit', async () => {
  const files = {
    'f.yaml': 'files: {/etc/fstab: {content: "tmpfs /srv/m tmpfs noauto 0 0\\n"}, /srv/m/a: {content: x}}\n',
    'u.yaml': 'units: {srv-m.mount: {state: started}}\n',
  };
  const result = await on.engine.apply(files);
  expect(problems(result)).toEqual([]);
  const order = done(result);
  expect(order.indexOf('create unit:srv-m.mount done')).toBeGreaterThan(order.indexOf('create file:/etc/fstab done'));
  expect(order.indexOf('create file:/srv/m/a done')).toBeGreaterThan(order.indexOf('create unit:srv-m.mount done'));
});

test('`enabled` of a generated unit is an error that says where to declare it', async () => {
  const result = await on.engine.apply({ ...quadlet('one'), 'u.yaml': 'units: {web.service: {enabled: true}}\n' });
  expect(problems(result)).toEqual([
    expect.stringMatching(
      /^unit:web\.service NotInstallable: .*generator makes it from .*web\.container; its \[Install\] section/,
    ),
  ]);
});

test('an interrupted reload is done by the next run', async () => {
  const { systemd } = on.host.systemd;
  const { reload } = systemd;
  systemd.reload = async () => Promise.reject(new Error('killed'));
  await on.engine.apply(quadlet('one'));
  expect(existsSync(on.host.root + QUADLET)).toBe(true);
  systemd.reload = reload;
  on.engine.restart();
  expect(problems(await on.engine.again())).toEqual([]);
  expect(await systemd.fileState('web.service')).toBe('generated');
  expect((await on.engine.again()).outcome.actions).toEqual([]);
});
