/**
 * A broker that keeps what is retained and sends it the moment that somebody subscribes, as mosquitto and NATS do: in order, and
 * no more at once than fits into a client's queue. What it refuses, keeps back or drops is the test's to say. Only QoS 0 and 1.
 */
import net from 'node:net';
import mqtt, { type IPublishPacket, type Packet } from 'mqtt-packet';

export interface FakeBroker {
  readonly url: string;
  readonly retained: Map<string, string>;
  /** Subscriptions to these filters are refused. */
  refuses(filter: string): boolean;
  /** What is published on these topics is never acknowledged. */
  leavesOpen(topic: string): boolean;
  /** Messages on these topics reach nobody. */
  keepsBack(topic: string): boolean;
  /** Whether a filter with a wildcard is given what is retained; RabbitMQ gives it to exact topics alone. */
  givesToWildcards: boolean;
  /** Messages that it keeps for a client which has not read them; what is over that is dropped without a word. */
  queue: number;
  /** Milliseconds after its answer in which it sends what is retained; 0: before. */
  lateMs: number;
  /** Ends the connections that there are. */
  cut(): void;
  stop(): Promise<void>;
}

export async function startFakeBroker(): Promise<FakeBroker> {
  const clients = new Set<net.Socket>();
  const filters = new Map<net.Socket, Set<string>>();
  const server = net.createServer({ noDelay: true }, (socket) => {
    clients.add(socket);
    filters.set(socket, new Set());
    const parser = mqtt.parser({ protocolVersion: 5 });
    let isV5 = true;
    const send = (packet: Packet) =>
      socket.writable && socket.write(mqtt.generate(packet, { protocolVersion: isV5 ? 5 : 4 }));
    parser.on('packet', (packet) => {
      if (packet.cmd === 'connect') {
        isV5 = packet.protocolVersion === 5;
        send({ cmd: 'connack', sessionPresent: false, returnCode: 0, reasonCode: 0 });
      } else if (packet.cmd === 'subscribe') {
        const topics = packet.subscriptions.map(({ topic }) => topic);
        const granted = topics.map((topic) => (broker.refuses(topic) ? 0x87 : 0));
        for (const topic of topics.filter((topic) => !broker.refuses(topic))) filters.get(socket)?.add(topic);
        const wanted = finder(
          topics.filter((topic) => !broker.refuses(topic) && (broker.givesToWildcards || !topic.includes('+'))),
        );
        const give = () => {
          let left = broker.queue;
          for (const [topic, payload] of broker.retained)
            if (wanted(topic) && !broker.keepsBack(topic) && left-- > 0)
              send(messageOf(topic, payload, { retain: true }));
        };
        if (broker.lateMs > 0) setTimeout(give, broker.lateMs);
        else give();
        send({ cmd: 'suback', messageId: packet.messageId ?? 0, granted });
      } else if (packet.cmd === 'unsubscribe') {
        for (const topic of packet.unsubscriptions) filters.get(socket)?.delete(topic);
        send({ cmd: 'unsuback', messageId: packet.messageId ?? 0, granted: packet.unsubscriptions.map(() => 0) });
      } else if (packet.cmd === 'publish') {
        const { topic, retain } = packet;
        const payload = packet.payload.toString();
        if (retain && payload === '') broker.retained.delete(topic);
        else if (retain) broker.retained.set(topic, payload);
        if (packet.qos === 1 && !broker.leavesOpen(topic)) send({ cmd: 'puback', messageId: packet.messageId ?? 0 });
        if (broker.keepsBack(topic)) return;
        for (const [one, of] of filters)
          if (finder([...of])(topic) && one.writable)
            one.write(mqtt.generate(messageOf(topic, payload, { retain: false }), { protocolVersion: 5 }));
      } else if (packet.cmd === 'pingreq') send({ cmd: 'pingresp' });
      else if (packet.cmd === 'disconnect') socket.end();
    });
    socket.on('data', (bytes) => parser.parse(bytes));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clients.delete(socket);
      filters.delete(socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const broker: FakeBroker = {
    url: `mqtt://127.0.0.1:${(server.address() as net.AddressInfo).port}`,
    retained: new Map(),
    refuses: () => false,
    leavesOpen: () => false,
    keepsBack: () => false,
    givesToWildcards: true,
    queue: 1_000,
    lateMs: 0,
    cut() {
      for (const socket of clients) socket.destroy();
    },
    stop() {
      broker.cut();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
  return broker;
}

const messageOf = (topic: string, payload: string, { retain }: { retain: boolean }): IPublishPacket => ({
  ...{ cmd: 'publish', topic, payload, qos: 0, dup: false, retain },
});

/** Exact topics, and filters that end with `+`. */
function finder(filters: readonly string[]): (topic: string) => boolean {
  const all = new Set(filters);
  return (topic) => all.has(topic) || all.has(`${topic.slice(0, topic.lastIndexOf('/'))}/+`);
}
