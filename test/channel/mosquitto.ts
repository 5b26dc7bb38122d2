/**
 * A real broker as the far end of a channel: connections pass through a proxy in this process, which cuts them and observes the
 * traffic; another client of the broker reports what arrived.
 */
import net from 'node:net';
import mqtt from 'mqtt';
import packet from 'mqtt-packet';
import { silentLog } from '../../agent/log.ts';
import { createMqttChannel } from '../../agent/report/mqtt/channel.ts';
import { createMqttProbe } from '../../agent/report/mqtt/probe.ts';
import { systemClock } from '../../agent/system/clock.ts';
import { until } from '../lab/run.ts';
import type { FarEnd } from './contract.ts';

export interface MosquittoOptions {
  host: string;
  port: number;
  /** First part of all topics: one for each far end, so that none sees the topics of another. */
  prefix: string;
  /** When it resolves, the broker refuses exactly these topics. */
  deny(topics: readonly string[]): Promise<void>;
}

export async function createMosquittoFarEnd({ host, port, prefix, deny }: MosquittoOptions): Promise<FarEnd> {
  const base = `${prefix}/f/hosts/h`;
  const heard = new Map<string, string>();
  const events: number[] = [];
  const observer = await mqtt.connectAsync(`mqtt://${host}:${port}`, { protocolVersion: 5 });
  const replies: { id: string; correlation: string }[] = [];
  observer.on('message', (topic, payload, { properties }) => {
    if (topic.startsWith(`${prefix}/f/replies/`))
      replies.push({
        id: (JSON.parse(payload.toString()) as { id: string }).id,
        correlation: properties?.correlationData?.toString() ?? '',
      });
    heard.set(topic, payload.toString());
    if (topic === `${base}/events`) events.push((JSON.parse(payload.toString()) as { seq: number }).seq);
  });
  await observer.subscribeAsync(`${prefix}/#`, { qos: 1 });
  let marks = 0;

  const open = new Set<net.Socket>();
  const proxy = net.createServer((socket) => {
    const onward = net.connect(port, host);
    for (const [end, other] of [
      [socket, onward],
      [onward, socket],
    ] as const) {
      open.add(end);
      end.on('error', () => undefined);
      end.on('close', () => {
        open.delete(end);
        other.destroy();
      });
    }
    const parser = packet.parser({ protocolVersion: 5 });
    parser.on('packet', (said) => {
      if (said.cmd === 'publish') far.onArrival?.(said.topic.slice(said.topic.lastIndexOf('/') + 1));
    });
    socket.on('data', (bytes) => {
      parser.parse(bytes);
      if (!socket.destroyed) onward.write(bytes);
    });
    onward.pipe(socket);
  });
  const listen = (at: number) => new Promise<void>((resolve) => proxy.listen(at, '127.0.0.1', resolve));
  await listen(0);
  const address = proxy.address() as net.AddressInfo;
  const broker = { url: `mqtt://127.0.0.1:${address.port}` };

  const far: FarEnd = {
    channel: () =>
      createMqttChannel({
        ...{ broker, prefix, fleet: 'f', host: 'h', ref: 'main', instance: 'i', commands: true },
        ...{ clock: systemClock, log: silentLog, random: () => 0 },
      }),
    probe: () => createMqttProbe(broker),
    async caughtUp() {
      const mark = String(++marks);
      await observer.publishAsync(`${prefix}/mark`, mark, { qos: 1 });
      await until('the observer to catch up', 30_000, async () => heard.get(`${prefix}/mark`) === mark);
    },
    retained: (name) => JSON.parse(heard.get(`${base}/${name}`) ?? 'null'),
    events: () => [...events],
    presence: () => heard.get(`${base}/presence`) as 'online' | 'offline' | undefined,
    refuse: (...names) => deny(names.map((name) => `${base}/${name}`)),
    onArrival: null,
    cut() {
      for (const socket of open) socket.destroy();
    },
    async away(isAway) {
      if (!isAway) return listen(address.port);
      const closed = new Promise<void>((resolve) => proxy.close(() => resolve()));
      far.cut();
      await closed;
    },
    command: (text, correlation) =>
      void observer.publish(`${base}/commands`, text, {
        properties: { responseTopic: `${prefix}/f/replies/test`, correlationData: Buffer.from(correlation) },
      }),
    replies: () => [...replies],
    notify: (ref, payload) => void observer.publish(`${prefix}/f/refs/${encodeURIComponent(ref)}`, payload),
    async end() {
      far.cut();
      await observer.endAsync();
      await new Promise<void>((resolve) => proxy.close(() => resolve()));
      await deny([]);
    },
  };
  return far;
}
