/** Jobs: units started, stopped and restarted, and the behaviour of their processes (systemd.service(5)). */

import fs from 'node:fs';
import type { JobVerb } from '../../../agent/system/systemd/systemd.ts';
import { programOf } from '../docker/programs.ts';
import { become, type FakeUnit, noSuchUnit, refusal, type State, unitOf } from './state.ts';
import { argvOf, lastOf, valuesOf, wordsOf } from './unit-file.ts';

const RESTART_MS = 100;
/** Six starts within ten seconds are one too many (systemd.unit(5), StartLimitBurst=). */
const BURST = 5;
const INTERVAL_MS = 10_000;

/** No process of it runs and no timer of it is set. */
const isDown = ({ active }: FakeUnit): boolean => active === 'inactive' || active === 'failed';

/** @returns the result of the job @throws as the bus does if such a job is impossible */
export async function runJob(state: State, verb: JobVerb, name: string): Promise<string> {
  const unit = unitOf(state, name);
  if (verb === 'StopUnit') {
    if (unit.load === 'not-found' && isDown(unit)) throw noSuchUnit(name);
    return stop(state, unit);
  }
  const isTry = verb === 'TryRestartUnit' || verb === 'ReloadOrTryRestartUnit';
  if (unit.load === 'not-found') throw noSuchUnit(name);
  if (isTry && isDown(unit)) return 'done';
  if (unit.load === 'masked') throw refusal('UnitMasked', `Unit ${name} is masked.`);
  if (unit.load === 'bad-setting') throw refusal('BadUnitSetting', `Unit ${name} has a bad unit file setting.`);
  if (verb === 'StartUnit') return isDown(unit) || unit.sub === 'auto-restart' ? start(state, unit) : 'done';
  const canReload = valuesOf(unit.definition, 'Service', 'ExecReload').length > 0;
  if (verb.startsWith('ReloadOr') && canReload && unit.active === 'active') {
    unit.log.push('reloaded');
    state.changed(name);
    return 'done';
  }
  if (!isDown(unit)) stop(state, unit);
  return start(state, unit);
}

function stop(state: State, unit: FakeUnit): string {
  unit.callOff();
  // A failed unit stays failed until it is started again, or reset-failed.
  if (unit.active === 'failed') return 'done';
  become(state, unit, { active: 'inactive', sub: 'dead', result: 'success' });
  return 'done';
}

async function start(state: State, unit: FakeUnit): Promise<string> {
  const { definition, name } = unit;
  for (const other of wordsOf(definition, 'Unit', 'Requires')) {
    const required = unitOf(state, other);
    if (required.load === 'not-found') throw refusal('NoSuchUnit', `Unit ${other} not found.`);
    if (isDown(required) && (await start(state, required)) !== 'done') return 'dependency';
  }
  unit.conditionUs = state.clock.now().getTime() * 1_000;
  unit.conditionHolds = conditionsHold(state, unit);
  if (!unit.conditionHolds) return 'done';
  if (!name.endsWith('.service')) return enterWaitingState(state, unit);
  const now = state.clock.monotonic();
  unit.starts = [...unit.starts.filter((at) => now - at < INTERVAL_MS), now];
  if (unit.starts.length > BURST) {
    become(state, unit, { active: 'failed', sub: 'failed', result: 'start-limit-hit' });
    return 'failed';
  }
  const before = valuesOf(definition, 'Service', 'ExecStartPre').map((line) => programOf(argvOf(line)));
  unit.beforeStatus = before.find(({ code }) => code !== 0)?.code ?? 0;
  if (unit.beforeStatus !== 0) {
    become(state, unit, { active: 'failed', sub: 'failed', result: 'exit-code', exitStatus: 0 });
    return 'failed';
  }
  return run(state, unit);
}

export const conditionsHold = (state: State, { definition }: FakeUnit): boolean =>
  valuesOf(definition, 'Unit', 'ConditionPathExists').every((at) => holds(state, at));

const holds = ({ root }: State, condition: string): boolean =>
  condition.startsWith('!') ? !fs.existsSync(root + condition.slice(1)) : fs.existsSync(root + condition);

/** Units that wait for something, and have no process of their own. */
function enterWaitingState(state: State, unit: FakeUnit): string {
  const sub = { timer: 'waiting', socket: 'listening', path: 'waiting', mount: 'mounted' }[
    unit.name.slice(unit.name.lastIndexOf('.') + 1)
  ];
  become(state, unit, { active: 'active', sub: sub ?? 'active', result: 'success' });
  return 'done';
}

async function run(state: State, unit: FakeUnit): Promise<string> {
  const { definition } = unit;
  const isOneshot = lastOf(definition, 'Service', 'Type') === 'oneshot';
  const commands = valuesOf(definition, 'Service', 'ExecStart').map((line) => ({
    argv: argvOf(line),
    mayFail: line.startsWith('-'),
  }));
  const started = state.clock.now().getTime() * 1_000;
  become(state, unit, {
    ...{ active: isOneshot ? 'activating' : 'active', sub: isOneshot ? 'start' : 'running', result: 'success' },
    ...{ exitStatus: 0, mainStartedUs: started },
  });
  const [main] = commands;
  if (!isOneshot) {
    follow(state, unit, main?.argv ?? []);
    return 'done';
  }
  let cut = false;
  unit.callOff = () => {
    cut = true;
  };
  for (const { argv, mayFail } of commands) {
    const { says, code, endsAfterMs } = programOf(argv);
    if (says) unit.log.push(says);
    if (endsAfterMs === undefined) await new Promise(() => undefined);
    await state.clock.sleep(endsAfterMs ?? 0);
    if (cut) return 'canceled';
    if (code === 0 || mayFail) continue;
    become(state, unit, { active: 'failed', sub: 'failed', result: 'exit-code', exitStatus: code });
    return 'failed';
  }
  const remains = lastOf(definition, 'Service', 'RemainAfterExit') === 'yes';
  become(state, unit, remains ? { active: 'active', sub: 'exited' } : { active: 'inactive', sub: 'dead' });
  return 'done';
}

/** The main process of a unit that is active from its start on. */
function follow(state: State, unit: FakeUnit, argv: readonly string[]): void {
  const { says, code, endsAfterMs } = programOf(argv);
  if (says) unit.log.push(says);
  unit.callOff = () => undefined;
  if (endsAfterMs === undefined) return;
  unit.callOff = state.clock.after(endsAfterMs, () => exited(state, unit, code, code === 0 ? 'success' : 'exit-code'));
}

/** Its main process has ended. */
export function exited(state: State, unit: FakeUnit, code: number, result: string): void {
  unit.callOff();
  const restart = lastOf(unit.definition, 'Service', 'Restart', 'no');
  const again = restart === 'always' || (restart === 'on-failure' && result !== 'success');
  if (!again) {
    const isWell = result === 'success';
    become(state, unit, {
      ...{ active: isWell ? 'inactive' : 'failed', sub: isWell ? 'dead' : 'failed', result, exitStatus: code },
    });
    return;
  }
  become(state, unit, { active: 'activating', sub: 'auto-restart', result, exitStatus: code });
  unit.callOff = state.clock.after(RESTART_MS, () => void start(state, unit));
}
