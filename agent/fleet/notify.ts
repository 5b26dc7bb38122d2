/** Tells the fleet that a ref has a new commit: one retained message. */
import { randomBytes } from 'node:crypto';
import { AgentError } from '../errors.ts';
import { shortName } from '../git/trust/refs.ts';
import { type BrokerSettings, connectBroker } from '../system/mqtt.ts';

export interface NotifyOptions {
  broker: BrokerSettings;
  prefix: string;
  fleet: string;
  /** Short or full name of a branch or tag. */
  ref: string;
  /** Full object id. */
  commit: string;
  timeoutMs?: number;
}

/** @returns the topic. Throws AgentError `BrokerUnreachable`, `InvalidArgument` */
export async function notify(options: NotifyOptions): Promise<string> {
  const { broker, prefix, fleet, ref, commit, timeoutMs = 10_000 } = options;
  if (!/^[0-9a-f]{40}$/.test(commit))
    throw new AgentError({ code: 'InvalidArgument', phase: 'report', message: `${commit} is no full commit id` });
  const topic = `${prefix}/${fleet}/refs/${encodeURIComponent(shortName(ref))}`;
  const client = await connectBroker({
    broker,
    clientId: `fairlead-notify-${randomBytes(6).toString('hex')}`,
    timeoutMs,
  });
  try {
    await client.publishAsync(topic, commit, { qos: 1, retain: true });
    await client.endAsync();
  } finally {
    client.end(true);
  }
  return topic;
}
