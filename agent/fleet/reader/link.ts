/**
 * The interface of a connection to a broker, as small as a reader of the fleet needs it. `linkOf` makes one from a client of the mqtt
 * library, over TCP and TLS in Node or over a websocket in a browser; the reader itself uses no network, file or process.
 */

export interface LinkMessage {
  topic: string;
  payload: string;
  /** Size of topic and payload in bytes. */
  bytes: number;
  /** The message was retained and is sent because of a subscription. */
  isRetained: boolean;
}

export interface LinkListener {
  message(message: LinkMessage): void;
  /** Called for every packet, answer or message. */
  packet(): void;
  /** Called when the connection has ended. */
  closed(): void;
}

export interface BrokerLink {
  /** URL of the broker, for messages. */
  readonly url: string;
  /** Version of MQTT. In version 5 messages may expire, and a subscription may omit retained messages. */
  readonly version: 4 | 5;
  isOpen(): boolean;
  /** To be called once, before any request. */
  listen(on: LinkListener): void;
  /**
   * At QoS 0. @param how by default what is retained under the filters comes, too; it can be left out in version 5 alone
   * @returns when the broker has granted all of them. Rejects if it refuses one; may stay open if the connection ends
   */
  subscribe(filters: readonly string[], how?: { retained: boolean }): Promise<void>;
  unsubscribe(filters: readonly string[]): void;
  /** @returns when it is sent (QoS 0) or acknowledged (1). Rejects if it is refused; may stay open if the connection ends */
  publish(topic: string, payload: string, how: PublishHow): Promise<void>;
  close(): void;
}

export interface PublishHow {
  qos: 0 | 1;
  retain?: boolean;
  /** Seconds after which the broker deletes it, in version 5. */
  expirySeconds?: number;
}

/** The part of a connected client of the mqtt library that `linkOf` needs. */
export interface LinkClient {
  readonly connected: boolean;
  readonly options: { protocolVersion?: number | undefined };
  on(event: 'message', listener: (topic: string, payload: Bytes, packet: { retain: boolean }) => void): unknown;
  on(event: 'close' | 'packetreceive', listener: () => void): unknown;
  subscribeAsync(topics: string[], options: { qos: 0; rh?: number }): Promise<unknown>;
  unsubscribe(topics: string[]): unknown;
  publishAsync(
    topic: string,
    payload: string,
    options: { qos: 0 | 1; retain: boolean; properties?: { messageExpiryInterval: number } },
  ): Promise<unknown>;
  end(force: boolean): unknown;
}

interface Bytes {
  readonly length: number;
  toString(): string;
}

/** MQTT 5.0, 3.8.3.1, retain handling: "do not send retained messages at the time of the subscribe". */
const NOT_RETAINED = 2;

export function linkOf(client: LinkClient, url: string): BrokerLink {
  const version = client.options.protocolVersion === 5 ? 5 : 4;
  return {
    url,
    version,
    isOpen: () => client.connected,
    listen({ message, packet, closed }) {
      client.on('message', (topic, payload, { retain }) =>
        message({ topic, payload: payload.toString(), bytes: topic.length + payload.length, isRetained: retain }),
      );
      client.on('packetreceive', packet);
      client.on('close', closed);
      if (!client.connected) closed();
    },
    async subscribe(filters, { retained } = { retained: true }) {
      await client.subscribeAsync([...filters], { qos: 0, ...(retained || version === 4 ? {} : { rh: NOT_RETAINED }) });
    },
    unsubscribe: (filters) => void client.unsubscribe([...filters]),
    async publish(topic, payload, { qos, retain = false, expirySeconds }) {
      const expires =
        version === 5 && expirySeconds !== undefined ? { properties: { messageExpiryInterval: expirySeconds } } : {};
      await client.publishAsync(topic, payload, { qos, retain, ...expires });
    },
    close: () => void client.end(true),
  };
}
