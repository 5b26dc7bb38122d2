/** The gate of a host (pause, window, …) in words: the same words on the page and in the terminal. Pure. */
import { ahead } from '../../core/names/span.ts';

export interface GateOfHost {
  readonly kind: string;
  /** A sentence such as `paused: a disk is changed`; may be empty. */
  readonly reason: string;
  /** When the gate opens by itself, in milliseconds; null if an operator has to open it. */
  readonly until: number | null;
}

/** True if nothing is wrong on a host, but a pause keeps every change away from it. */
export const isPaused = (row: { readonly sync: string; readonly gate: { readonly kind: string } | null }): boolean =>
  row.sync === 'synced' && row.gate?.kind === 'pause';

/** `ends in 30 min`, or `opens in 3 h` for a window; empty if the gate does not open by itself. */
export function untilText(gate: GateOfHost | null, now: number): string {
  if (gate === null || gate.until === null) return '';
  return `${gate.kind === 'window' ? 'opens' : 'ends'} ${ahead(gate.until, now)}`;
}

/** `paused: a disk is changed; ends in 30 min`. @param said replaces the gate's own reason if it is not empty */
export const heldText = (gate: GateOfHost | null, said: string, now: number): string =>
  [said || (gate?.reason ?? ''), untilText(gate, now)].filter(Boolean).join('; ');
