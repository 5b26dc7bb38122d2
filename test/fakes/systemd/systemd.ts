/** A systemd in memory, over unit files in a directory, with the driver's interface, under the contract of the real one. */
import { AgentError } from '../../../agent/errors.ts';
import type { SystemdListener, SystemdSignals } from '../../../agent/system/systemd/signals.ts';
import type { Systemd } from '../../../agent/system/systemd/systemd.ts';
import type { FakeClock } from '../clock.ts';
import { runGenerators } from './generators.ts';
import { disable, enable, fileState } from './install.ts';
import { conditionsHold, exited, runJob } from './jobs.ts';
import { become, type FakeUnit, idOf, needsReload, pathOf, readAgain, type State, unitOf } from './state.ts';
import { dropinDirs, isTemplate, lastOf, valuesOf, wordsOf } from './unit-file.ts';

export interface FakeSystemd {
  systemd: Systemd;
  /** To be passed to a watcher. */
  signals(listener: SystemdListener): SystemdSignals;
  /** The state of a unit, for tests that inspect it. */
  unit(name: string): FakeUnit;
  /** Whether a start now would be skipped by a condition; `systemd-analyze condition --unit`. */
  conditionsHold(name: string): boolean;
  /** `systemctl kill`: its main process ends by this signal. */
  kill(name: string, signal?: number): void;
  goAway(): void;
  comeBack(): void;
  /** The number of reloads. */
  reloads(): number;
}

const KILL = 9;

export interface FakeSystemdOptions {
  /** A directory that stands for `/`. */
  root: string;
  clock: FakeClock;
  /** As systemd 252 does: a new directory of drop-ins is not found until the next reload. */
  isOld?: boolean;
}

export function createFakeSystemd({ root, clock, isOld = false }: FakeSystemdOptions): FakeSystemd {
  let away = false;
  let reloads = 0;
  const listeners = new Map<SystemdListener, ReadonlySet<string>>();
  const state: State = {
    root,
    clock,
    units: new Map(),
    kept: new Set(),
    ...(isOld ? { dropinDirs: dropinDirs(root) } : {}),
    changed(name) {
      if (away) return;
      for (const [listener, names] of listeners)
        for (const known of names) if (idOf(state, known) === name) listener.unit(known);
    },
    reread() {
      if (!away) for (const listener of listeners.keys()) listener.all();
    },
  };
  const here = async <T>(act: () => T | Promise<T>): Promise<T> => {
    if (away) throw unreachable();
    return act();
  };
  const systemd: Systemd = {
    list: (names) =>
      here(() =>
        names.map((name) => {
          if (isTemplate(name)) return { name, load: 'not-found', active: 'inactive', sub: 'dead', path: '' };
          const unit = unitOf(state, name);
          return { name, load: unit.load, active: unit.active, sub: unit.sub, path: pathOf(unit.name) };
        }),
      ),
    running: (pattern) =>
      here(() => {
        const [before = '', after = ''] = pattern.split('*');
        const all = [...state.units.values()].filter((u) => u.name.startsWith(before) && u.name.endsWith(after));
        return all.filter((u) => u.active !== 'inactive' && u.active !== 'failed').map((u) => u.name);
      }),
    fileState: (name) => here(() => fileState(state, name)),
    property: <T>(path: string, _iface: string, name: string, otherwise: T) =>
      here(() => {
        const unit = [...state.units.values()].find((u) => pathOf(u.name) === path);
        return (unit ? (propertyOf(state, unit, name) ?? otherwise) : otherwise) as T;
      }),
    reload: () =>
      here(() => {
        reloads++;
        runGenerators(root);
        if (isOld) state.dropinDirs = dropinDirs(root);
        for (const unit of state.units.values()) readAgain(state, unit);
        state.reread();
      }),
    job: (verb, name) =>
      here(() =>
        runJob(state, verb, name).catch((thrown: { dbusName?: string }) => {
          if (thrown.dbusName === 'org.freedesktop.systemd1.NoSuchUnit') return 'not-loaded';
          throw thrown;
        }),
      ),
    enable: (name) => here(() => enable(state, name).installable),
    enableAll: (names) =>
      here(() => {
        const linked = names.filter((name) => enable(state, name).made.length > 0);
        return new Set(linked);
      }),
    reenable: (name) =>
      here(() => {
        disable(state, name);
        return enable(state, name).installable;
      }),
    disable: (name) => here(() => disable(state, name)),
    resetFailed: (name) =>
      here(() => {
        const unit = state.units.get(idOf(state, name));
        if (unit === undefined) return;
        unit.starts = [];
        if (unit.active === 'failed') become(state, unit, { active: 'inactive', sub: 'dead', result: 'success' });
      }),
    keep: (name) => here(() => void state.kept.add(idOf(state, name))),
    release: (name) => here(() => void state.kept.delete(idOf(state, name))),
    close: () => undefined,
  };
  return {
    systemd,
    signals: (listener) => ({
      async start(signal) {
        listeners.set(listener, new Set());
        signal.addEventListener('abort', () => listeners.delete(listener), { once: true });
        if (!away) listener.all();
      },
      units(names) {
        if (listeners.has(listener)) listeners.set(listener, new Set(names));
      },
    }),
    unit: (name) => unitOf(state, name),
    conditionsHold: (name) => conditionsHold(state, unitOf(state, name)),
    kill(name, signal = KILL) {
      const unit = unitOf(state, name);
      if (unit.active === 'active') exited(state, unit, signal, 'signal');
    },
    goAway() {
      away = true;
    },
    comeBack() {
      away = false;
      for (const listener of listeners.keys()) listener.all();
    },
    reloads: () => reloads,
  };
}

/** Properties that can be read, of the interfaces Unit, Service and Socket (org.freedesktop.systemd1(5)). */
function propertyOf(state: State, unit: FakeUnit, name: string): unknown {
  const { definition, result, exitStatus, mainStartedUs, inactiveExitUs } = unit;
  const type = () => lastOf(definition, 'Service', 'Type', 'simple');
  const triggered = () => [wordsOf(definition, 'Timer', 'Unit')[0] ?? unit.name.replace(/\.[a-z]+$/, '.service')];
  return (
    {
      Id: () => unit.name,
      SourcePath: () => /^SourcePath=(.*)$/m.exec(unit.text)?.[1] ?? '',
      NeedDaemonReload: () => needsReload(state, unit),
      Result: () => result,
      ExecMainStatus: () => exitStatus,
      ExecStartPre: () => valuesOf(definition, 'Service', 'ExecStartPre').map((line) => [line, unit.beforeStatus]),
      ExecMainStartTimestamp: () => mainStartedUs,
      InactiveExitTimestamp: () => inactiveExitUs,
      ConditionTimestamp: () => unit.conditionUs,
      ConditionResult: () => unit.conditionHolds,
      Type: type,
      RemainAfterExit: () => lastOf(definition, 'Service', 'RemainAfterExit') === 'yes',
      Triggers: triggered,
      Requires: () => wordsOf(definition, 'Unit', 'Requires'),
    } as Record<string, (() => unknown) | undefined>
  )[name]?.();
}

const unreachable = (): AgentError =>
  new AgentError({
    code: 'SystemdUnreachable',
    phase: 'observe',
    message: 'cannot reach systemd over D-Bus: connect ECONNREFUSED; is dbus running?',
  });
