/** How long a resource may be unwell after a change before that counts as a failure. Pure. */

/** Milliseconds; `settle` of host.yaml. */
export interface SettleTimes {
  timeoutMs: number;
  /** Missing if host.yaml does not say it. */
  patienceMs?: number | undefined;
}

const DEFAULT_MS = 90_000;

/**
 * The longest of what host.yaml says and of the resource's own bounds. What never ran here before gets `settle.timeout`, which
 * also bounds the default patience of the rest.
 * @param own bounds in ms: of a healthcheck, of `x-fairlead.patience`, of TimeoutStartSec=
 * @returns milliseconds from its start
 */
export function patienceOf({ timeoutMs, patienceMs }: SettleTimes, isFirst: boolean, own: readonly number[]): number {
  const common = isFirst ? Math.max(timeoutMs, patienceMs ?? 0) : (patienceMs ?? Math.min(DEFAULT_MS, timeoutMs));
  return Math.max(common, ...own);
}
