/** What a systemd in memory knows about its units, and the loaded definition of each. */
import fs from 'node:fs';
import path from 'node:path';
import { escapeLabel } from '../../../agent/system/systemd/signals.ts';
import type { FakeClock } from '../clock.ts';
import { type Definition, exists, onDisk, parse, templateOf } from './unit-file.ts';

export interface FakeUnit {
  name: string;
  load: 'loaded' | 'not-found' | 'masked' | 'bad-setting';
  /** As of the last time that it was read. */
  definition: Definition;
  text: string;
  active: 'active' | 'inactive' | 'failed' | 'activating';
  sub: string;
  result: string;
  /** Of the main process. */
  exitStatus: number;
  /** Of its last ExecStartPre=. */
  beforeStatus: number;
  /** Microseconds since the epoch; 0 for never. */
  mainStartedUs: number;
  inactiveExitUs: number;
  /** When its conditions were last checked, microseconds since the epoch, 0 for never; and whether they held. */
  conditionUs: number;
  conditionHolds: boolean;
  /** Recent starts, in monotonic milliseconds. */
  starts: number[];
  log: string[];
  /** Cancels the timers of its process. */
  callOff: () => void;
}

export interface State {
  /** A directory that stands for `/`. */
  root: string;
  clock: FakeClock;
  /** Units in memory: active, failed, or looked up and not forgotten yet. */
  units: Map<string, FakeUnit>;
  /** Units that a client keeps in memory although they are inactive. */
  kept: Set<string>;
  /** Directories of drop-ins that it knows since its last reload; absent if it searches each time. */
  dropinDirs?: ReadonlySet<string>;
  /** A property of a unit changed. */
  changed(name: string): void;
  /** Unit files, or their loaded state, changed. */
  reread(): void;
}

export const PATH = '/org/freedesktop/systemd1/unit/';
export const pathOf = (name: string): string => PATH + escapeLabel(name);

/** An error as the bus returns it. */
export const refusal = (name: string, said: string): Error =>
  Object.assign(new Error(said), { dbusName: `org.freedesktop.systemd1.${name}` });
export const noSuchUnit = (name: string): Error => refusal('NoSuchUnit', `Unit ${name} not found.`);

/** Nothing keeps it in memory: the next lookup reads it again. */
const isForgotten = ({ active }: FakeUnit): boolean => active === 'inactive';

/** The unit's own name: an alias is a link to a unit file of another name. */
export function idOf({ root }: State, name: string): string {
  const { file, isMasked } = onDisk(root, name);
  const isAlias = !isMasked && path.basename(file) === name && fs.lstatSync(root + file).isSymbolicLink();
  return isAlias ? path.basename(fs.readlinkSync(root + file)) : name;
}

/** The unit as systemd has it: a running one keeps the definition with which it was loaded, until a reload. */
export function unitOf(state: State, asked: string): FakeUnit {
  const name = idOf(state, asked);
  const known = state.units.get(name);
  if (known && !isForgotten(known)) return known;
  const unit: FakeUnit = known ?? {
    ...{ name, load: 'not-found', definition: new Map(), text: '', active: 'inactive', sub: 'dead', result: 'success' },
    ...{
      exitStatus: 0,
      beforeStatus: 0,
      mainStartedUs: 0,
      inactiveExitUs: 0,
      conditionUs: 0,
      conditionHolds: false,
      starts: [],
      log: [],
      callOff: () => undefined,
    },
  };
  state.units.set(name, unit);
  // A forgotten unit has no start count, and no result of the last start.
  unit.starts = [];
  if (!state.kept.has(name)) [unit.conditionUs, unit.conditionHolds] = [0, false];
  readAgain(state, unit);
  return unit;
}

const NEEDS_COMMAND = /\.service$/;

export function readAgain({ root, dropinDirs }: State, unit: FakeUnit): void {
  const disk = onDisk(root, unit.name, dropinDirs);
  const text = template(disk.text, unit.name);
  unit.text = disk.text;
  unit.definition = parse(text);
  unit.load = disk.isMasked ? 'masked' : exists(disk) ? 'loaded' : 'not-found';
  const service = unit.definition.get('Service');
  const commands = ['ExecStart', 'ExecStop'].some((key) => (service?.get(key) ?? []).length > 0);
  if (unit.load === 'loaded' && NEEDS_COMMAND.test(unit.name) && !commands) unit.load = 'bad-setting';
}

/** `%i` is the name of an instance. */
function template(text: string, name: string): string {
  if (templateOf(name) === null) return text;
  const instance = name.slice(name.indexOf('@') + 1, name.lastIndexOf('.'));
  return text.replaceAll(/%[iI]/g, instance);
}

/** Its file differs from the loaded definition. */
export const needsReload = (state: State, unit: FakeUnit): boolean =>
  unit.load !== 'not-found' && onDisk(state.root, unit.name, state.dropinDirs).text !== unit.text;

export function become(state: State, unit: FakeUnit, to: Partial<FakeUnit>): void {
  const wasInactive = unit.active === 'inactive' || unit.active === 'failed';
  Object.assign(unit, to);
  const isInactive = unit.active === 'inactive' || unit.active === 'failed';
  if (wasInactive && !isInactive) unit.inactiveExitUs = state.clock.now().getTime() * 1_000;
  state.changed(unit.name);
}
