/** Takes what a host left on the broker away: for machines that are gone for good. */
import { createHash, randomBytes } from 'node:crypto';
import { sliceOf } from '../core/fleet-index.ts';
import { AgentError } from '../errors.ts';
import { type BrokerSettings, connectBroker } from '../system/mqtt.ts';
import { readFleet } from './client.ts';

export interface ForgetOptions {
  broker: BrokerSettings;
  prefix: string;
  fleet: string;
  hosts: readonly string[];
  timeoutMs?: number;
}

/** `online`: it would say all of it again, so nothing was taken away. `unknown`: nothing was there. */
export type Forgotten = 'forgotten' | 'online' | 'unknown';

/** What is retained below `hosts/<host>/`. */
const LEAVES = ['presence', 'status', 'resources', 'history', 'metrics'];
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Throws AgentError `BrokerUnreachable`. */
export async function forgetHosts(options: ForgetOptions): Promise<{ host: string; result: Forgotten }[]> {
  const { broker, prefix, fleet, hosts, timeoutMs = 10_000 } = options;
  const { rows } = await readFleet({ broker, prefix, fleet, hosts });
  const known = new Map(rows.map((row) => [row.host, row]));
  const clientId = `fairlead-forget-${randomBytes(6).toString('hex')}`;
  const client = await connectBroker({ broker, clientId, timeoutMs });
  const clear = async (below: string): Promise<void> => {
    const topic = `${prefix}/${fleet}/${below}`;
    await client.publishAsync(topic, '', { qos: 1, retain: true }).catch((thrown: unknown) => {
      const said = thrown instanceof Error ? thrown.message : String(thrown);
      const message = `the broker does not let this user clear ${topic} (${said}); allow it there, or use another user`;
      throw new AgentError({ code: 'PublishFailed', phase: 'report', message });
    });
  };
  try {
    const results: { host: string; result: Forgotten }[] = [];
    for (const host of hosts) {
      const row = known.get(host);
      const result =
        row?.presence === 'online'
          ? 'online'
          : row?.presence === 'unknown' && row.at === null
            ? 'unknown'
            : 'forgotten';
      if (result !== 'online') {
        // The index goes last: what was cut short is still in the table, and is forgotten by the next try.
        await Promise.all(LEAVES.map((leaf) => clear(`hosts/${host}/${leaf}`)));
        await clear(`index/${sliceOf(host, sha256)}/${host}`);
      }
      results.push({ host, result });
    }
    await client.endAsync();
    return results;
  } finally {
    client.end(true);
  }
}
