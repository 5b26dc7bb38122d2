/** Sends notifications of the fleet, as long as this relay holds the lease. */
import type { Destination } from '../../../manifests-schema/notify.ts';
import type { Log } from '../../log.ts';
import { createDelivery } from '../../notify/deliver.ts';
import { FLEET_RULES } from '../../notify/model/turns.ts';
import { createNotifier } from '../../notify/notifier.ts';
import { replaceFile } from '../../store/disk/durable-file.ts';
import type { Clock } from '../../system/clock.ts';
import { MOST_BYTES, readKept, readShared, sharedText } from './kept.ts';
import { sightOfRow } from './sight.ts';
import type { Turn } from './turns.ts';
import type { Worker } from './work.ts';

export interface PeopleOptions {
  destinations: readonly Destination[];
  fleet: string;
  /** File with a second copy, for a broker that loses its retained messages. */
  file: string;
  turn: Turn;
  env: Record<string, string | undefined>;
  secret(text: string): void;
  clock: Clock;
  log: Log;
  random(): number;
}

export function createPeople(options: PeopleOptions): Worker {
  const { clock, log, turn } = options;
  const notifier = createNotifier({
    ...{ destinations: options.destinations, fleet: options.fleet, prefix: `relay-${options.fleet}` },
    ...{ rules: FLEET_RULES, clock, log, random: options.random, problemsChanged: () => undefined },
    deliver: (destination) => createDelivery({ destination, env: options.env, secret: options.secret }),
    keep: {
      load: () => readShared(turn.left('state')) ?? readKept(options.file) ?? {},
      async save(memories) {
        const text = sharedText(memories);
        replaceFile(options.file, text);
        if (Buffer.byteLength(text) > MOST_BYTES)
          throw new Error('it is too large for the broker; kept on this machine alone');
        // Send nothing before another relay could find the record, and nothing after the lease was lost.
        await turn.share('state', text);
      },
    },
  });
  return {
    start: notifier.start,
    stop: notifier.stop,
    see: (rows) => notifier.see(rows.map(sightOfRow)),
    forget: notifier.forget,
  };
}
