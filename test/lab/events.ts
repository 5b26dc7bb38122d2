/** The events of a host on its topic, as a subscriber on the infra host records them. */
import { randomUUID } from 'node:crypto';
import type { EventDocument } from '../../manifests-schema/payloads.ts';
import type { Infra } from './infra.ts';
import { until } from './run.ts';

/** No event has this number. */
const PROBE = '{"seq":0}';
const WAIT_MS = 60_000;

export interface EventsHeard {
  /** All that arrived so far, in order of arrival. */
  all(): Promise<EventDocument[]>;
  /** The same, as soon as the event of this number is among them: a test that counts must know that nothing is on its way. */
  upTo(seq: number): Promise<EventDocument[]>;
}

/** Resolves when the broker delivers to the subscriber: later events are received. */
export async function hearEvents(infra: Infra, host: string): Promise<EventsHeard> {
  const topic = `fairlead/default/hosts/${host}/events`;
  const file = `/tmp/events-${host}-${randomUUID()}`;
  // The last line may be half written.
  const lines = async () => (await infra.exec(['cat', file])).stdout.split('\n').slice(0, -1);
  await infra.sh(`nohup setsid mosquitto_sub -V mqttv5 -q 1 -t ${topic} > ${file} 2>/dev/null & sleep 0`);
  await until('the subscriber to receive it', WAIT_MS, async () => {
    await infra.exec(['mosquitto_pub', '-V', 'mqttv5', '-q', '1', '-t', topic, '-m', PROBE]);
    return (await lines()).includes(PROBE);
  });
  const all = async () =>
    (await lines()).filter((line) => line !== PROBE).map((line) => JSON.parse(line) as EventDocument);
  return {
    all,
    upTo: (seq) =>
      until(`event ${seq}`, WAIT_MS, async () => {
        const events = await all();
        return events.some((event) => event.seq >= seq) && events;
      }),
  };
}
