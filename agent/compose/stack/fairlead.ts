/** Reads `x-fairlead`, the part of a stack that only fairlead understands (docs/compose.md). Pure. */
import type { Desired, RefreshVerb } from '../../core/types.ts';
import type { LoadedProject } from '../load/load.ts';
import { millisecondsOf } from '../spec/units.ts';
import type { KeyPath } from '../yaml/node.ts';

export const KEY = 'x-fairlead';

/** What becomes of a service when repository content that it mounts changes. */
export type OnChange = 'restart' | 'none' | { signal: string };

/** What is said at one place; what is not said is what everything else has. */
export interface Told {
  observe: boolean;
  /** undefined where it is not said there. */
  onChange: OnChange | undefined;
  prune: boolean;
  /** undefined where it is not said there. */
  adopt: 'match' | 'recreate' | undefined;
  /** undefined where it is not said there. */
  rollback: 'off' | 'auto' | undefined;
  /** A duration as Compose writes it; undefined where it is not said there. */
  patience: string | undefined;
  /** false: a file of Compose is mounted as git has it, encrypted. */
  decrypt: boolean;
  /** undefined where it is not said there. */
  empty: 'allow' | 'hold' | undefined;
}

/** What `x-fairlead` says at `path`, whatever stands there being right (`fairleadIssues` reports what is not). */
export function toldAt({ extension }: LoadedProject, path: KeyPath): Told {
  const said = (extension(path, KEY) ?? {}) as Record<string, unknown>;
  return {
    observe: String(said.mode) === 'observe',
    onChange: said.on_change as Told['onChange'],
    prune: String(said.prune) === 'true',
    adopt: said.adopt as Told['adopt'],
    rollback: said.rollback as Told['rollback'],
    empty: said.empty as Told['empty'],
    patience: said.patience === undefined || said.patience === null ? undefined : String(said.patience),
    decrypt: String(said.decrypt) !== 'false',
  };
}

/** Of a service or a network: what is said at it, or at the top of the stack. */
export const adoption = (loaded: LoadedProject, path: KeyPath): 'match' | 'recreate' =>
  (toldAt(loaded, path).adopt ?? toldAt(loaded, []).adopt) === 'recreate' ? 'recreate' : 'match';

export const modeAt = (loaded: LoadedProject, path: KeyPath): Pick<Desired, 'mode'> =>
  toldAt(loaded, path).observe ? { mode: 'observe' } : {};

/** How a service is judged after a change: what is said at it, or at the top of the stack. */
export function judgementAt(loaded: LoadedProject, path: KeyPath): Pick<Desired, 'rollback' | 'patienceMs'> {
  const own = toldAt(loaded, path);
  const top = toldAt(loaded, []);
  const patience = own.patience ?? top.patience;
  return {
    ...((own.rollback ?? top.rollback) === 'off' ? { rollback: 'off' as const } : {}),
    ...(patience === undefined ? {} : { patienceMs: millisecondsOf(patience) }),
  };
}

/** It may start without its data: what is said at it, or at the top of the stack. */
export const mayBeEmpty = (loaded: LoadedProject, path: KeyPath): boolean =>
  (toldAt(loaded, path).empty ?? toldAt(loaded, []).empty) === 'allow';

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
