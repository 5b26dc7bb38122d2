/** One run, from what the engine works with and what somebody asked for. */
import { createAside } from '../steps/aside.ts';
import { createBackoff } from '../steps/backoff.ts';
import type { EngineDeps, Run, RunRequest } from '../types.ts';

export function createRun(deps: EngineDeps, request: RunRequest): Run {
  const { signal, superseded, hasNext, yielding, emit, ...asked } = request;
  return {
    ...deps,
    aside: deps.aside ?? createAside(),
    backoff: deps.backoff ?? createBackoff({ clock: deps.clock, random: Math.random }),
    asked,
    io: { signal, superseded, hasNext, yielding, emit: (line) => emit(deps.redact(line)) },
    scratch: { prefetched: null, guard: null, former: null, upgrade: null },
  };
}

/** A request by a person, with no leave to do more than usual, that nothing disturbs. */
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
