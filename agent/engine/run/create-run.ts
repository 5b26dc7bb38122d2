/** Creates a run from the engine's dependencies and a request. */
import { createBackgroundWork } from '../steps/background.ts';
import { createBackoff } from '../steps/backoff.ts';
import type { EngineDeps, Run, RunRequest } from '../types.ts';

export function createRun(deps: EngineDeps, request: RunRequest): Run {
  const { signal, superseded, hasNext, yielding, emit, ...asked } = request;
  return {
    ...deps,
    background: deps.background ?? createBackgroundWork(),
    backoff: deps.backoff ?? createBackoff({ clock: deps.clock, random: Math.random }),
    asked,
    io: { signal, superseded, hasNext, yielding, emit: (line) => emit(deps.redact(line)) },
    scratch: { prefetched: null, guard: null, former: null, upgrade: null },
  };
}

/** A manual request without special permissions; no other request interrupts it. */
export const requestFor = (signal: AbortSignal): RunRequest => ({
  trigger: 'manual',
  allowPrune: false,
  allowRewind: false,
  force: false,
  signal,
  superseded: () => false,
  hasNext: () => false,
  yielding: (wait) => wait,
  emit: () => undefined,
});
