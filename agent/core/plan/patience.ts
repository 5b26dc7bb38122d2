/** How long a resource may be unwell after a change before the run counts that as a failure. Pure. */

/** In milliseconds, from `settle` of host.yaml. */
export interface SettleTimes {
  timeoutMs: number;
  /** Missing if host.yaml does not set it. */
  patienceMs?: number | undefined;
}

const DEFAULT_MS = 90_000;

/**
 * The longest of host.yaml's bound and the resource's own bounds. A resource that never ran here before gets `settle.timeout`,
 * which also limits the default patience of the others.
 * @param own bounds in ms: of a healthcheck, of `x-fairlead.patience`, of TimeoutStartSec=
 * @returns milliseconds from its start
 */
export function patienceOf({ timeoutMs, patienceMs }: SettleTimes, isFirst: boolean, own: readonly number[]): number {
  const common = isFirst ? Math.max(timeoutMs, patienceMs ?? 0) : (patienceMs ?? Math.min(DEFAULT_MS, timeoutMs));
  return Math.max(common, ...own);
}
