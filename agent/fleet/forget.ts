/** Takes what a host left on the broker away: for machines that are gone for good. */
import { sliceOf } from '../core/reporting/fleet-index.ts';
import type { BrokerSettings } from '../system/mqtt.ts';
import { readFleet, sha256 } from './client.ts';
import { openSpeaker } from './speaker.ts';

export interface ForgetOptions {
  broker: BrokerSettings;
  prefix: string;
  fleet: string;
  hosts: readonly string[];
  /** For each acknowledgement. */
  timeoutMs?: number;
}

/** `online`: it would say all of it again, so nothing was taken away. `unknown`: nothing was there. */
export type Forgotten = 'forgotten' | 'online' | 'unknown';

/** Retained topics below `hosts/<host>/`. */
const LEAVES = ['presence', 'status', 'resources', 'history', 'metrics'];
/** Hosts that are forgotten side by side: a broker takes few messages at a time that it has not acknowledged (20, of a stock mosquitto). */
const SIDE_BY_SIDE = 20;

/** Throws AgentError `BrokerUnreachable`, `PublishFailed`. */
export async function forgetHosts(options: ForgetOptions): Promise<{ host: string; result: Forgotten }[]> {
  const { broker, prefix, fleet, hosts, timeoutMs = 10_000 } = options;
  const { rows } = await readFleet({ broker, prefix, fleet, hosts });
  const known = new Map(rows.map((row) => [row.host, row]));
  const speaker = await openSpeaker({ broker, role: 'forget', timeoutMs });
  const clear = (below: string) => speaker.retain(`${prefix}/${fleet}/${below}`, '');
  async function forget(host: string): Promise<{ host: string; result: Forgotten }> {
    const row = known.get(host);
    if (row?.presence === 'online') return { host, result: 'online' };
    // The index goes last: what was cut short is still in the table, and is forgotten by the next try.
    await Promise.all(LEAVES.map((leaf) => clear(`hosts/${host}/${leaf}`)));
    await clear(`index/${sliceOf(host, sha256)}/${host}`);
    return { host, result: row?.presence === 'unknown' && row.at === null ? 'unknown' : 'forgotten' };
  }
  try {
    const results: { host: string; result: Forgotten }[] = [];
    for (let at = 0; at < hosts.length; at += SIDE_BY_SIDE)
      results.push(...(await Promise.all(hosts.slice(at, at + SIDE_BY_SIDE).map(forget))));
    return results;
  } finally {
    speaker.end();
  }
}
