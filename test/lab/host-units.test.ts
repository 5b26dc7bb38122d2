/** Units on real hosts of both flavours: every type, drop-ins, masks, links, one daemon-reload, and nothing left behind. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { done, type EngineOn, engineOn, whyOf } from './engine-on.ts';
import { type Lab, type LabHost, startLab, until } from './lab.ts';
import type { Flavour } from './recipe.ts';

const FLAVOURS: readonly Flavour[] = ['debian13', 'debian12'];
let lab: Lab;
beforeAll(async () => {
  lab = await startLab({
    name: 'hostkinds-units',
    infra: 'shared',
    hosts: FLAVOURS.map((flavour) => ({ name: flavour, flavour })),
  });
});
afterAll(async () => lab?.stop());

const text = (...lines: string[]) => JSON.stringify(`${lines.join('\n')}\n`);
const sleeper = (word: string) =>
  text(
    '[Service]',
    'ExecStart=/bin/sleep infinity',
    `Environment=WORD=${word}`,
    '[Install]',
    'WantedBy=multi-user.target',
  );

describe.each(FLAVOURS)('on %s', (flavour) => {
  let host: LabHost;
  let engine: EngineOn;
  beforeAll(async () => {
    host = lab.host(flavour);
    engine = await engineOn(host);
  });
  afterAll(() => engine?.close());

  const apply = (units: string, more: Record<string, string> = {}) =>
    engine.apply({ 'a.yaml': `files:\n  /srv/anchor: {content: x}\n${units}`, ...more });
  const show = async (unit: string, ...properties: string[]) =>
    (await host.exec(['systemctl', 'show', '--value', ...properties.flatMap((p) => ['-p', p]), unit])).stdout
      .trim()
      .split('\n')
      .filter(Boolean);
  const is = async (verb: 'is-active' | 'is-enabled', ...units: string[]) =>
    (await host.exec(['systemctl', verb, ...units], { check: false })).stdout.trim().split('\n').join(' ');
  /** Waits until a command prints nothing. */
  const forgotten = async (listing: string) => {
    const left = async () => (await host.sh(listing)).stdout;
    await until('no leftovers', 60_000, async () => (await left()) === '').catch(() => undefined);
    expect(await left()).toBe('');
  };
  /** Everything below /etc/systemd/system, links with their targets. */
  const tree = async () => (await host.sh('cd /etc/systemd/system; find . -printf "%p %l\\n" | sort')).stdout;

  test("every type of unit starts, is enabled with systemd's own links, and is removed without a trace", async () => {
    const before = await tree();
    const units = `units:
  t.service: {content: ${sleeper('one')}, enabled: true, state: started}
  t-once.service: {content: ${text('[Service]', 'Type=oneshot', 'ExecStart=/bin/sh -c "echo ran >> /run/t-once"')}, state: started}
  t.timer: {content: ${text('[Timer]', 'OnCalendar=hourly', '[Install]', 'WantedBy=timers.target')}, enabled: true, state: started}
  t-sock.socket: {content: ${text('[Socket]', 'ListenStream=/run/t.sock', '[Install]', 'WantedBy=sockets.target')}, enabled: true, state: started}
  t-sock.service: {content: ${sleeper('sock')}, state: started}
  t-path.path: {content: ${text('[Path]', 'PathExists=/run/t-path', 'Unit=t-once.service')}, state: started}
  run-t\\x2dmnt.mount: {content: ${text('[Mount]', 'What=tmpfs', 'Where=/run/t-mnt', 'Type=tmpfs')}, state: started}
  t.target: {content: ${text('[Unit]', 'Wants=t.service', '[Install]', 'WantedBy=multi-user.target')}, enabled: true, state: started}
  t.slice: {content: ${text('[Slice]', 'CPUWeight=50')}, state: started}
  t@.service: {content: ${text('[Service]', 'ExecStart=/bin/sleep infinity', '[Install]', 'WantedBy=multi-user.target')}}
  t@one.service: {enabled: true, state: started}
  t@two.service: {state: started}
`;
    const first = await apply(units);
    expect([first.run.sync, first.outcome.problems]).toEqual(['synced', []]);
    const all = ['t.service', 't.timer', 't-sock.socket', 't-sock.service', 't-path.path', 'run-t\\x2dmnt.mount'];
    const more = ['t.target', 't.slice', 't@one.service', 't@two.service'];
    expect(await is('is-active', ...all, ...more)).toBe('active '.repeat(10).trim());
    expect(
      await is('is-enabled', 't.service', 't.timer', 't-sock.socket', 't.target', 't@one.service', 't@two.service'),
    ).toBe('enabled enabled enabled enabled enabled disabled');
    expect(await tree()).toContain('./multi-user.target.wants/t@one.service /etc/systemd/system/t@.service');
    // The oneshot completed: settled, no drift, not run again.
    expect((await host.exec(['cat', '/run/t-once'])).stdout).toBe('ran\n');
    expect(done(await engine.again())).toEqual([]);
    expect((await host.exec(['cat', '/run/t-once'])).stdout).toBe('ran\n');

    const removed = await apply('');
    expect(removed.outcome.problems).toEqual([]);
    expect(await tree()).toBe(before);
    // systemd forgets a unit that is no longer needed a moment later.
    await forgotten(
      'systemctl list-units --all --no-legend --plain "t.*" "t-*" "t@*" "run-t*" | cat; systemctl list-unit-files --no-legend "t.*" "t@*" | cat',
    );
  });

  test('a socket is changed together with its running service; a changed template changes its instances', async () => {
    const socket = (path: string) => text('[Socket]', `ListenStream=${path}`);
    const template = (word: string) => text('[Service]', 'ExecStart=/bin/sleep infinity', `Environment=WORD=${word}`);
    const units = (path: string, word: string) =>
      `units:\n  s.socket: {content: ${socket(path)}, state: started}\n  s.service: {content: ${sleeper('s')}, state: started}\n  i@.service: {content: ${template(word)}}\n  i@1.service: {state: started}\n`;
    expect((await apply(units('/run/s1.sock', 'one'))).run.sync).toBe('synced');
    const second = await apply(units('/run/s2.sock', 'two'));
    expect([second.run.sync, done(second)]).toEqual([
      'synced',
      expect.arrayContaining(['update unit:s.socket done', 'refresh unit:i@1.service done']),
    ]);
    expect(await is('is-active', 's.socket', 's.service')).toBe('active active');
    expect((await show('s.socket', 'Listen')).join()).toContain('/run/s2.sock');
    expect(await show('i@1.service', 'Environment')).toEqual(['WORD=two']);
    await apply('');
  });

  test('one daemon-reload for a commit of many units, and one for removing them', async () => {
    const units = Array.from(
      { length: 8 },
      (_, i) =>
        `  many-${i}.service: {content: ${sleeper('m')}, enabled: true, state: started, dropins: {a.conf: {content: ${text('[Service]', 'Nice=1')}}}}\n`,
    );
    const reloads = async () =>
      (
        await host.sh('journalctl --sync; journalctl --no-pager -o cat _PID=1 | grep -cE "^Reloading" || true')
      ).stdout.trim();
    // Every release words it differently: count the lines of one manual reload.
    const zero = Number(await reloads());
    await host.exec(['systemctl', 'daemon-reload']);
    const each = Number(await reloads()) - zero;
    expect(each).toBeGreaterThan(0);
    expect((await apply(`units:\n${units.join('')}`)).run.sync).toBe('synced');
    expect(Number(await reloads()) - zero).toBe(2 * each);
    expect((await apply('')).run.failed).toBe(0);
    expect(Number(await reloads()) - zero).toBe(3 * each);
  });

  test('the units of a generator are loaded before one is started, restarted or observed', async () => {
    const generator = text(
      '#!/bin/sh',
      'for f in /etc/containers/systemd/*.container; do',
      '  [ -e "$f" ] || continue',
      '  word=$(sed -n "s/^Image=//p" "$f")',
      '  printf "[Unit]\\nSourcePath=%s\\n[Service]\\nEnvironment=WORD=%s\\nExecStart=/bin/sleep infinity\\n" "$f" "$word" > "$1/$(basename "$f" .container).service"',
      'done',
    );
    const files = (image: string) => `  /etc/systemd/system-generators/t-gen: {content: ${generator}, mode: "0755"}
  /etc/containers/systemd/t-gen.container: {content: "[Container]\\nImage=${image}\\n", notify: ["unit:t-gen.service"]}
`;
    const units = 'units:\n  t-gen.service: {state: started}\n';
    const first = await apply(`${files('one')}${units}`);
    expect(first.outcome.problems).toEqual([]);
    expect(await is('is-active', 't-gen.service')).toBe('active');
    expect(await show('t-gen.service', 'Environment')).toEqual(['WORD=one']);
    const [began] = await show('t-gen.service', 'MainPID');
    const second = await apply(`${files('two')}${units}`);
    expect(second.outcome.problems).toEqual([]);
    expect(await show('t-gen.service', 'Environment')).toEqual(['WORD=two']);
    expect(await show('t-gen.service', 'MainPID')).not.toEqual([began]);
    const enabled = await apply(`${files('two')}units:\n  t-gen.service: {enabled: true}\n`);
    expect(enabled.outcome.problems.map((p) => `${p.reason}: ${p.message}`).join()).toMatch(
      /NotInstallable: .*a generator makes it/,
    );
    await host.exec(['systemctl', 'stop', 't-gen.service']);
    await apply('');
    expect(await show('t-gen.service', 'LoadState')).toEqual(['not-found']);
  });

  test('an alias cannot be disabled, a condition that does not hold is no drift, a running oneshot is not stopped', async () => {
    await host.sh(
      'printf "[Service]\\nExecStart=/bin/sleep infinity\\n" > /usr/lib/systemd/system/t-real.service && ln -sfn /usr/lib/systemd/system/t-real.service /etc/systemd/system/t-alias.service && systemctl daemon-reload',
    );
    const backup = (word: string) =>
      text('[Unit]', `Description=${word}`, '[Service]', 'Type=oneshot', 'ExecStart=/bin/sleep 1000');
    const conditional = text('[Unit]', 'ConditionPathExists=/nowhere', '[Service]', 'ExecStart=/bin/sleep infinity');
    const units = (word: string) => `units:
  t-alias.service: {enabled: false}
  t-if.service: {content: ${conditional}, state: started}
  t-backup.service: {content: ${backup(word)}}
`;
    const first = await apply(units('one'));
    expect(first.outcome.problems.map((p) => `${p.id} ${p.reason}: ${p.message}`)).toEqual([
      expect.stringMatching(/^unit:t-alias\.service NotInstallable: .*another name \(an alias\) of t-real\.service/),
    ]);
    expect(JSON.stringify(whyOf(first, 'unit:t-if.service'))).toMatch(/not started: a condition/);
    expect(done(await engine.again())).toEqual(['update unit:t-alias.service failed']);
    await host.exec(['systemctl', 'start', '--no-block', 't-backup.service']);
    const began = await until('its process', 60_000, async () => {
      const [pid] = await show('t-backup.service', 'MainPID');
      return pid !== '0' && pid;
    });
    await apply(units('two'));
    expect(await show('t-backup.service', 'MainPID', 'Description')).toEqual([began, 'two']);
    await host.sh(
      'systemctl stop t-backup.service; rm /etc/systemd/system/t-alias.service /usr/lib/systemd/system/t-real.service',
    );
    await apply('');
  });

  test('drop-ins for a unit of the distribution, changed, and removed one after the other: the unit itself stays', async () => {
    const units = (a: string, b?: string) =>
      `units:\n  cron-like.service: {dropins: {10-a.conf: {content: ${text('[Service]', `Environment=A=${a}`)}}${b ? `, 20-b.conf: {source: b.conf}` : ''}}, state: started}\n`;
    await host.write('/usr/lib/systemd/system/cron-like.service', '[Service]\nExecStart=/bin/sleep infinity\n');
    await host.write('/etc/systemd/system/cron-like.service.d/99-mine.conf', '[Service]\nNice=4\n');
    await host.exec(['systemctl', 'daemon-reload']);
    const before = await tree();
    const payload = { 'b.conf': '[Service]\nEnvironment=B=b\n' };
    expect((await apply(units('one', 'b'), payload)).run.sync).toBe('synced');
    expect(await show('cron-like.service', 'Environment', 'Nice')).toEqual(['A=one B=b', '4']);
    const pid = await show('cron-like.service', 'MainPID');
    expect((await apply(units('two', 'b'), payload)).run.sync).toBe('synced');
    expect(await show('cron-like.service', 'MainPID')).not.toEqual(pid);
    const fewer = await apply(units('two'));
    expect(whyOf(fewer, 'unit:cron-like.service')).toEqual([
      { field: 'dropins.20-b.conf', from: 'declared before', to: 'gone' },
    ]);
    expect(await show('cron-like.service', 'Environment')).toEqual(['A=two']);
    await host.sh('echo "Nice=9" >> /etc/systemd/system/cron-like.service.d/10-a.conf');
    expect(done(await engine.again())).toEqual(['update unit:cron-like.service done']);
    await apply('');
    expect(await tree()).toBe(before);
    expect([await is('is-active', 'cron-like.service'), await show('cron-like.service', 'Environment')]).toEqual([
      'active',
      [],
    ]);
    expect((await host.exec(['cat', '/usr/lib/systemd/system/cron-like.service'])).stdout).toContain('sleep infinity');
  });

  test('a unit in /usr/lib is overridden, not overwritten, and keeps running when the override is removed', async () => {
    await host.write('/usr/lib/systemd/system/vendor.service', '[Service]\nExecStart=/bin/sleep 1000\n');
    await host.exec(['systemctl', 'daemon-reload']);
    await host.exec(['systemctl', 'start', 'vendor.service']);
    await apply(`units:\n  vendor.service: {content: ${sleeper('ours')}, state: started}\n`);
    expect((await show('vendor.service', 'FragmentPath', 'Environment')).sort()).toEqual([
      '/etc/systemd/system/vendor.service',
      'WORD=ours',
    ]);
    expect((await host.exec(['cat', '/usr/lib/systemd/system/vendor.service'])).stdout).toContain('sleep 1000');
    await apply('');
    expect((await show('vendor.service', 'FragmentPath')).join()).toMatch(
      /^(\/usr)?\/lib\/systemd\/system\/vendor.service$/,
    );
    expect((await show('vendor.service', 'ExecStart')).join()).toContain('sleep 1000');
    expect(await is('is-active', 'vendor.service')).toBe('active');
  });

  test('a unit file of an admin is restored after its override is removed', async () => {
    await host.write('/etc/systemd/system/admin.service', '[Service]\nExecStart=/bin/sleep 2000\n', '0640');
    await host.exec(['systemctl', 'daemon-reload']);
    await host.exec(['systemctl', 'start', 'admin.service']);
    await apply(`units:\n  admin.service: {content: ${sleeper('ours')}, state: started}\n`);
    await apply('');
    expect(
      (await host.sh('stat -c %a /etc/systemd/system/admin.service; cat /etc/systemd/system/admin.service')).stdout,
    ).toBe('640\n[Service]\nExecStart=/bin/sleep 2000\n');
    expect((await show('admin.service', 'ExecStart')).join()).toContain('sleep 2000');
  });

  test('masked: stopped, linked to /dev/null as by systemctl, and unmasked afterwards', async () => {
    await host.write('/usr/lib/systemd/system/evil.service', '[Service]\nExecStart=/bin/sleep infinity\n');
    await host.exec(['systemctl', 'daemon-reload']);
    await host.exec(['systemctl', 'start', 'evil.service']);
    expect((await apply('units:\n  evil.service: {masked: true}\n')).run.sync).toBe('synced');
    expect([await is('is-enabled', 'evil.service'), await is('is-active', 'evil.service')]).toEqual([
      'masked',
      'inactive',
    ]);
    expect((await host.exec(['readlink', '/etc/systemd/system/evil.service'])).stdout).toBe('/dev/null\n');
    await host.exec(['systemctl', 'unmask', 'evil.service']);
    expect(done(await engine.again())).toEqual(['update unit:evil.service done']);
    expect((await apply('units:\n  evil.service: {masked: false, state: started}\n')).run.sync).toBe('synced');
    expect([await is('is-enabled', 'evil.service'), await is('is-active', 'evil.service')]).toEqual([
      'static',
      'active',
    ]);
    await apply('units:\n  evil.service: {masked: true}\n');
    await apply('');
    expect(await is('is-enabled', 'evil.service')).toBe('static');
  });

  test('a changed [Install] section changes the links', async () => {
    const units = (target: string) =>
      `units:\n  linked.service: {content: ${text('[Service]', 'ExecStart=/bin/sleep infinity', '[Install]', `WantedBy=${target}`, 'Alias=also.service')}, enabled: true}\n`;
    await apply(units('multi-user.target'));
    await apply(units('graphical.target'));
    const links = (await host.sh('cd /etc/systemd/system; find . -lname "*linked.service" | sort')).stdout;
    expect(links).toBe('./also.service\n./graphical.target.wants/linked.service\n');
    await host.exec(['systemctl', 'disable', 'linked.service']);
    expect(done(await engine.again())).toEqual(['update unit:linked.service done']);
    await apply('');
    expect((await host.sh('cd /etc/systemd/system; find . -lname "*linked.service"')).stdout).toBe('');
  });

  test('units are enabled together: one that cannot be enabled, or does not exist, affects no other', async () => {
    const plain = text('[Service]', 'ExecStart=/bin/sleep infinity');
    const { outcome } = await apply(
      `units:\n  e-a.service: {content: ${sleeper('a')}, enabled: true}\n  e-b.service: {content: ${sleeper('b')}, enabled: true}\n  e-plain.service: {content: ${plain}, enabled: true}\n  e-none.service: {enabled: true}\n`,
    );
    expect(outcome.problems.map((p) => [p.id, p.reason]).sort()).toEqual([
      ['unit:e-none.service', 'UnitNotFound'],
      ['unit:e-plain.service', 'NotInstallable'],
    ]);
    expect(await is('is-enabled', 'e-a.service', 'e-b.service', 'e-plain.service')).toBe('enabled enabled static');
    await apply('');
  });

  test('on_change: restart, reload, none', async () => {
    const unit = (name: string, word: string, change: string) =>
      `  ${name}.service: {content: ${text('[Service]', 'ExecStart=/bin/sleep infinity', 'ExecReload=/bin/touch /run/%n.reloaded', `Environment=WORD=${word}`)}, state: started, on_change: ${change}}\n`;
    const units = (word: string) =>
      `units:\n${unit('c-restart', word, 'restart')}${unit('c-reload', word, 'reload')}${unit('c-none', word, 'none')}`;
    const pids = () =>
      Promise.all(['c-restart', 'c-reload', 'c-none'].map(async (u) => (await show(`${u}.service`, 'MainPID'))[0]));
    await apply(units('one'));
    const [a, b, c] = await pids();
    await apply(units('two'));
    const [a2, b2, c2] = await pids();
    expect([a === a2, b === b2, c === c2]).toEqual([false, true, true]);
    expect((await host.sh('ls /run | grep reloaded')).stdout).toBe('c-reload.service.reloaded\n');
    expect(await show('c-none.service', 'NeedDaemonReload')).toEqual(['no']);
    await apply('');
  });

  test('notify restarts, reload reloads, and neither starts a unit that nothing declares as started', async () => {
    const files = (word: string) =>
      `  /srv/r.conf: {content: ${word}, reload: ["unit:n-r.service"]}\n  /srv/n.conf: {content: ${word}, notify: ["unit:n-n.service", "unit:n-idle.service"]}\n`;
    const unit = (name: string, state: string) =>
      `  ${name}.service: {content: ${text('[Service]', 'ExecStart=/bin/sleep infinity', 'ExecReload=/bin/touch /run/%n.again')}${state}}\n`;
    const all = (word: string) =>
      engine.apply({
        'a.yaml': `files:\n${files(word)}units:\n${unit('n-r', ', state: started')}${unit('n-n', ', state: started')}${unit('n-idle', '')}`,
      });
    const pids = () =>
      Promise.all(['n-r', 'n-n', 'n-idle'].map(async (u) => (await show(`${u}.service`, 'MainPID'))[0]));
    expect((await all('one')).run.sync).toBe('synced');
    const [r, n, idle] = await pids();
    expect((await all('two')).run.sync).toBe('synced');
    const [r2, n2, idle2] = await pids();
    expect([r === r2, n === n2, idle, idle2]).toEqual([true, false, '0', '0']);
    expect((await host.sh('ls /run | grep again')).stdout).toBe('n-r.service.again\n');
    await apply('');
  });

  test('a notify that a crash interrupted is carried out by the next run, and only once', async () => {
    const yaml = (word: string) => ({
      'a.yaml': `files:\n  /srv/p.conf: {content: ${word}, notify: ["unit:p.service"]}\nunits:\n  p.service: {content: ${sleeper('p')}, state: started}\n`,
    });
    await engine.apply(yaml('one'));
    const [pid] = await show('p.service', 'MainPID');
    // The file is written and confirmed; then the agent dies before the restart.
    const units = engine.deps.providers.get('unit');
    if (!units?.refresh) throw new Error('units can be refreshed');
    const { refresh } = units;
    units.refresh = () => Promise.reject(new Error('killed here'));
    await engine.apply(yaml('two'));
    units.refresh = refresh;
    expect(engine.store.inventory.pendingNotifies()).toEqual([
      { target: 'unit:p.service', source: 'file:/srv/p.conf', verb: 'restart' },
    ]);
    expect((await show('p.service', 'MainPID'))[0]).toBe(pid);
    expect(done(await engine.again())).toEqual(['refresh unit:p.service done']);
    expect((await show('p.service', 'MainPID'))[0]).not.toBe(pid);
    expect(done(await engine.again())).toEqual([]);
    await apply('');
  });

  test('a unit that fails is reported with the last lines of its journal, at start and afterwards', async () => {
    const dying = text('[Service]', 'Type=exec', 'ExecStart=/bin/sh -c "echo no database here; exit 3"');
    const once = text('[Service]', 'Type=oneshot', 'ExecStart=/bin/sh -c "echo cannot migrate; exit 4"');
    const { outcome, run } = await apply(
      `units:\n  dying.service: {content: ${dying}, state: started}\n  once.service: {content: ${once}, state: started}\n  absent.service: {state: started}\n`,
    );
    expect(run.sync).toBe('failed');
    const said = Object.fromEntries(outcome.problems.map((p) => [p.id, `${p.reason} ${p.message}`]));
    expect(said['unit:dying.service']).toMatch(/no database here/);
    expect(said['unit:once.service']).toMatch(/^UnitFailed .*cannot migrate/);
    expect(said['unit:absent.service']).toMatch(/^UnitNotFound .*no unit absent.service/);
    await apply('');
    await forgotten('systemctl list-units --all --no-legend --plain dying.service once.service | cat');
  });

  test('units are verified together before anything is installed: a misspelled key in a unit or a drop-in rejects all', async () => {
    const before = await tree();
    const good = `  v-good.service: {content: ${sleeper('x')}, state: started}\n`;
    const bad = await apply(
      `units:\n${good}  v-bad.service: {content: ${text('[Service]', 'ExecStart=/bin/true', 'Restrat=always')}}\n  ssh.service: {dropins: {x.conf: {content: ${text('[Service]', 'Nise=3')}}}}\n  v-none.service: {content: ${text('[Service]', 'ExecStart=/opt/not/there')}}\n`,
    );
    expect(bad.outcome.rejected).toBe(true);
    expect(Object.fromEntries(bad.outcome.problems.map((p) => [p.id, p.message]))).toEqual({
      'unit:v-bad.service': expect.stringContaining('Restrat'),
      'unit:ssh.service': expect.stringContaining('Nise'),
      'unit:v-none.service': expect.stringContaining('/opt/not/there'),
    });
    expect([await tree(), bad.outcome.problems[0]?.line]).toEqual([before, expect.any(Number)]);
    // Missing parts that the same commit installs are no error: a program, and a required unit.
    const program = `  /opt/there: {content: ${text('#!/bin/sh', 'exec sleep infinity')}, mode: "0755"}\n`;
    const both = await engine.apply({
      'a.yaml': `files:\n${program}units:\n  v-a.service: {content: ${text('[Unit]', 'Requires=v-b.service', '[Service]', 'ExecStart=/opt/there')}, state: started}\n  v-b.service: {content: ${sleeper('b')}}\n`,
    });
    expect([both.run.sync, both.outcome.problems]).toEqual(['synced', []]);
    await apply('');
    expect(await tree()).toBe(before);
  });

  test('an observation without changes asks systemd once, and finds changes by others nevertheless', async () => {
    const names = Array.from({ length: 10 }, (_, i) => `look-${i}`);
    await apply(
      `units:\n${names.map((n) => `  ${n}.service: {content: ${sleeper(n)}, enabled: true, state: started}\n`).join('')}`,
    );
    await host.exec(['systemctl', 'disable', 'look-3.service']);
    expect(done(await engine.again())).toEqual(['update unit:look-3.service done']);
    await host.sh('rm /etc/systemd/system/multi-user.target.wants/look-4.service');
    expect(done(await engine.again())).toEqual(['update unit:look-4.service done']);
    await host.exec(['systemctl', 'stop', 'look-5.service']);
    expect(done(await engine.again())).toEqual(['update unit:look-5.service done']);
    expect(done(await engine.again())).toEqual([]);
    await apply('');
  });
});
