/** When one version of the agent makes way for another: between two runs, and never while one acts. */
import type { Loop } from './engine/when/loop.ts';
import type { Log } from './log.ts';
import type { Upgrader } from './upgrade/upgrader.ts';

export interface SwitchOverOptions {
  /** Null where nobody upgrades this agent. */
  upgrade: Upgrader | null;
  loop: Pick<Loop, 'hold' | 'request'>;
  log: Log;
}

export interface SwitchOver {
  /** At the start of the session, before its first run: an order that was cut short goes on. */
  start(): void;
  /** A run that may have given an order is over and recorded: none begins until another version runs, or none will. */
  ordered(): void;
  /** Nobody waits any longer. */
  stop(): void;
}

export function createSwitchOver({ upgrade, loop, log }: SwitchOverOptions): SwitchOver {
  const stopper = new AbortController();
  const { signal } = stopper;
  const isPending = () => upgrade !== null && upgrade.pending() !== null;
  return {
    start() {
      if (upgrade === null || !isPending()) return;
      const over = upgrade.resume(signal).catch((thrown) => {
        log.error({}, `the upgrade of the agent cannot go on: ${thrown instanceof Error ? thrown.message : thrown}`);
      });
      loop.hold(over);
    },
    ordered() {
      if (upgrade === null || !isPending()) return;
      const over = upgrade.begin(signal);
      loop.hold(over);
      // It came to nothing: the commit is this version's.
      void over.then(() => (signal.aborted ? undefined : loop.request({}, 'retry')));
    },
    stop: () => stopper.abort(),
  };
}
