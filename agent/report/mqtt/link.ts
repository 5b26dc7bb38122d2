/** Publishes on one connection to the broker, from its beginning to its end, and records the broker's refusals. */
import type { MqttClient } from 'mqtt';
import type { Answer } from '../../core/channel.ts';
import { Oversized } from '../../system/mqtt-sending.ts';
import { createWaits } from '../../system/waits.ts';
import { type BrokerProblem, isRefusal, said } from './refusals.ts';

export interface Publishing {
  retain: boolean;
  /** Default 1. With 0 the broker does not answer, so that nobody knows whether it took it. */
  qos?: 0 | 1;
  /** User properties (MQTT 5.0, 3.3.2.3.7); not sent in 3.1.1. */
  user?: Readonly<Record<string, string>>;
  /** Seconds after which the broker forgets it (MQTT 5.0, 3.3.2.3.3); one of 3.1.1 never does. */
  expirySeconds?: number;
  /** Correlation data, base64. */
  correlation?: string | null;
  /** Under which topic a refusal is shown, if not this one. */
  shownAs?: string;
}

/** One connection, from its beginning to its end. */
export interface Link {
  up(): boolean;
  /** An answer other than `taken` is a problem until the broker takes a message there. Throws when the connection ends first. */
  publish(topic: string, payload: string, how: Publishing): Promise<Answer>;
}

export interface LinkOptions {
  client: MqttClient;
  /** Rejects when the connection has ended, with the reason. */
  lost: Promise<never>;
  /** Called if the broker refuses messages on this topic, or with null if it accepts them again. */
  refused(topic: string, problem: BrokerProblem | null): void;
}

/** @returns the link, and a way to call it down before the library does: it calls a connection that we ended connected for a while */
export function createLink({ client, lost, refused }: LinkOptions): Link & { down(): void } {
  const isOld = client.options.protocolVersion !== 5;
  let live = true;
  const waits = createWaits();
  lost.catch((why: Error) => {
    live = false;
    waits.end(why);
  });
  return {
    up: () => live && client.connected,
    down() {
      live = false;
    },
    async publish(topic, payload, { retain, qos = 1, shownAs = topic, ...more }) {
      try {
        // When the connection ends, the library never settles messages that it could not send.
        await waits.wait(client.publishAsync(topic, payload, { qos, retain, ...propertiesOf(more, isOld) }));
        refused(shownAs, null);
        return 'taken';
      } catch (thrown) {
        if (thrown instanceof Oversized) {
          refused(shownAs, { reason: 'PublishRefused', message: `cannot publish ${shownAs}: ${thrown.message}` });
          return 'too-large';
        }
        if (!isRefusal(thrown)) throw thrown;
        const message = `the broker refuses what this host says on ${shownAs} (${said(thrown)}); allow it there`;
        refused(shownAs, { reason: 'PublishRefused', message });
        return 'refused';
      }
    },
  };
}

const propertiesOf = ({ user, expirySeconds, correlation }: Omit<Publishing, 'retain'>, isOld: boolean) =>
  isOld || (user === undefined && expirySeconds === undefined && correlation == null)
    ? {}
    : {
        properties: {
          ...(user === undefined ? {} : { userProperties: { ...user } }),
          ...(expirySeconds === undefined ? {} : { messageExpiryInterval: expirySeconds }),
          ...(correlation == null ? {} : { correlationData: Buffer.from(correlation, 'base64') }),
        },
      };
