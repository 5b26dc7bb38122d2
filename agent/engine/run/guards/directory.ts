/**
 * If agent.yaml names another directory for this host, resources that only the old directory declares must not be removed
 * without an operator's consent.
 */
import type { Source } from '../../../core/provider.ts';
import type { EngineDeps } from '../../types.ts';

export interface DirectoryGuard {
  /** The source; its reviews hold a commit that would remove what the former directory declared. */
  source: Source;
  /** The same source for a run that may remove any number of resources. */
  allowing: Source;
  /** To be called after each run: records the directory from which the commit was accepted. */
  settled(): void;
}

/** Maximum number of resources that the message names. */
const NAMED = 3;

/** @param path the host's directory in the current configuration */
export function guardDirectory(deps: Pick<EngineDeps, 'source' | 'load' | 'store'>, path: string): DirectoryGuard {
  const { source, load, store } = deps;
  let taken: string | null = null;
  const allowing: Source = {
    id: source.id,
    policy: () => source.policy(),
    vouchesFor: (commit) => source.vouchesFor(commit),
    head: (signal) => source.head(signal),
    review: (commit, request, signal) => source.review(commit, request, signal),
    async checkout(commit, signal) {
      const checkout = await source.checkout(commit, signal);
      taken = commit;
      return checkout;
    },
  };
  return {
    allowing,
    source: {
      ...allowing,
      async review(commit, request, signal) {
        const review = await source.review(commit, request, signal);
        const former = store.facts.get('acceptedPath');
        if (review.hold !== null || former === undefined || former === path) return review;
        const checkout = await source.checkout(commit, signal);
        const { resources, issues } = await load(checkout);
        // A commit that is rejected, or that declares nothing for this host, removes nothing.
        if (resources.length === 0 || issues.some((i) => i.severity === 'error')) return review;
        const declared = new Set<string>(resources.map((r) => r.id));
        const gone = store.inventory.list().filter((row) => !declared.has(row.id));
        if (gone.length === 0) return review;
        const some = gone.slice(0, NAMED).map((row) => row.id);
        const names = `${some.join(', ')}${gone.length > NAMED ? `, and ${gone.length - NAMED} more` : ''}`;
        const message = `this host followed ${former} until now, but agent.yaml now names ${path}, which does not declare ${names}; run \`fairlead sync --allow-prune\` to remove what it does not declare, or set host or repo.path back`;
        return { ...review, hold: { reason: 'DirectoryChanged', message } };
      },
    },
    settled() {
      if (taken !== null && taken === store.commits.get().accepted && store.facts.get('acceptedPath') !== path)
        store.facts.set({ acceptedPath: path });
    },
  };
}
