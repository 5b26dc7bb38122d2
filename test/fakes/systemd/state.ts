/** What a systemd in memory knows of its units, and which definition it goes by. */
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
  /** Microseconds since the epoch; 0 where it never was. */
  mainStartedUs: number;
  inactiveExitUs: number;
  /** When its conditions were last asked, microseconds since the epoch, 0 for never; and whether they held. */
  conditionUs: number;
  conditionHolds: boolean;
  /** Starts of the last while, monotonic milliseconds. */
  starts: number[];
  log: string[];
  /** Calls off what its process is about to do. */
  callOff: () => void;
}

export interface State {
  /** A directory that stands for `/`. */
  root: string;
  clock: FakeClock;
  /** In memory: what is active, failed, or was looked at and is not forgotten. */
  units: Map<string, FakeUnit>;
  /** Units that somebody keeps in memory although they are inactive. */
  kept: Set<string>;
  /** Directories of drop-ins that it knows of since its last reload; left out where it looks anew each time. */
  dropinDirs?: ReadonlySet<string>;
  /** A property of a unit changed. */
  changed(name: string): void;
  /** Unit files, or the view of them, changed. */
  reread(): void;
}

export const PATH = '/org/freedesktop/systemd1/unit/';
export const pathOf = (name: string): string => PATH + escapeLabel(name);

/** An error as the bus hands it over. */
export const refusal = (name: string, said: string): Error =>
  Object.assign(new Error(said), { dbusName: `org.freedesktop.systemd1.${name}` });
export const noSuchUnit = (name: string): Error => refusal('NoSuchUnit', `Unit ${name} not found.`);

/** Nothing keeps it in memory: the next look reads it again. */
const isForgotten = ({ active }: FakeUnit): boolean => active === 'inactive';

/** The unit as systemd has it: what runs goes by the definition that it was read with, until a reload. */
export function unitOf(state: State, name: string): FakeUnit {
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
  // What is forgotten has no starts that count, and nobody knows how the last one went.
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

/** `%i` is what an instance is called by. */
function template(text: string, name: string): string {
  if (templateOf(name) === null) return text;
  const instance = name.slice(name.indexOf('@') + 1, name.lastIndexOf('.'));
  return text.replaceAll(/%[iI]/g, instance);
}

/** It lies otherwise on disk than systemd has it. */
export const needsReload = (state: State, unit: FakeUnit): boolean =>
  unit.load !== 'not-found' && onDisk(state.root, unit.name, state.dropinDirs).text !== unit.text;

export function become(state: State, unit: FakeUnit, to: Partial<FakeUnit>): void {
  const wasInactive = unit.active === 'inactive' || unit.active === 'failed';
  Object.assign(unit, to);
  const isInactive = unit.active === 'inactive' || unit.active === 'failed';
  if (wasInactive && !isInactive) unit.inactiveExitUs = state.clock.now().getTime() * 1_000;
  state.changed(unit.name);
}
