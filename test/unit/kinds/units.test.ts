/** Units on a systemd in memory: what an action really did, what cannot be done and why, and what a changed file restarts. */
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Exec } from '../../../agent/system/exec.ts';
import { reconcilerOn } from '../../fakes/host.ts';
import { done, whyOf } from '../../reconciler.ts';
import { freshHost } from './fresh-host.ts';
import { problems } from './stack-host.ts';

const ETC = '/etc/systemd/system';
const VENDOR = '/usr/lib/systemd/system';
const SLEEPS = '[Service]\nExecStart=/bin/sleep 1000\n';
const INSTALL = '[Install]\nWantedBy=multi-user.target\n';

const on = freshHost();

const put = (file: string, text: string) => {
  mkdirSync(path.dirname(on.host.root + file), { recursive: true });
  writeFileSync(on.host.root + file, text);
};
const link = (file: string, target: string) => {
  mkdirSync(path.dirname(on.host.root + file), { recursive: true });
  symlinkSync(target, on.host.root + file);
};
const units = (text: string) => ({ 'u.yaml': `units:\n${text}` });
/** A unit that fairlead installs. */
const ours = (name: string, content: string, keys = '') =>
  units(`  ${name}:\n    content: ${JSON.stringify(content)}\n${keys === '' ? '' : `    ${keys}\n`}`);
const startOf = (name: string) => on.host.systemd.unit(name).mainStartedUs;

describe('enabled', () => {
  test.each<[string, () => void, string, RegExp | null]>([
    [
      'alias',
      () => link(`${ETC}/x.service`, `${VENDOR}/real.service`),
      'true',
      /another name \(an alias\) of real\.service/,
    ],
    [
      'alias',
      () => link(`${ETC}/x.service`, `${VENDOR}/real.service`),
      'false',
      /another name \(an alias\) of real\.service/,
    ],
    ['static', () => put(`${VENDOR}/x.service`, SLEEPS), 'true', /no \[Install\] section.*`state: started`/],
    ['static', () => put(`${VENDOR}/x.service`, SLEEPS), 'false', /is static.*disable that one, or say `masked: true`/],
    [
      'generated',
      () => put('/etc/containers/systemd/x.container', '[Container]\nImage=a\n'),
      'true',
      /a generator makes it/,
    ],
    [
      'generated',
      () => put('/etc/containers/systemd/x.container', '[Container]\nImage=a\n'),
      'false',
      /a generator makes it.*masked: true/,
    ],
    ['masked', () => link(`${ETC}/x.service`, '/dev/null'), 'true', /is masked; say `masked: false`/],
    ['masked', () => link(`${ETC}/x.service`, '/dev/null'), 'false', null],
    ['masked-runtime', () => link('/run/systemd/system/x.service', '/dev/null'), 'true', /unmask --runtime x\.service/],
    ['indirect', () => put(`${VENDOR}/x.service`, `${SLEEPS}[Install]\nAlso=real.service\n`), 'true', null],
    ['indirect', () => put(`${VENDOR}/x.service`, `${SLEEPS}[Install]\nAlso=real.service\n`), 'false', null],
    ['disabled', () => put(`${VENDOR}/x.service`, SLEEPS + INSTALL), 'true', null],
    [
      'enabled-runtime',
      () => {
        put(`${VENDOR}/x.service`, SLEEPS + INSTALL);
        link('/run/systemd/system/multi-user.target.wants/x.service', `${VENDOR}/x.service`);
      },
      'false',
      /systemctl disable --runtime x\.service/,
    ],
  ])('%s, whatever `enabled` says about it (%#)', async (state, prepare, enabled, why) => {
    put(`${VENDOR}/real.service`, SLEEPS + INSTALL);
    prepare();
    await on.host.systemd.systemd.reload();
    expect(await on.host.systemd.systemd.fileState('x.service')).toBe(state);
    const files = { ...units(`  x.service: {enabled: ${enabled}}\n`), 'f.yaml': 'files: {/srv/other: {content: x}}\n' };
    const result = await on.engine.apply(files);
    // The rest of the commit is applied in any case.
    expect(existsSync(path.join(on.host.root, 'srv/other'))).toBe(true);
    if (why === null) {
      expect(problems(result)).toEqual([]);
      expect((await on.engine.again()).outcome.actions).toEqual([]);
    } else
      expect(problems(result)).toEqual([
        expect.stringMatching(new RegExp(`^unit:x.service NotInstallable: .*${why.source}`)),
      ]);
  });

  test('for this boot only becomes enabled permanently', async () => {
    put(`${VENDOR}/x.service`, SLEEPS + INSTALL);
    link('/run/systemd/system/multi-user.target.wants/x.service', `${VENDOR}/x.service`);
    expect(problems(await on.engine.apply(units('  x.service: {enabled: true}\n')))).toEqual([]);
    expect(await on.host.systemd.systemd.fileState('x.service')).toBe('enabled');
  });
});

describe('a start', () => {
  const files = ours('x.service', `[Unit]\nConditionPathExists=/srv/go\n${SLEEPS}`, 'state: started');
  test('that a condition prevents is reported, and not repeated', async () => {
    const result = await on.engine.apply(files);
    expect(problems(result)).toEqual([]);
    expect(JSON.stringify(whyOf(result, 'unit:x.service'))).toMatch(/not started: a condition/);
    for (let i = 0; i < 3; i++) expect((await on.engine.again()).outcome.actions).toEqual([]);
  });

  test('follows once the condition holds, and is not reported as drift', async () => {
    await on.engine.apply(files);
    put('/srv/go', '');
    const result = await on.engine.again();
    expect(on.host.systemd.unit('x.service').active).toBe('active');
    expect(whyOf(result, 'unit:x.service')).toEqual([
      { field: 'state', from: 'not started: a condition did not hold', to: 'started' },
    ]);
    expect((await on.engine.again()).outcome.actions).toEqual([]);
  });

  test('is tried again when the unit file changes', async () => {
    await on.engine.apply(files);
    put('/srv/go', '');
    await on.engine.apply(ours('x.service', `[Unit]\nConditionPathExists=/srv/go\n# new\n${SLEEPS}`, 'state: started'));
    expect(on.host.systemd.unit('x.service').active).toBe('active');
  });
});

describe('a unit that requires another one', () => {
  const needing = ours('x.service', `[Unit]\nRequires=nas.service\n${SLEEPS}`, 'state: started');
  const nas = (command: string) => `[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=${command}\n`;

  test('that this host has, and that fails, is a problem of the host', async () => {
    put(`${VENDOR}/nas.service`, nas('/bin/false'));
    const result = await on.engine.apply(needing);
    expect(problems(result)).toEqual([
      expect.stringMatching(/^unit:x\.service RequirementFailed: x\.service was not started: it requires nas\.service/),
    ]);
    expect(result.outcome.problems.map((p) => p.turn)).toEqual(['host']);
    put(`${VENDOR}/nas.service`, nas('/bin/true'));
    await on.host.systemd.systemd.reload();
    expect(problems(await on.engine.again({ trigger: 'manual' }))).toEqual([]);
  });

  test('that the same commit installs, and that fails, is a failure of the commit', async () => {
    const both = { ...needing, 'v.yaml': `units: {nas.service: {content: ${JSON.stringify(nas('/bin/false'))}}}\n` };
    expect(problems(await on.engine.apply(both))).toContainEqual(expect.stringMatching(/^unit:x\.service UnitFailed/));
  });
});

test('a hundred units that fail are looked at by few programs at a time', async () => {
  const running = { now: 0, most: 0, all: 0 };
  const exec: Exec = async (argv, options) => {
    running.all++;
    running.most = Math.max(running.most, ++running.now);
    await new Promise((resolve) => setTimeout(resolve, 5));
    running.now--;
    return on.host.options.exec(argv, options);
  };
  const engine = reconcilerOn({ ...on.host, options: { ...on.host.options, exec } });
  const names = Array.from({ length: 100 }, (_, i) => `x${i}.service`);
  const text = names
    .map(
      (name) =>
        `  ${name}: {content: ${JSON.stringify('[Service]\nType=oneshot\nExecStart=/bin/false\n')}, state: started}\n`,
    )
    .join('');
  const result = await engine.apply(units(text));
  engine.close();
  expect(problems(result)).toHaveLength(100);
  expect(running.all).toBeGreaterThan(200);
  expect(running.most).toBeLessThanOrEqual(4);
});

describe('systemd-analyze verify', () => {
  const applied = async (result: { code: number; stderr: string }) => {
    const exec: Exec = async (argv, options) =>
      argv.includes('systemd-analyze') ? { stdout: '', ...result } : on.host.options.exec(argv, options);
    const engine = reconcilerOn({ ...on.host, options: { ...on.host.options, exec } });
    const found = problems(await engine.apply(ours('x.service', SLEEPS)));
    engine.close();
    return { found, isInstalled: existsSync(`${on.host.root}${ETC}/x.service`) };
  };

  test.each([
    { code: 137, stderr: ' (timed out)' },
    { code: 139, stderr: '' },
    { code: 127, stderr: 'spawn env EMFILE' },
  ])('that gave no verdict passes no unit: $code $stderr', async (result) => {
    put('/usr/bin/systemd-analyze', '');
    const { found, isInstalled } = await applied(result);
    expect(found).toEqual([expect.stringMatching(/^unit:x\.service InstallFailed.*cannot verify x\.service/)]);
    expect(isInstalled).toBe(false);
  });

  test.each([
    { code: 0, stderr: '' },
    { code: 1, stderr: 'other.service: Unit configuration has fatal error' },
    { code: 127, stderr: "env: 'systemd-analyze': No such file or directory" },
  ])('that has nothing to say against a unit passes it: $code $stderr', async (result) => {
    const { found, isInstalled } = await applied(result);
    expect(found).toEqual([]);
    expect(isInstalled).toBe(true);
  });
});

describe('a changed unit file', () => {
  const changed = (text: string) => text.replace('[Service]', '# another text\n[Service]');
  test('restarts a running unit that is declared as started', async () => {
    await on.engine.apply(ours('x.service', SLEEPS, 'state: started'));
    const before = startOf('x.service');
    await on.host.clock.sleep(10);
    await on.engine.apply(ours('x.service', changed(SLEEPS), 'state: started'));
    expect(startOf('x.service')).toBeGreaterThan(before);
  });

  test('does not restart a unit that somebody else started', async () => {
    await on.engine.apply(ours('x.service', SLEEPS));
    await on.host.systemd.systemd.job('StartUnit', 'x.service');
    const before = startOf('x.service');
    await on.host.clock.sleep(10);
    const result = await on.engine.apply(ours('x.service', changed(SLEEPS)));
    expect(startOf('x.service')).toBe(before);
    expect(JSON.stringify(whyOf(result, 'unit:x.service'))).toMatch(/not restarted: nothing declares that it runs/);
    expect((await on.engine.again()).outcome.actions).toEqual([]);
  });

  test.each([
    ['', 'not declared to run'],
    ['state: started', 'declared to run'],
  ])('does not stop a running oneshot (%s)', async (keys) => {
    const backup = '[Service]\nType=oneshot\nExecStart=/bin/sleep infinity\n';
    await on.engine.apply(ours('backup.service', backup));
    void on.host.systemd.systemd.job('StartUnit', 'backup.service');
    await on.engine.apply(ours('backup.service', changed(backup), keys));
    expect(on.host.systemd.unit('backup.service')).toMatchObject({ active: 'activating' });
  });

  describe('of a completed oneshot that stays active', () => {
    const firewall = '[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n';
    const edit = async (keys: string, text = changed(firewall)) => {
      await on.engine.apply(ours('x.service', firewall, keys));
      const { inactiveExitUs } = on.host.systemd.unit('x.service');
      await on.host.clock.sleep(10);
      const result = await on.engine.apply(ours('x.service', text, keys));
      return { result, restarted: on.host.systemd.unit('x.service').inactiveExitUs !== inactiveExitUs };
    };

    test('does not stop it, and reports how to run it again', async () => {
      const { result, restarted } = await edit('state: started');
      expect(restarted).toBe(false);
      expect(problems(result)).toEqual([]);
      expect(JSON.stringify(whyOf(result, 'unit:x.service'))).toMatch(/not restarted: a oneshot that ran/);
      expect((await on.engine.again()).outcome.actions).toEqual([]);
    });

    test('runs it again if the entry has on_change: restart', async () => {
      expect((await edit('state: started\n    on_change: restart')).restarted).toBe(true);
    });

    test('restarts a unit that is no longer a oneshot', async () => {
      expect((await edit('state: started', SLEEPS)).restarted).toBe(true);
    });
  });

  test('only changes the times of a timer', async () => {
    const timer = '[Timer]\nOnCalendar=daily\n';
    await on.engine.apply(ours('x.timer', timer, 'state: started'));
    const { inactiveExitUs: before } = on.host.systemd.unit('x.timer');
    const reloads = on.host.systemd.reloads();
    await on.host.clock.sleep(10);
    const result = await on.engine.apply(ours('x.timer', timer.replace('daily', 'weekly'), 'state: started'));
    expect(problems(result)).toEqual([]);
    expect(on.host.systemd.unit('x.timer').inactiveExitUs).toBe(before);
    expect(on.host.systemd.reloads()).toBe(reloads + 1);
  });
});

test('a restart between the reload and the restart of a removal is not lost', async () => {
  put(`${VENDOR}/x.service`, SLEEPS);
  await on.engine.apply({
    ...units('  x.service: {dropins: {a.conf: {content: "[Service]\\nNice=5\\n"}}, state: started}\n'),
    'f.yaml': 'files: {/srv/a: {content: x}}\n',
  });
  const before = startOf('x.service');
  await on.host.clock.sleep(10);
  // The agent dies right after the reload.
  const { systemd } = on.host.systemd;
  const { job } = systemd;
  systemd.job = async () => Promise.reject(new Error('killed'));
  await on.engine.apply({ 'f.yaml': 'files: {/srv/a: {content: x}}\n' });
  systemd.job = job;
  expect(existsSync(`${on.host.root}${ETC}/x.service.d/a.conf`)).toBe(false);
  on.engine.restart();
  expect(done(await on.engine.again())).toEqual(['remove unit:x.service done']);
  expect(startOf('x.service')).toBeGreaterThan(before);
});

test('a change without an effect is a failure, and is not repeated as a success', async () => {
  put(`${VENDOR}/x.service`, SLEEPS);
  // The unit keeps its state, whatever command it gets.
  on.host.systemd.systemd.job = async () => 'done';
  const other = { 'f.yaml': 'files: {/srv/other: {content: x}}\n' };
  await on.host.systemd.systemd.list(['x.service']);
  on.host.systemd.unit('x.service').active = 'active';
  const result = await on.engine.apply({ ...units('  x.service: {state: stopped}\n'), ...other });
  expect(problems(result)).toEqual([
    expect.stringMatching(/^unit:x\.service NoEffect: the change had no effect: state is active, not stopped/),
  ]);
  expect(existsSync(path.join(on.host.root, 'srv/other'))).toBe(true);
});
