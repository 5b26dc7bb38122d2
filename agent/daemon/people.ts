/** Notifications of the daemon, as agent.yaml configures them. The code is loaded only if there is a destination. */
import type { AgentConfig } from '../config.ts';
import type { Problem } from '../core/types.ts';
import type { HostNotifier, HostNotifierOptions } from '../notify/index.ts';

export interface People {
  /** Uses this configuration from now on. */
  take(config: Pick<AgentConfig, 'notify'>): Promise<void>;
  /** Takes a changed status. */
  changed(): void;
  problems(): readonly Problem[];
  /** Resolves when all messages that are due soon have been sent, or after `ms`. */
  flushed(ms: number): Promise<void>;
  stop(): Promise<void>;
}

export function createPeople(options: Omit<HostNotifierOptions, 'destinations'>): People {
  let notifier: HostNotifier | null = null;
  let taken = '[]';
  return {
    async take({ notify }) {
      const asked = JSON.stringify(notify);
      if (asked === taken) return;
      taken = asked;
      await notifier?.stop();
      notifier = null;
      if (notify.length === 0) return;
      const { createHostNotifier } = await import('../notify/index.ts');
      notifier = createHostNotifier({ ...options, destinations: notify });
      notifier.start();
    },
    changed: () => notifier?.changed(),
    problems: () => notifier?.problems() ?? [],
    flushed: async (ms) => notifier?.flushed(ms),
    stop: async () => notifier?.stop(),
  };
}
