/** Decides when another version of the agent takes over: between two runs, never during one. */
import type { Loop } from '../../engine/when/loop.ts';
import type { Log } from '../../log.ts';
import type { Upgrader } from '../../upgrade/upgrader.ts';

export interface SwitchOverOptions {
  /** Null if this agent cannot be upgraded. */
  upgrade: Upgrader | null;
  loop: Pick<Loop, 'hold' | 'request'>;
  log: Log;
}

export interface SwitchOver {
  /** To be called before the first run of a session: continues an interrupted order. */
  start(): void;
  /** To be called after a run that may have given an order: no run begins until the other version runs, or the order has failed. */
  ordered(): void;
  /** Ends the waiting. */
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
        log.error({}, `the upgrade of the agent cannot continue: ${thrown instanceof Error ? thrown.message : thrown}`);
      });
      loop.hold(over);
    },
    ordered() {
      if (upgrade === null || !isPending()) return;
      const over = upgrade.begin(signal);
      loop.hold(over);
      // The order failed: this version applies the commit.
      void over.then(() => (signal.aborted ? undefined : loop.request({}, 'retry')));
    },
    stop: () => stopper.abort(),
  };
}
