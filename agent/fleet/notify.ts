/** Tells the fleet that a ref has a new commit: one retained message. */
import { AgentError } from '../errors.ts';
import { shortName } from '../git/trust/refs.ts';
import type { BrokerSettings } from '../system/mqtt.ts';
import { openSpeaker } from './speaker.ts';

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

/** @returns the topic. Throws AgentError `BrokerUnreachable`, `PublishFailed`, `InvalidArgument` */
export async function notify(options: NotifyOptions): Promise<string> {
  const { broker, prefix, fleet, ref, commit, timeoutMs = 10_000 } = options;
  if (!/^[0-9a-f]{40}$/.test(commit))
    throw new AgentError({ code: 'InvalidArgument', phase: 'report', message: `${commit} is no full commit id` });
  const topic = `${prefix}/${fleet}/refs/${encodeURIComponent(shortName(ref))}`;
  const speaker = await openSpeaker({ broker, role: 'notify', timeoutMs });
  try {
    await speaker.retain(topic, commit);
  } finally {
    speaker.end();
  }
  return topic;
}
