/** Probes each check at its own `every` between runs; requests a run only if a verdict changed. */
import type { Watcher } from '../../core/provider.ts';
import type { Desired, ResourceId } from '../../core/types.ts';
import { LONGEST_TIMER_MS } from '../../system/clock.ts';
import { type CheckProbes, PROBES_AT_ONCE } from './probes.ts';
import type { CheckSpec } from './spec.ts';

export function createCheckWatcher({ probes }: { probes: CheckProbes }): Watcher {
  let hint: (id: ResourceId | '*') => void = () => undefined;
  let stopped = true;
  let checks: readonly Desired<CheckSpec>[] = [];
  let timer: NodeJS.Timeout | null = null;
  const busy = new Set<ResourceId>();

  const probeOne = async (want: Desired<CheckSpec>) => {
    busy.add(want.id);
    try {
      if ((await probes.watch(want)) && !stopped) hint(want.id);
    } finally {
      busy.delete(want.id);
      turn();
    }
  };
  /** Starts the probes that are due; a single timer fires when the next one is. */
  const turn = () => {
    if (timer) clearTimeout(timer);
    timer = null;
    if (stopped) return;
    const waits = checks.filter((want) => !busy.has(want.id)).map((want) => ({ want, dueMs: probes.dueMs(want) }));
    const due = waits.filter(({ dueMs }) => dueMs <= 0).slice(0, Math.max(0, PROBES_AT_ONCE - busy.size));
    for (const { want } of due) void probeOne(want);
    const later = waits.filter(({ dueMs }) => dueMs > 0).map(({ dueMs }) => dueMs);
    if (later.length === 0) return;
    timer = setTimeout(turn, Math.min(LONGEST_TIMER_MS, ...later));
    timer.unref();
  };

  return {
    kinds: ['check'],
    async start(tell, signal) {
      hint = tell;
      stopped = signal.aborted;
      signal.addEventListener(
        'abort',
        () => {
          stopped = true;
          turn();
        },
        { once: true },
      );
      turn();
    },
    manage(resources) {
      checks = resources.filter((r): r is Desired<CheckSpec> => r.id.startsWith('check:'));
      turn();
    },
    limit: () => null,
  };
}
