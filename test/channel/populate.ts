/** What a fleet leaves on a broker, published by one client: each host's index, presence and status. */
import { createHash } from 'node:crypto';
import { sliceOf } from '../../agent/core/reporting/fleet-index.ts';
import { connectBroker } from '../../agent/system/mqtt.ts';
import type { StatusDocument } from '../../manifests-schema/payloads.ts';

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** The status of a host with a dozen resources: about a kilobyte. */
export const statusOf = (host: string, fleet: string): StatusDocument => ({
  ...{ schema: 1, host, fleet, at: '2026-11-24T08:00:00.000Z', seq: 1, sync: 'synced', health: 'healthy' },
  ...{ reason: '', message: '', mode: 'enforce', gate: null, pin: null, lastGood: null, applied: null },
  desired: {
    ...{ ref: 'main', commit: 'c'.repeat(40), author: 'Ann <ann@example.com>', subject: 'Raise the limit' },
    ...{ committedAt: '2026-11-24T07:59:00.000Z', signer: null },
  },
  ...{ bad: [], run: null, problems: [], problemsTotal: 0, warnings: [], warningsTotal: 0, waiting: [], next: null },
  labels: { site: 'berlin', ring: 'canary' },
  resources: { total: 12, synced: 12, outOfSync: 0, failed: 0, held: 0 },
  facts: { os: 'Debian 13', arch: 'x64', kernel: '6.12', addresses: ['192.0.2.7', '2001:db8::7'] },
  agent: { version: '1', startedAt: '2026-11-24T08:00:00.000Z', instance: 'i' },
});

/** Number of unacknowledged messages. */
const SIDE_BY_SIDE = 500;

/** Over MQTT 5, or 3.1.1 if the broker does not support 5. @returns the retained topics */
export async function populate(url: string, prefix: string, hosts: readonly string[]): Promise<string[]> {
  const client = await connectBroker({ broker: { url }, clientId: `populate-${prefix}`, timeoutMs: 30_000 });
  const base = `${prefix}/f`;
  const said = hosts.flatMap((host) => [
    [`${base}/index/${sliceOf(host, sha256)}/${host}`, host],
    [`${base}/hosts/${host}/presence`, 'online'],
    [`${base}/hosts/${host}/status`, JSON.stringify(statusOf(host, 'f'))],
  ]);
  for (let at = 0; at < said.length; at += SIDE_BY_SIDE)
    await Promise.all(
      said
        .slice(at, at + SIDE_BY_SIDE)
        .map(([topic = '', payload = '']) => client.publishAsync(topic, payload, { qos: 1, retain: true })),
    );
  client.end(true);
  return said.map(([topic = '']) => topic);
}
