/**
 * A broker that stores retained messages and sends them at the moment of a subscription, as mosquitto and NATS do: in order, and
 * at most as many at once as fit into a client's queue. The test decides what it refuses, delays or drops. Only QoS 0 and 1.
 */
import net from 'node:net';
import mqtt, { type IPublishPacket, type Packet } from 'mqtt-packet';

export interface FakeBroker {
  readonly url: string;
  readonly retained: Map<string, string>;
  /** User properties of retained messages. */
  readonly users: Map<string, UserProperties>;
  /** Expiry of retained messages in seconds, if they have one. */
  readonly expiries: Map<string, number>;
  /** Whether it forwards user properties, and supports No Local; some brokers do neither. */
  carriesProperties: boolean;
  /** Supports only MQTT 3.1.1. */
  isOld: boolean;
  /** Closes a connection of version 5 without an answer, as RabbitMQ before 4.0 does, or of any version. */
  endsConnections: 'none' | 'of 5' | 'all';
  /** Subscriptions to these filters are refused. */
  refuses(filter: string): boolean;
  /** Messages on these topics are never acknowledged. */
  leavesOpen(topic: string): boolean;
  answersNoSubscription: boolean;
  /** Messages on these topics are refused for lack of space (reason code 0x97, quota exceeded). */
  isFull(topic: string): boolean;
  /** The largest packet that it takes, in bytes; at a larger one it ends the connection. */
  maxPacketBytes: number;
  /** Number of messages of one client at QoS 1 that it takes before it has acknowledged the first; at one more it ends the connection. */
  receiveMaximum: number;
  /** The most that a client had in flight. */
  mostInFlight: number;
  /** Whether it announces both when it accepts a connection. */
  announcesLimits: boolean;
  /** Number of connections that it accepted. */
  connections: number;
  /** Milliseconds that an acknowledgement takes. */
  ackMs: number;
  /** It accepts connections, keeps them alive and answers nothing else. */
  isSilent: boolean;
  /** Messages on these topics are delivered to nobody. */
  keepsBack(topic: string): boolean;
  /** Whether a filter with a wildcard receives retained messages; RabbitMQ sends them to exact topics only. */
  givesToWildcards: boolean;
  /** Messages that it queues for a client which has not read them; further ones are dropped silently. */
  queue: number;
  /** Milliseconds after its answer in which it sends retained messages; 0: before. */
  lateMs: number;
  /** Delivers a message to the current subscribers, and does not retain it. */
  say(topic: string, payload: string): void;
  /** Called for every message that it takes. */
  onPublish(topic: string, payload: string): void;
  /** Ends all connections. */
  cut(): void;
  cutAllBut(clientId: string): void;
  stop(): Promise<void>;
}

/** Default of the receive maximum (MQTT 5.0, 3.2.2.3.3). */
const MOST_IN_FLIGHT = 65_535;

type UserProperties = Record<string, string | string[]>;

export async function startFakeBroker(): Promise<FakeBroker> {
  const clients = new Set<net.Socket>();
  const filters = new Map<net.Socket, Set<string>>();
  /** Clients that do not want to receive their own messages, by filter (No Local). */
  const deafToSelf = new Map<net.Socket, Set<string>>();
  const ids = new Map<string, { socket: net.Socket; takeOver(): void }>();
  const arrive = (from: net.Socket | null, { topic, payload: bytes, retain, properties }: IPublishPacket): void => {
    const payload = bytes.toString();
    const user = broker.carriesProperties ? properties?.userProperties : undefined;
    if (retain && payload === '') broker.retained.delete(topic);
    else if (retain) broker.retained.set(topic, payload);
    if (retain) broker.users.delete(topic);
    if (retain && properties?.messageExpiryInterval !== undefined)
      broker.expiries.set(topic, properties.messageExpiryInterval);
    if (retain && user !== undefined) broker.users.set(topic, user);
    if (broker.keepsBack(topic)) return;
    for (const [one, of] of filters)
      if (
        finder([...of])(topic) &&
        one.writable &&
        !(one === from && broker.carriesProperties && deafToSelf.get(one)?.has(topic))
      )
        one.write(
          mqtt.generate(messageOf(topic, payload, { retain: false, user }), {
            protocolVersion: versions.get(one) ?? 5,
          }),
        );
  };
  const versions = new Map<net.Socket, number>();
  const server = net.createServer({ noDelay: true }, (socket) => {
    clients.add(socket);
    filters.set(socket, new Set());
    deafToSelf.set(socket, new Set());
    const parser = mqtt.parser({ protocolVersion: 5 });
    let isV5 = true;
    let queued = 0;
    let inFlight = 0;
    let leaveWill = (): void => undefined;
    const send = (packet: Packet) =>
      socket.writable && socket.write(mqtt.generate(packet, { protocolVersion: isV5 ? 5 : 4 }));
    parser.on('packet', (packet) => {
      if (broker.isSilent && !['connect', 'pingreq', 'disconnect'].includes(packet.cmd ?? '')) return;
      if (packet.cmd === 'connect') {
        isV5 = packet.protocolVersion === 5;
        versions.set(socket, isV5 ? 5 : 4);
        if (broker.endsConnections === 'all' || (isV5 && broker.endsConnections === 'of 5')) {
          socket.destroy();
          return;
        }
        if (isV5 && broker.isOld) {
          socket.end(mqtt.generate({ cmd: 'connack', sessionPresent: false, returnCode: 1 }, { protocolVersion: 4 }));
          return;
        }
        ids.get(packet.clientId)?.takeOver();
        const { will } = packet;
        if (will)
          leaveWill = () =>
            arrive(null, {
              ...messageOf(will.topic, will.payload.toString(), {
                retain: true,
                user: will.properties?.userProperties,
              }),
            });
        ids.set(packet.clientId, {
          socket,
          takeOver() {
            if (isV5) send({ cmd: 'disconnect', reasonCode: 0x8e });
            socket.destroy();
          },
        });
        broker.connections++;
        const limits = {
          ...(broker.maxPacketBytes < Number.POSITIVE_INFINITY ? { maximumPacketSize: broker.maxPacketBytes } : {}),
          ...(broker.receiveMaximum < MOST_IN_FLIGHT ? { receiveMaximum: broker.receiveMaximum } : {}),
        };
        const properties = broker.announcesLimits ? { properties: limits } : {};
        send({ cmd: 'connack', sessionPresent: false, returnCode: 0, reasonCode: 0, ...properties });
      } else if (packet.cmd === 'subscribe') {
        if (broker.answersNoSubscription) return;
        const topics = packet.subscriptions.map(({ topic }) => topic);
        // Retain handling (MQTT 5.0, 3.8.3.1).
        const later = packet.subscriptions.filter(({ rh }) => isV5 && rh === 2).map(({ topic }) => topic);
        const isLater = (topic: string) => later.includes(topic);
        const granted = topics.map((topic) => (broker.refuses(topic) ? 0x87 : 0));
        for (const topic of topics.filter((topic) => !broker.refuses(topic))) filters.get(socket)?.add(topic);
        for (const { topic, nl } of packet.subscriptions) if (nl) deafToSelf.get(socket)?.add(topic);
        const wanted = topics.filter(
          (topic) => !broker.refuses(topic) && (broker.givesToWildcards || !topic.includes('+')) && !isLater(topic),
        );
        const isWanted = finder(wanted);
        const give = () => {
          for (const topic of wanted.some((filter) => filter.includes('+')) ? broker.retained.keys() : wanted) {
            const payload = broker.retained.get(topic);
            if (payload === undefined || !isWanted(topic) || broker.keepsBack(topic)) continue;
            if (queued++ < broker.queue)
              send(messageOf(topic, payload, { retain: true, user: broker.users.get(topic) }));
          }
          // A client that subscribes several times before it reads anything has one queue for all of them.
          setImmediate(() => {
            queued = 0;
          });
        };
        if (broker.lateMs > 0) setTimeout(give, broker.lateMs);
        else give();
        send({ cmd: 'suback', messageId: packet.messageId ?? 0, granted });
      } else if (packet.cmd === 'unsubscribe') {
        for (const topic of packet.unsubscriptions) filters.get(socket)?.delete(topic);
        send({ cmd: 'unsuback', messageId: packet.messageId ?? 0, granted: packet.unsubscriptions.map(() => 0) });
      } else if (packet.cmd === 'publish') {
        const { topic } = packet;
        const isFull = broker.isFull(topic);
        const end = (reasonCode: number) => {
          send({ cmd: 'disconnect', reasonCode });
          socket.end();
        };
        if (packet.qos > 0) broker.mostInFlight = Math.max(broker.mostInFlight, ++inFlight);
        if (inFlight > broker.receiveMaximum) return end(0x93);
        if (1 + lengthBytes(packet.length ?? 0) + (packet.length ?? 0) > broker.maxPacketBytes) return end(0x95);
        const acknowledge = () => {
          inFlight--;
          send({ cmd: 'puback', messageId: packet.messageId ?? 0, reasonCode: isFull ? 0x97 : 0 });
        };
        if (packet.qos === 1 && !broker.leavesOpen(topic)) {
          if (broker.ackMs > 0) setTimeout(acknowledge, broker.ackMs);
          else acknowledge();
        }
        if (!isFull) broker.onPublish(topic, packet.payload.toString());
        if (!isFull) arrive(socket, packet);
      } else if (packet.cmd === 'pingreq') send({ cmd: 'pingresp' });
      else if (packet.cmd === 'disconnect') {
        leaveWill = () => undefined;
        socket.end();
      }
    });
    socket.on('data', (bytes) => parser.parse(bytes));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clients.delete(socket);
      filters.delete(socket);
      for (const [id, one] of ids) if (one.socket === socket) ids.delete(id);
      leaveWill();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const broker: FakeBroker = {
    url: `mqtt://127.0.0.1:${(server.address() as net.AddressInfo).port}`,
    retained: new Map(),
    users: new Map(),
    expiries: new Map(),
    carriesProperties: true,
    isOld: false,
    endsConnections: 'none',
    refuses: () => false,
    leavesOpen: () => false,
    isSilent: false,
    answersNoSubscription: false,
    isFull: () => false,
    maxPacketBytes: Number.POSITIVE_INFINITY,
    receiveMaximum: MOST_IN_FLIGHT,
    mostInFlight: 0,
    announcesLimits: true,
    connections: 0,
    ackMs: 0,
    keepsBack: () => false,
    onPublish: () => undefined,
    givesToWildcards: true,
    queue: 1_000,
    lateMs: 0,
    say: (topic, payload) => arrive(null, messageOf(topic, payload, { retain: false, user: undefined })),
    cut() {
      for (const socket of clients) socket.destroy();
    },
    cutAllBut(clientId) {
      for (const [id, { socket }] of ids) if (id !== clientId) socket.destroy();
    },
    stop() {
      broker.cut();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
  return broker;
}

const messageOf = (
  topic: string,
  payload: string,
  { retain, user }: { retain: boolean; user?: UserProperties | undefined },
): IPublishPacket => ({
  ...{ cmd: 'publish', topic, payload, qos: 0, dup: false, retain },
  ...(user === undefined ? {} : { properties: { userProperties: user } }),
});

/** Bytes of the field "remaining length" (MQTT 5.0, 1.5.5). */
const lengthBytes = (length: number): number => Math.max(1, Math.ceil(Math.log2(length + 1) / 7));

/** Exact topics, and filters with `+`. */
function finder(filters: readonly string[]): (topic: string) => boolean {
  const exact = new Set(filters);
  const patterns = filters.filter((filter) => filter.includes('+')).map((filter) => filter.split('/'));
  const fits = (pattern: readonly string[], levels: readonly string[]) =>
    pattern.length === levels.length && pattern.every((one, at) => one === '+' || one === levels[at]);
  return (topic) => exact.has(topic) || patterns.some((pattern) => fits(pattern, topic.split('/')));
}
