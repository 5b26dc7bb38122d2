/** A process that simulates a part of a fleet; its parent chooses the part, requests counts, and ends it. */
import type { Crowd, CrowdSettings } from './crowd.ts';
import { createCrowd } from './crowd.ts';

export type Order = { type: 'start'; settings: CrowdSettings } | { type: 'counts' } | { type: 'stop' };
export type Answer = { type: 'counts'; counts: ReturnType<Crowd['counts']> } | { type: 'stopped' };

let crowd: Crowd | null = null;
const say = (answer: Answer): void => void process.send?.(answer);

async function stop(): Promise<void> {
  await crowd?.stop();
  say({ type: 'stopped' });
  process.disconnect?.();
}

process.on('message', (order: Order) => {
  if (order.type === 'start') {
    crowd = createCrowd(order.settings);
    void crowd.start();
  } else if (order.type === 'counts' && crowd) say({ type: 'counts', counts: crowd.counts() });
  else if (order.type === 'stop') void stop();
});
// Ctrl-C in a terminal reaches all processes of the group: the parent decides when to end.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined);
// Without a parent there is nothing to simulate: the broker publishes the Last Wills.
process.on('disconnect', () => process.exit());
