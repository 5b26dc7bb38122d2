/** The contract of the driver of systemd, real or in memory. */
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { SystemdListener, SystemdSignals } from '../../agent/system/systemd/signals.ts';
import type { Systemd, UnitRow } from '../../agent/system/systemd/systemd.ts';

export interface SystemdSubject {
  systemd: Systemd;
  signals(listener: SystemdListener): SystemdSignals;
  /** Writes a file on the host, or removes it. A text that begins with `→ ` is a link's target. */
  write(path: string, text: string | null): Promise<unknown>;
  exists(path: string): Promise<boolean>;
  /** Whether it finds, without a reload, drop-ins in a directory that did not exist before; systemd 252 does not. */
  seesNewDropins: boolean;
  /** Sends SIGKILL to its main process. */
  kill(unit: string): Promise<unknown>;
  until(what: string, condition: () => Promise<boolean>): Promise<unknown>;
}

const ETC = '/etc/systemd/system';
const SLEEPS = '[Service]\nExecStart=/bin/sleep 1000\n';
/** More than the bus allows a connection to await: dbus-daemon(1), max_replies_per_connection. */
const many = <T>(act: () => Promise<T>): Promise<T[]> => Promise.all(Array.from({ length: 500 }, act));
const oneshot = (command: string, ...more: string[]) =>
  ['[Service]', 'Type=oneshot', `ExecStart=${command}`, ...more, ''].join('\n');

/** @param make called once */
export function systemdContract(name: string, make: () => Promise<SystemdSubject>): void {
  let subject: SystemdSubject;
  let systemd: Systemd;
  const written = new Set<string>();

  describe(name, () => {
    beforeAll(async () => {
      subject = await make();
      systemd = subject.systemd;
    });
    afterEach(async () => {
      const units = [...written].filter((path) => !path.includes('.d/')).map((path) => path.slice(ETC.length + 1));
      for (const unit of units) {
        if (unit.includes('@.'))
          for (const one of await systemd.running(unit.replace('@.', '@*.'))) await systemd.job('StopUnit', one);
        else await systemd.job('StopUnit', unit).catch(() => undefined);
        await systemd.disable(unit);
      }
      for (const path of written) await subject.write(path, null);
      written.clear();
      await systemd.reload();
      for (const unit of units) await systemd.resetFailed(unit);
    });

    const put = async (unit: string, text: string) => {
      written.add(`${ETC}/${unit}`);
      await subject.write(`${ETC}/${unit}`, text);
      await systemd.reload();
    };
    const look = async (unit: string): Promise<UnitRow> => {
      const [row] = await systemd.list([unit]);
      if (row === undefined) throw new Error(`${unit} was not answered`);
      return row;
    };
    const stateOf = async (unit: string) => {
      const { active, sub } = await look(unit);
      return `${active} (${sub})`;
    };
    const ask = async <T>(unit: string, iface: string, property: string, otherwise: T): Promise<T> =>
      systemd.property((await look(unit)).path, iface, property, otherwise);
    const becomes = (unit: string, state: string) =>
      subject.until(`${unit} to be ${state}`, async () => (await stateOf(unit)) === state);
    const refused = (act: Promise<unknown>) =>
      act.then(
        (answer) => Promise.reject(new Error(`nothing was refused, but answered ${String(answer)}`)),
        (thrown: { dbusName?: string; message?: string }) => String(thrown.dbusName ?? thrown.message),
      );

    test('an unknown unit is not found, and cannot have a job', async () => {
      const row = await look('t-nowhere.service');
      expect(row).toMatchObject({ load: 'not-found', active: 'inactive', sub: 'dead' });
      expect(await systemd.fileState('t-nowhere.service')).toBe('');
      expect(await systemd.job('StartUnit', 't-nowhere.service')).toBe('not-loaded');
      expect(await systemd.job('TryRestartUnit', 't-nowhere.service')).toBe('not-loaded');
      expect(await systemd.job('StopUnit', 't-nowhere.service')).toBe('not-loaded');
      await systemd.disable('t-nowhere.service');
      await systemd.resetFailed('t-nowhere.service');
      await refused(systemd.enable('t-nowhere.service'));
    });

    test('one call lists many units, in the requested order; a template is no unit', async () => {
      await put('t-many.service', SLEEPS);
      await put('t-many@.service', SLEEPS);
      const rows = await systemd.list(['t-none.service', 't-many@.service', 't-many.service']);
      expect(rows.map((r) => [r.name, r.load])).toEqual([
        ['t-none.service', 'not-found'],
        ['t-many@.service', 'not-found'],
        ['t-many.service', 'loaded'],
      ]);
      expect(rows[1]?.path).toBe('');
      expect(rows[2]?.path).toMatch(/^\/org\/freedesktop\/systemd1\/unit\/t_2dmany_2eservice$/);
    });

    test('an alias has the state of the unit behind it, and keeps its own name', async () => {
      await put('t-named.service', SLEEPS);
      await put('t-alias.service', `→ ${ETC}/t-named.service`);
      await put('t-many@.service', SLEEPS);
      expect(await systemd.job('StartUnit', 't-named.service')).toBe('done');
      const [alias, template, named, again] = await systemd.list([
        ...['t-alias.service', 't-many@.service', 't-named.service', 't-alias.service'],
      ]);
      expect(alias).toMatchObject({ name: 't-alias.service', load: 'loaded', active: 'active', sub: 'running' });
      expect(template).toMatchObject({ name: 't-many@.service', load: 'not-found' });
      expect(named).toMatchObject({ name: 't-named.service', active: 'active' });
      expect(again).toEqual(alias);
      expect(alias?.path).toBe(named?.path);
      expect(await systemd.job('StopUnit', 't-alias.service')).toBe('done');
      expect(await stateOf('t-named.service')).toBe('inactive (dead)');
    });

    test('a service is started, stopped and restarted; TryRestartUnit restarts only a running one', async () => {
      await put('t-life.service', SLEEPS);
      expect(await stateOf('t-life.service')).toBe('inactive (dead)');
      expect(await systemd.job('TryRestartUnit', 't-life.service')).toBe('done');
      expect(await stateOf('t-life.service')).toBe('inactive (dead)');
      expect(await systemd.job('StartUnit', 't-life.service')).toBe('done');
      expect(await stateOf('t-life.service')).toBe('active (running)');
      expect(await systemd.job('StartUnit', 't-life.service')).toBe('done');
      const first = Number(await ask('t-life.service', 'Unit', 'InactiveExitTimestamp', 0));
      expect(first).toBeGreaterThan(0);
      for (const verb of ['RestartUnit', 'TryRestartUnit', 'ReloadOrRestartUnit', 'ReloadOrTryRestartUnit'] as const)
        expect(await systemd.job(verb, 't-life.service'), verb).toBe('done');
      expect(await stateOf('t-life.service')).toBe('active (running)');
      expect(await systemd.running('t-life*.service')).toEqual(['t-life.service']);
      expect(await systemd.job('StopUnit', 't-life.service')).toBe('done');
      expect(await systemd.job('StopUnit', 't-life.service')).toBe('done');
      expect(await stateOf('t-life.service')).toBe('inactive (dead)');
      expect(await systemd.running('t-life*.service')).toEqual([]);
    });

    test('a running unit keeps its old definition until a reload', async () => {
      await put('t-old.service', SLEEPS);
      await systemd.job('StartUnit', 't-old.service');
      expect(await ask('t-old.service', 'Unit', 'NeedDaemonReload', false)).toBe(false);
      await subject.write(`${ETC}/t-old.service`, `${SLEEPS}RemainAfterExit=yes\n`);
      expect(await ask('t-old.service', 'Unit', 'NeedDaemonReload', false)).toBe(true);
      expect(await ask('t-old.service', 'Service', 'RemainAfterExit', false)).toBe(false);
      await systemd.reload();
      expect(await ask('t-old.service', 'Unit', 'NeedDaemonReload', false)).toBe(false);
      expect(await ask('t-old.service', 'Service', 'RemainAfterExit', false)).toBe(true);
      expect(await stateOf('t-old.service')).toBe('active (running)');
      written.add(`${ETC}/t-old.service.d/10.conf`);
      await subject.write(`${ETC}/t-old.service.d/10.conf`, '[Service]\nRemainAfterExit=no\n');
      expect(await ask('t-old.service', 'Unit', 'NeedDaemonReload', false)).toBe(subject.seesNewDropins);
      await systemd.reload();
      expect(await ask('t-old.service', 'Service', 'RemainAfterExit', true)).toBe(false);
      await subject.write(`${ETC}/t-old.service.d/10.conf`, '[Service]\nRemainAfterExit=yes\n');
      expect(await ask('t-old.service', 'Unit', 'NeedDaemonReload', false)).toBe(true);
    });

    test('as many questions and jobs at once as a large host has are all answered', async () => {
      await put(
        't-many.service',
        `${oneshot('/bin/true', 'RemainAfterExit=yes')}[Install]\nWantedBy=multi-user.target\n`,
      );
      await systemd.enable('t-many.service');
      const jobs = await many(() => systemd.job('StartUnit', 't-many.service'));
      const { path } = await look('t-many.service');
      const answers = await Promise.all([
        many(() => systemd.fileState('t-many.service')),
        many(() => systemd.property(path, 'Service', 'Type', 'none')),
      ]);
      expect([jobs, ...answers].map((all) => [...new Set(all)])).toEqual([['done'], ['enabled'], ['oneshot']]);
    });

    test('a running unit is known while its file is gone', async () => {
      await put('t-lost.service', SLEEPS);
      await systemd.job('StartUnit', 't-lost.service');
      await subject.write(`${ETC}/t-lost.service`, null);
      await systemd.reload();
      expect(await look('t-lost.service')).toMatchObject({ load: 'not-found', active: 'active' });
      expect(await systemd.fileState('t-lost.service')).toBe('');
      expect(await systemd.job('StopUnit', 't-lost.service')).toBe('done');
      expect(await look('t-lost.service')).toMatchObject({ load: 'not-found', active: 'inactive' });
    });

    test('a oneshot is awaited to its end, and its result is returned', async () => {
      await put('t-once.service', oneshot('/bin/true'));
      expect(await systemd.job('StartUnit', 't-once.service')).toBe('done');
      expect(await stateOf('t-once.service')).toBe('inactive (dead)');
      expect(await ask('t-once.service', 'Service', 'Result', '')).toBe('success');
      await put('t-stays.service', oneshot('/bin/true', 'RemainAfterExit=yes'));
      expect(await systemd.job('StartUnit', 't-stays.service')).toBe('done');
      expect(await stateOf('t-stays.service')).toBe('active (exited)');
      await put('t-fails.service', oneshot('/bin/sh -c "echo word; exit 3"'));
      expect(await systemd.job('StartUnit', 't-fails.service')).toBe('failed');
      expect(await stateOf('t-fails.service')).toBe('failed (failed)');
      expect(await ask('t-fails.service', 'Service', 'Result', '')).toBe('exit-code');
      expect(await ask('t-fails.service', 'Service', 'ExecMainStatus', 0)).toBe(3);
      expect(await ask('t-fails.service', 'Service', 'Type', '')).toBe('oneshot');
      expect(Number(await ask('t-fails.service', 'Service', 'ExecMainStartTimestamp', 0))).toBeGreaterThan(0);
      await put('t-before.service', `${SLEEPS}ExecStartPre=/bin/sh -c "exit 75"\n`);
      expect(await systemd.job('StartUnit', 't-before.service')).toBe('failed');
      expect(await ask('t-before.service', 'Service', 'ExecMainStatus', 0)).toBe(0);
      const commands = await ask<readonly (readonly unknown[])[]>('t-before.service', 'Service', 'ExecStartPre', []);
      expect(commands.map((command) => command.at(-1))).toEqual([75]);
      expect(await systemd.running('t-fails*.service')).toEqual([]);
      await systemd.resetFailed('t-fails.service');
      expect(await stateOf('t-fails.service')).toBe('inactive (dead)');
    });

    test('a service that ends by itself is dead or failed, or is restarted', async () => {
      await put('t-ends.service', '[Service]\nExecStart=/bin/sh -c "exit 4"\n');
      expect(await systemd.job('StartUnit', 't-ends.service')).toBe('done');
      await becomes('t-ends.service', 'failed (failed)');
      expect(await ask('t-ends.service', 'Service', 'ExecMainStatus', 0)).toBe(4);
      await put('t-well.service', '[Service]\nExecStart=/bin/true\n');
      await systemd.job('StartUnit', 't-well.service');
      await becomes('t-well.service', 'inactive (dead)');
      await put('t-killed.service', SLEEPS);
      await systemd.job('StartUnit', 't-killed.service');
      await subject.kill('t-killed.service');
      await becomes('t-killed.service', 'failed (failed)');
      expect(await ask('t-killed.service', 'Service', 'Result', '')).toBe('signal');
      expect(await ask('t-killed.service', 'Service', 'ExecMainStatus', 0)).toBe(9);
      // With such a delay any observation finds it waiting.
      await put('t-waits.service', `${SLEEPS}Restart=always\nRestartSec=600\n`);
      await systemd.job('StartUnit', 't-waits.service');
      await subject.kill('t-waits.service');
      await becomes('t-waits.service', 'activating (auto-restart)');
      await put('t-again.service', `${SLEEPS}Restart=always\nRestartSec=1\n`);
      await systemd.job('StartUnit', 't-again.service');
      const began = () => ask('t-again.service', 'Service', 'ExecMainStartTimestamp', 0).then(Number);
      const first = await began();
      await subject.kill('t-again.service');
      await subject.until('t-again.service to be started again', async () => (await began()) > first);
      await becomes('t-again.service', 'active (running)');
    });

    test('a masked unit, and one with invalid syntax, is not started', async () => {
      await put('t-masked.service', '→ /dev/null');
      expect(await look('t-masked.service')).toMatchObject({ load: 'masked', active: 'inactive' });
      expect(await systemd.fileState('t-masked.service')).toBe('masked');
      expect(await refused(systemd.job('StartUnit', 't-masked.service'))).toContain('UnitMasked');
      await put('t-empty.service', '[Service]\nNice=3\n');
      expect((await look('t-empty.service')).load).toBe('bad-setting');
      expect(await refused(systemd.job('StartUnit', 't-empty.service'))).toContain('BadUnitSetting');
    });

    test('enabling creates the links of the [Install] section; disabling removes them', async () => {
      const text = `${SLEEPS}[Install]\nWantedBy=multi-user.target\n`;
      const link = `${ETC}/multi-user.target.wants/t-on.service`;
      await put('t-on.service', text);
      expect(await systemd.fileState('t-on.service')).toBe('disabled');
      expect(await systemd.enable('t-on.service')).toBe(true);
      expect(await systemd.fileState('t-on.service')).toBe('enabled');
      expect(await subject.exists(link)).toBe(true);
      expect(await systemd.enable('t-on.service')).toBe(true);
      await put('t-on.service', text.replace('multi-user', 'timers'));
      expect(await systemd.reenable('t-on.service')).toBe(true);
      expect(await subject.exists(link)).toBe(false);
      expect(await subject.exists(link.replace('multi-user', 'timers'))).toBe(true);
      await systemd.disable('t-on.service');
      expect(await systemd.fileState('t-on.service')).toBe('disabled');
      expect(await subject.exists(link.replace('multi-user', 'timers'))).toBe(false);
      await put('t-static.service', SLEEPS);
      expect(await systemd.enable('t-static.service')).toBe(false);
      expect(await systemd.fileState('t-static.service')).toBe('static');
      await put('t-other.service', text);
      expect([...(await systemd.enableAll(['t-on.service', 't-other.service', 't-static.service']))].sort()).toEqual([
        't-on.service',
        't-other.service',
      ]);
      expect([...(await systemd.enableAll(['t-on.service']))]).toEqual([]);
      await refused(systemd.enableAll(['t-on.service', 't-nowhere.service']));
    });

    test('all states of a unit file are distinguished', async () => {
      const install = '\n[Install]\nWantedBy=multi-user.target\n';
      await put('t-real.service', SLEEPS + install);
      await put('t-named.service', SLEEPS + install);
      await put('t-alias.service', `→ ${ETC}/t-named.service`);
      await put('t-also.service', `${SLEEPS}\n[Install]\nAlso=t-real.service\n`);
      await put('t-masked.service', '→ /dev/null');
      await put('t-run.service', SLEEPS + install);
      const link = '/run/systemd/system/multi-user.target.wants/t-run.service';
      const mask = '/run/systemd/system/t-veiled.service';
      await subject.write(link, `→ ${ETC}/t-run.service`);
      await subject.write(mask, '→ /dev/null');
      await systemd.reload();
      const states: Record<string, string> = {};
      for (const name of ['real', 'alias', 'also', 'masked', 'run', 'veiled'])
        states[name] = await systemd.fileState(`t-${name}.service`);
      await systemd.disable('t-run.service');
      states.after = await systemd.fileState('t-run.service');
      for (const path of [link, mask]) await subject.write(path, null);
      expect(states).toEqual({
        ...{ real: 'disabled', alias: 'alias', also: 'indirect', masked: 'masked', run: 'enabled-runtime' },
        ...{ veiled: 'masked-runtime', after: 'enabled-runtime' },
      });
    });

    test('a generator creates units from its file at each reload', async () => {
      expect(await systemd.fileState('srv-tgen.mount')).toBe('');
      await subject.write('/etc/fstab', 'tmpfs /srv/tgen tmpfs noauto 0 0\n');
      expect((await look('srv-tgen.mount')).load).toBe('not-found');
      await systemd.reload();
      expect((await look('srv-tgen.mount')).load).toBe('loaded');
      expect(await systemd.fileState('srv-tgen.mount')).toBe('generated');
      expect(await ask('srv-tgen.mount', 'Unit', 'SourcePath', '')).toBe('/etc/fstab');
      await subject.write('/etc/fstab', null);
      await systemd.reload();
      expect((await look('srv-tgen.mount')).load).toBe('not-found');
    });

    test('an instance has the definition of its template', async () => {
      await put('t-tpl@.service', `${SLEEPS}[Install]\nWantedBy=multi-user.target\n`);
      expect(await systemd.job('StartUnit', 't-tpl@a.service')).toBe('done');
      expect(await systemd.job('StartUnit', 't-tpl@b.service')).toBe('done');
      expect((await systemd.running('t-tpl@*.service')).sort()).toEqual(['t-tpl@a.service', 't-tpl@b.service']);
      expect(await look('t-tpl@a.service')).toMatchObject({ load: 'loaded', active: 'active' });
      expect(await systemd.enable('t-tpl@a.service')).toBe(true);
      expect(await systemd.fileState('t-tpl@a.service')).toBe('enabled');
      expect(await systemd.fileState('t-tpl@b.service')).toBe('disabled');
      await systemd.disable('t-tpl@a.service');
      expect(await systemd.fileState('t-tpl@a.service')).toBe('disabled');
    });

    test('a required unit starts first; a condition that does not hold skips the start', async () => {
      await put('t-first.service', oneshot('/bin/false'));
      await put('t-second.service', `[Unit]\nRequires=t-first.service\nAfter=t-first.service\n${SLEEPS}`);
      expect(await systemd.job('StartUnit', 't-second.service')).toBe('dependency');
      expect(await stateOf('t-second.service')).toBe('inactive (dead)');
      await put('t-if.service', `[Unit]\nConditionPathExists=/nowhere/at/all\n${SLEEPS}`);
      expect(await systemd.job('StartUnit', 't-if.service')).toBe('done');
      expect(await stateOf('t-if.service')).toBe('inactive (dead)');
    });

    test('the result of a condition is known while a unit is kept in memory', async () => {
      const conditions = async (unit: string) => {
        await systemd.keep(unit);
        await systemd.job('StartUnit', unit);
        const asked = Number(await ask(unit, 'Unit', 'ConditionTimestamp', 0)) > 0;
        const held = await ask(unit, 'Unit', 'ConditionResult', null);
        await systemd.release(unit);
        return { asked, held };
      };
      await put('t-unless.service', `[Unit]\nConditionPathExists=/nowhere/at/all\n${SLEEPS}`);
      await put('t-if.service', `[Unit]\nConditionPathExists=/etc\n${oneshot('/bin/true')}`);
      expect(await conditions('t-unless.service')).toEqual({ asked: true, held: false });
      expect(await conditions('t-if.service')).toEqual({ asked: true, held: true });
    });

    test('a sixth start within an interval is refused, unless the counter is reset', async () => {
      // Ten seconds by default: less than six starts take on a busy machine.
      await put('t-often.service', `[Unit]\nStartLimitIntervalSec=600\n${SLEEPS}`);
      for (let i = 0; i < 5; i++) expect(await systemd.job('RestartUnit', 't-often.service')).toBe('done');
      expect(await systemd.job('RestartUnit', 't-often.service')).toBe('failed');
      expect(await stateOf('t-often.service')).toBe('failed (failed)');
      expect(await ask('t-often.service', 'Service', 'Result', '')).toBe('start-limit-hit');
      await systemd.resetFailed('t-often.service');
      expect(await systemd.job('RestartUnit', 't-often.service')).toBe('done');
    });

    test('a timer waits, and names the unit that it triggers', async () => {
      await put('t-when.service', oneshot('/bin/true'));
      await put('t-when.timer', '[Timer]\nOnCalendar=monthly\n');
      expect(await systemd.job('StartUnit', 't-when.timer')).toBe('done');
      expect(await stateOf('t-when.timer')).toBe('active (waiting)');
      expect(await ask('t-when.timer', 'Unit', 'Triggers', [])).toEqual(['t-when.service']);
    });

    test('a change of the unit behind an alias is signalled by the alias', async () => {
      const heard: string[] = [];
      const ended = new AbortController();
      const signals = subject.signals({ unit: (unit) => heard.push(unit), all: () => undefined });
      await put('t-named.service', SLEEPS);
      await put('t-alias.service', `→ ${ETC}/t-named.service`);
      signals.units(['t-alias.service']);
      await signals.start(ended.signal);
      try {
        signals.units(['t-alias.service']);
        await systemd.job('StartUnit', 't-named.service');
        await subject.until('the signal of the start', async () => heard.includes('t-alias.service'));
        expect(new Set(heard)).toEqual(new Set(['t-alias.service']));
      } finally {
        ended.abort();
      }
    });

    test('signals report changes of watched units, and a reload', async () => {
      const heard: string[] = [];
      const ended = new AbortController();
      const signals = subject.signals({ unit: (unit) => heard.push(unit), all: () => heard.push('*') });
      await put('t-heard.service', SLEEPS);
      await put('t-unheard.service', SLEEPS);
      signals.units(['t-heard.service']);
      await signals.start(ended.signal);
      try {
        signals.units(['t-heard.service']);
        heard.length = 0;
        await systemd.job('StartUnit', 't-unheard.service');
        await systemd.job('StartUnit', 't-heard.service');
        await subject.until('the signal of the start', async () => heard.includes('t-heard.service'));
        expect(heard).not.toContain('t-unheard.service');
        heard.length = 0;
        await systemd.reload();
        await subject.until('the signal of the reload', async () => heard.includes('*'));
      } finally {
        ended.abort();
      }
    });
  });
}
