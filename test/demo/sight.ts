/** The broker's messages about the demo's hosts, as they arrive: the demo waits for states instead of polling. */
import mqtt from 'mqtt';
import type { StatusDocument } from '../../manifests-schema/payloads.ts';

export interface Sight {
  /** @returns when the host's newest status matches. Throws after two minutes, with the last status */
  status(host: string, fits: (status: StatusDocument) => boolean): Promise<void>;
  offline(host: string): Promise<void>;
  end(): Promise<void>;
}

const PATIENCE_MS = 120_000;

export async function openSight(broker: string): Promise<Sight> {
  const client = await mqtt.connectAsync(broker, { protocolVersion: 5 });
  const said = new Map<string, string>();
  const waiting = new Set<() => void>();
  client.on('message', (topic, payload) => {
    said.set(topic, payload.toString());
    for (const look of waiting) look();
  });
  const base = 'fairlead/default/hosts';
  await client.subscribeAsync([`${base}/+/status`, `${base}/+/presence`], { qos: 1 });

  const where = (topic: string, fits: (payload: string) => boolean) =>
    new Promise<void>((resolve, reject) => {
      const end = (settle: () => void) => {
        waiting.delete(look);
        clearTimeout(late);
        settle();
      };
      const look = () => {
        const payload = said.get(topic);
        if (payload !== undefined && fits(payload)) end(resolve);
      };
      const late = setTimeout(
        () => end(() => reject(new Error(`${topic} did not become as it should; last: ${said.get(topic)}`))),
        PATIENCE_MS,
      );
      waiting.add(look);
      look();
    });
  return {
    status: (host, fits) => where(`${base}/${host}/status`, (payload) => fits(JSON.parse(payload) as StatusDocument)),
    offline: (host) => where(`${base}/${host}/presence`, (payload) => payload === 'offline'),
    end: () => client.endAsync(true),
  };
}
