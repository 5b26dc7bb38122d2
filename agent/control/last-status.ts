/** The last known state of the host when the agent ended, shown until the first run has ended. */
import type { AgentState, Identity } from '../core/reporting/status.ts';
import type { Store } from '../store/db.ts';
import type { Shown } from '../store/facts.ts';

export interface LastStatus {
  /** Written only when it is another one: most runs find nothing new. */
  remember(state: AgentState): void;
  /** The last verdict as it was; of health nothing is known, since nobody has looked yet. */
  recall(identity: Identity): AgentState;
}

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

export function createLastStatus({ commits, facts, runs }: Pick<Store, 'commits' | 'facts' | 'runs'>): LastStatus {
  let written: Shown | null = null;
  return {
    remember({ mode, labels, desired, resources, hostStates, gate, reason, message, problems, warnings }) {
      const kept: Shown = { mode, labels, desired, resources, hostStates, gate, reason, message, problems, warnings };
      // The long part first: mostly it is the very same.
      const isSame = written?.resources === resources || same(written?.resources, resources);
      if (!isSame || !same({ ...written, resources: [] }, { ...kept, resources: [] })) facts.set({ shown: kept });
      written = kept;
    },
    recall({ labels }) {
      const kept = facts.get('shown');
      written = kept ?? null;
      const { lastGood } = commits.get();
      const run = runs.list({ limit: 1 })[0] ?? null;
      const hostStates = kept?.hostStates ?? [];
      return {
        mode: 'enforce',
        labels,
        desired: null,
        reason: '',
        message: '',
        problems: [],
        warnings: [],
        waiting: [],
        gate: null,
        ...kept,
        pin: null,
        bad: [],
        // Ended in the middle of its work, the host is neither here nor there.
        hostStates: run?.reason === 'Interrupted' ? [...hostStates, 'progressing'] : hostStates,
        resources: (kept?.resources ?? []).map((r) => ({ ...r, health: 'unknown' })),
        applied: facts.get('applied') ?? null,
        lastGood: lastGood ? { commit: lastGood } : null,
        run: kept ? run : null,
        running: true,
      };
    },
  };
}
