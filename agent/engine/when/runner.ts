/** Chooses the kind of run for a request: a full one, or one for what may have drifted. */
import type { Desired } from '../../core/types.ts';
import { repair } from '../drift/repair.ts';
import { heldTo } from '../run/guards/door.ts';
import { type RunResult, reconcile } from '../run/reconcile.ts';
import type { EngineDeps, Holding, RunRequest } from '../types.ts';

export interface Runner {
  /** @param using the dependencies of this run, if they differ from the runner's */
  run(request: RunRequest, using?: EngineDeps): Promise<RunResult>;
  /** The resources that the host is held to: the same array as long as it is the same commit. */
  managed(): Promise<readonly Desired[]>;
}

const NOTHING: readonly Desired[] = [];

export function createRunner(deps: EngineDeps): Runner {
  const holding = createHolding(deps);
  let last: RunResult | null = null;
  return {
    async run(request, using = deps) {
      const { hinted } = request;
      const held = hinted && last ? await holding() : null;
      if (!hinted || last === null) last = await reconcile(using, request, last);
      else if (held === null) last = { ...last, part: { hinted, recorded: false, news: false } };
      else last = await repair(using, held, hinted, last, request);
      return last;
    },
    managed: async () => (await holding())?.loaded.resources ?? NOTHING,
  };
}

/** The commit that the host is held to between two full runs; null before the first. Read once for each commit. */
function createHolding(deps: EngineDeps): () => Promise<Holding | null> {
  let last: Holding | null = null;
  let local: unknown;
  return async () => {
    const checkout = await heldTo(deps);
    if (checkout === null) return null;
    const { commit } = checkout.info;
    const now = deps.localVars?.();
    if (last?.checkout.info.commit !== commit || last.checkout.hostPath !== checkout.hostPath || local !== now)
      last = { checkout: { ...checkout, files: new Map() }, loaded: await deps.load(checkout) };
    local = now;
    return last;
  };
}
