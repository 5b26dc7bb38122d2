/** Reads `x-fairlead`, the part of a stack that only fairlead understands (docs/compose.md). Pure. */
import type { Desired, RefreshVerb } from '../../core/types.ts';
import type { LoadedProject } from '../load/load.ts';
import { millisecondsOf } from '../spec/units.ts';
import type { KeyPath } from '../yaml/node.ts';

export const KEY = 'x-fairlead';

/** How a service reacts to a change of repository content that it mounts. */
export type OnChange = 'restart' | 'none' | { signal: string };

/** Settings at one level; a missing setting is taken from the level above. */
export interface Settings {
  observe: boolean;
  /** undefined if it is not said there. */
  onChange: OnChange | undefined;
  prune: boolean;
  /** undefined if it is not said there. */
  adopt: 'match' | 'recreate' | undefined;
  /** undefined if it is not said there. */
  rollback: 'off' | 'auto' | undefined;
  /** A duration as Compose writes it; undefined if it is not said there. */
  patience: string | undefined;
  /** false: a file of Compose is mounted as git has it, encrypted. */
  decrypt: boolean;
  /** undefined if it is not said there. */
  empty: 'allow' | 'hold' | undefined;
}

/** Reads `x-fairlead` at `path` and ignores invalid values (`fairleadIssues` reports them). */
export function settingsAt({ extension }: LoadedProject, path: KeyPath): Settings {
  const said = (extension(path, KEY) ?? {}) as Record<string, unknown>;
  return {
    observe: String(said.mode) === 'observe',
    onChange: said.on_change as Settings['onChange'],
    prune: String(said.prune) === 'true',
    adopt: said.adopt as Settings['adopt'],
    rollback: said.rollback as Settings['rollback'],
    empty: said.empty as Settings['empty'],
    patience: said.patience === undefined || said.patience === null ? undefined : String(said.patience),
    decrypt: String(said.decrypt) !== 'false',
  };
}

/** Settings of a service or a network: its own, else those at the top of the stack. */
export const adoption = (loaded: LoadedProject, path: KeyPath): 'match' | 'recreate' =>
  (settingsAt(loaded, path).adopt ?? settingsAt(loaded, []).adopt) === 'recreate' ? 'recreate' : 'match';

export const modeAt = (loaded: LoadedProject, path: KeyPath): Pick<Desired, 'mode'> =>
  settingsAt(loaded, path).observe ? { mode: 'observe' } : {};

/** How a service is judged after a change: its own setting, else the one at the top of the stack. */
export function judgementAt(loaded: LoadedProject, path: KeyPath): Pick<Desired, 'rollback' | 'patienceMs'> {
  const own = settingsAt(loaded, path);
  const top = settingsAt(loaded, []);
  const patience = own.patience ?? top.patience;
  return {
    ...((own.rollback ?? top.rollback) === 'off' ? { rollback: 'off' as const } : {}),
    ...(patience === undefined ? {} : { patienceMs: millisecondsOf(patience) }),
  };
}

/** Whether a service may start without its data: its own setting, else the one at the top of the stack. */
export const mayBeEmpty = (loaded: LoadedProject, path: KeyPath): boolean =>
  (settingsAt(loaded, path).empty ?? settingsAt(loaded, []).empty) === 'allow';

/** Paths of the host that a service mounts, and what a change of managed content at or below each asks for. */
export function followed(
  onChange: OnChange | undefined,
  sources: readonly string[],
): { quiet: string[]; follows: { path: string; verb: RefreshVerb }[] } {
  const paths = [...new Set(sources)];
  return {
    quiet: onChange === 'none' ? paths : [],
    follows:
      onChange === undefined || onChange === 'none'
        ? []
        : paths.map((path) => ({ path, verb: onChange === 'restart' ? 'restart' : 'reload' })),
  };
}
