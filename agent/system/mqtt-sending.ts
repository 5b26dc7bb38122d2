/**
 * Keeps a client to what its broker takes. In version 5 a broker says so when it accepts the connection (MQTT 5.0, 3.2.2.3), but the
 * library sends more all the same, and then the broker ends the connection.
 */
import type { IClientPublishOptions, MqttClient } from 'mqtt';
import { createLanes } from './side-by-side.ts';

/** A message that the broker does not take for its size. It was not sent, and the connection goes on. */
export class Oversized extends Error {}

type Sending = Pick<MqttClient, 'publishAsync' | 'serverProperties'>;

/** Messages at QoS 1 that may wait for their acknowledgement together, if the broker names no number (MQTT 5.0, 3.2.2.3.3). */
const MOST_IN_FLIGHT = 65_535;

/**
 * @param client connected
 * @returns the same client. Messages larger than the broker takes reject with `Oversized`; those at QoS 1 wait until as many as the
 *   broker takes at once are acknowledged (MQTT 5.0, 4.9)
 */
export function keepToLimits<Client extends Sending>(client: Client): Client {
  const { maximumPacketSize = Number.POSITIVE_INFINITY, receiveMaximum = MOST_IN_FLIGHT } =
    client.serverProperties ?? {};
  // A broker that says 0, which it may not, would stop every message.
  const inFlight = createLanes(Math.max(1, receiveMaximum));
  const publish = client.publishAsync.bind(client) as (...args: unknown[]) => ReturnType<MqttClient['publishAsync']>;
  return Object.assign(client, {
    async publishAsync(topic: string, payload: string | Buffer, options: IClientPublishOptions = {}) {
      if (mayExceed(maximumPacketSize, topic, payload)) {
        const bytes = packetBytes(topic, payload, options);
        if (bytes > maximumPacketSize)
          throw new Oversized(
            `the message has ${bytes} bytes, and the broker takes ${maximumPacketSize}; raise its limit (mosquitto: \`max_packet_size\`)`,
          );
      }
      const send = () => publish(topic, payload, options);
      return (options.qos ?? 0) > 0 ? inFlight(send) : send();
    },
  });
}

/** More than any header and properties of ours take. */
const AROUND = 4 * 1024;
/** In UTF-8, for each unit of UTF-16. */
const MOST_BYTES = 3;

/** Whether it is worth while to count. */
const mayExceed = (limit: number, topic: string, payload: string | Buffer): boolean =>
  (topic.length + payload.length) * MOST_BYTES + AROUND > limit;

const bytesOf = (text: string | Buffer): number =>
  typeof text === 'string' ? new TextEncoder().encode(text).length : text.length;

/** Size of a variable byte integer (MQTT 5.0, 1.5.5). */
const lengthBytes = (length: number): number => (length < 128 ? 1 : length < 16_384 ? 2 : length < 2_097_152 ? 3 : 4);

/** Size of the packet of version 5 that the library makes of it (MQTT 5.0, 3.3). */
function packetBytes(topic: string, payload: string | Buffer, { qos = 0, properties }: IClientPublishOptions): number {
  let extra = 0;
  for (const [name, values] of Object.entries(properties?.userProperties ?? {}))
    for (const value of [values].flat()) extra += 5 + bytesOf(name) + bytesOf(value);
  if (properties?.messageExpiryInterval !== undefined) extra += 5;
  if (properties?.correlationData !== undefined) extra += 3 + properties.correlationData.length;
  const length = 2 + bytesOf(topic) + (qos > 0 ? 2 : 0) + lengthBytes(extra) + extra + bytesOf(payload);
  return 1 + lengthBytes(length) + length;
}
