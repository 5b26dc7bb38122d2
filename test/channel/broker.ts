/** A broker in this process that supports as much of MQTT 5 as a host uses; its refusals are those of mosquitto. */
import net from 'node:net';
import packet, { type IPublishPacket, type Packet } from 'mqtt-packet';
import { silentLog } from '../../agent/log.ts';
import { createMqttChannel } from '../../agent/report/mqtt/channel.ts';
import { createMqttProbe } from '../../agent/report/mqtt/probe.ts';
import { systemClock } from '../../agent/system/clock.ts';
import type { FarEnd } from './contract.ts';

/** Reason codes of MQTT 5.0, section 2.4. */
const NOT_AUTHORIZED = 0x87;
const TAKEN_OVER = 0x8e;

interface Client {
  id: string;
  socket: net.Socket;
  will: { topic: string; payload: Buffer } | null;
  filters: Set<string>;
}

export async function createMqttFarEnd(): Promise<FarEnd> {
  const retained = new Map<string, string>();
  const events: number[] = [];
  const clients = new Set<Client>();
  let refused: readonly string[] = [];
  const nameOf = (topic: string) => topic.slice(topic.lastIndexOf('/') + 1);

  const replies: { id: string; correlation: string }[] = [];

  const publish = (topic: string, payload: string, properties?: IPublishPacket['properties']) => {
    for (const { socket, filters } of clients)
      if (filters.has(topic))
        write(socket, {
          cmd: 'publish',
          topic,
          payload,
          qos: 0,
          retain: false,
          dup: false,
          ...(properties && { properties }),
        });
  };
  const arrive = (topic: string, payload: string, retain: boolean) => {
    if (retain) retained.set(topic, payload);
    if (topic.endsWith('/events')) events.push((JSON.parse(payload) as { seq: number }).seq);
    publish(topic, payload);
  };

  function answer(client: Client, asked: Packet): void {
    const { socket } = client;
    if (asked.cmd === 'connect') {
      client.id = asked.clientId;
      const { will } = asked;
      client.will = will ? { topic: will.topic, payload: Buffer.from(will.payload) } : null;
      for (const other of clients)
        if (other !== client && other.id === client.id) {
          write(other.socket, { cmd: 'disconnect', reasonCode: TAKEN_OVER });
          other.socket.end();
          clients.delete(other);
        }
      write(socket, { cmd: 'connack', reasonCode: 0, sessionPresent: false });
    } else if (asked.cmd === 'publish') {
      const { topic, messageId, retain } = asked;
      far.onArrival?.(nameOf(topic));
      if (socket.destroyed) return;
      const isRefused = refused.includes(nameOf(topic));
      if (!isRefused) arrive(topic, asked.payload.toString(), retain);
      if (topic.startsWith('p/f/replies/') && !isRefused)
        replies.push({
          id: (JSON.parse(asked.payload.toString()) as { id: string }).id,
          correlation: asked.properties?.correlationData?.toString() ?? '',
        });
      if (asked.qos > 0)
        write(socket, { cmd: 'puback', ...(messageId && { messageId }), reasonCode: isRefused ? NOT_AUTHORIZED : 0 });
    } else if (asked.cmd === 'subscribe') {
      for (const { topic } of asked.subscriptions) client.filters.add(topic);
      write(socket, {
        cmd: 'suback',
        ...(asked.messageId && { messageId: asked.messageId }),
        granted: asked.subscriptions.map(() => 1),
      });
      for (const { topic } of asked.subscriptions) {
        const payload = retained.get(topic);
        if (payload !== undefined) write(socket, { cmd: 'publish', topic, payload, qos: 0, retain: true, dup: false });
      }
    } else if (asked.cmd === 'unsubscribe') {
      for (const topic of asked.unsubscriptions) client.filters.delete(topic);
      write(socket, { cmd: 'unsuback', ...(asked.messageId && { messageId: asked.messageId }), granted: [0] });
    } else if (asked.cmd === 'pingreq') write(socket, { cmd: 'pingresp' });
    // A client that disconnects cleanly leaves no will (MQTT 5.0, 3.14).
    else if (asked.cmd === 'disconnect') client.will = null;
  }

  const server = net.createServer((socket) => {
    const client: Client = { id: '', socket, will: null, filters: new Set() };
    const parser = packet.parser({ protocolVersion: 5 });
    clients.add(client);
    parser.on('packet', (asked) => answer(client, asked));
    socket.on('data', (bytes) => parser.parse(bytes));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      if (clients.delete(client) && client.will) arrive(client.will.topic, client.will.payload.toString(), true);
    });
  });
  const listen = (port: number) => new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  await listen(0);
  const { port } = server.address() as net.AddressInfo;
  const broker = { url: `mqtt://127.0.0.1:${port}` };
  const base = 'p/f/hosts/h';

  const far: FarEnd = {
    channel: () =>
      createMqttChannel({
        ...{ broker, prefix: 'p', fleet: 'f', host: 'h', ref: 'main', instance: 'i', commands: true },
        ...{ clock: systemClock, log: silentLog, random: () => 0 },
      }),
    probe: () => createMqttProbe(broker),
    caughtUp: async () => undefined,
    retained: (name) => JSON.parse(retained.get(`${base}/${name}`) ?? 'null'),
    events: () => [...events],
    presence: () => retained.get(`${base}/presence`) as 'online' | 'offline' | undefined,
    async refuse(...names) {
      refused = names;
    },
    onArrival: null,
    cut() {
      for (const { socket } of clients) socket.destroy();
    },
    async away(isAway) {
      if (!isAway) return listen(port);
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      far.cut();
      await closed;
    },
    command: (text, correlation) =>
      publish('p/f/hosts/h/commands', text, {
        responseTopic: 'p/f/replies/test',
        correlationData: Buffer.from(correlation),
      }),
    replies: () => [...replies],
    notify: (ref, payload) => publish(`p/f/refs/${encodeURIComponent(ref)}`, payload),
    async end() {
      far.cut();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
  return far;
}

const write = (socket: net.Socket, said: Packet): void => {
  if (!socket.destroyed) socket.write(packet.generate(said, { protocolVersion: 5 }));
};
