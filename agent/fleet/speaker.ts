/** Publishes to the broker: every message is acknowledged, refused, or given up in time. */
import { AgentError } from '../errors.ts';
import type { BrokerSettings } from '../system/mqtt.ts';
import { Unanswered } from '../system/mqtt-answers.ts';
import { openLink } from './client.ts';
import type { BrokerLink } from './reader/link.ts';

export interface SpeakerOptions {
  broker: BrokerSettings;
  /** Purpose of the client, a part of its id. */
  role: string;
  /** Time limit for each message, in ms. */
  timeoutMs: number;
}

export interface Speaker {
  /**
   * Retains a message at QoS 1; an empty one clears the topic. Throws AgentError `PublishFailed` if the broker refuses it or does not
   * acknowledge it in time, `BrokerUnreachable` if the connection ends.
   */
  retain(topic: string, payload: string): Promise<void>;
  end(): void;
}

/** Throws AgentError `BrokerUnreachable`. */
export async function openSpeaker({ broker, role, timeoutMs }: SpeakerOptions): Promise<Speaker> {
  const link = await openLink(broker, role, timeoutMs);
  return {
    async retain(topic, payload) {
      try {
        await link.publish(topic, payload, { qos: 1, retain: true });
      } catch (thrown) {
        throw unsaid(topic, link, thrown);
      }
    },
    end: () => link.close(),
  };
}

function unsaid(topic: string, { url, isOpen }: BrokerLink, thrown: unknown): AgentError {
  const said = thrown instanceof Error ? thrown.message : String(thrown);
  const [code, why] =
    thrown instanceof Unanswered
      ? (['PublishFailed', `${said}; try again`] as const)
      : isOpen()
        ? (['PublishFailed', `${said}; allow this user to publish there, or use another one`] as const)
        : (['BrokerUnreachable', 'it closed the connection'] as const);
  return new AgentError({
    ...{ code, phase: 'report', cause: thrown },
    message: `cannot publish ${topic} at the broker ${url}: ${why}`,
  });
}
