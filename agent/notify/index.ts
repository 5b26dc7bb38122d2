/** The entry point that the daemon loads if agent.yaml has `notify`: sends notifications of this host. */
import type { Destination } from '../../manifests-schema/notify.ts';
import type { StatusDocument } from '../../manifests-schema/payloads.ts';
import type { Log } from '../log.ts';
import type { Facts } from '../store/facts.ts';
import type { Clock } from '../system/clock.ts';
import { createDelivery } from './deliver.ts';
import type { Memory } from './model/memory.ts';
import { sightOf } from './model/sight.ts';
import { HOST_RULES } from './model/turns.ts';
import { createNotifier, type Notifier } from './notifier.ts';

export interface HostNotifierOptions {
  destinations: readonly Destination[];
  host: string;
  fleet: string;
  facts: Pick<Facts, 'get' | 'set'>;
  status(): StatusDocument;
  env: Record<string, string | undefined>;
  /** Takes note of a secret, so that no log and no status shows it. */
  secret(text: string): void;
  clock: Clock;
  log: Log;
  random(): number;
  problemsChanged(): void;
}

export interface HostNotifier extends Pick<Notifier, 'problems' | 'stop'> {
  start(): void;
  /** Takes a changed status. */
  changed(): void;
  /** Resolves when all messages that are due soon have been sent, or after `ms`. */
  flushed(ms: number): Promise<void>;
}

export function createHostNotifier(options: HostNotifierOptions): HostNotifier {
  const { facts, env, secret, host } = options;
  const notifier = createNotifier({
    ...options,
    prefix: host,
    rules: HOST_RULES,
    deliver: (destination) => createDelivery({ destination, env, secret }),
    keep: {
      load: () => (facts.get('notified') ?? {}) as Readonly<Record<string, Memory>>,
      save: (notified) => facts.set({ notified }),
    },
  });
  let isAsked = false;
  const look = () => {
    isAsked = false;
    notifier.see([sightOf(options.status())]);
  };
  return {
    ...notifier,
    // A run changes many things at once.
    changed() {
      if (!isAsked) setImmediate(look);
      isAsked = true;
    },
    flushed(ms) {
      look();
      return notifier.flushed(ms);
    },
  };
}
