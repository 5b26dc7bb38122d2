/** MQTT as a channel: retained topics, events at QoS 1, presence with a Last Will, push notices. */
import type { Answer, Channel, ChannelListener } from '../../core/channel.ts';
import { AgentError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import type { Clock } from '../../system/clock.ts';
import type { BrokerSettings } from '../../system/mqtt.ts';
import { createConnection, type Link } from './connection.ts';
import { topicsOf } from './topics.ts';

export const BROKER = 'broker';

export interface MqttChannelOptions {
  broker: BrokerSettings;
  /** First part of every topic. */
  prefix: string;
  fleet: string;
  host: string;
  /** The ref of which push notices are heard. */
  ref: string;
  /** Random, new at every start of the agent. */
  instance: string;
  clock: Clock;
  log: Log;
  random(): number;
  /** How soon after another agent took over this host's name to look whether it left. */
  probeMs?: number;
}

export function createMqttChannel(options: MqttChannelOptions): Channel {
  const topics = topicsOf(options);
  const clientId = `fairlead-${options.fleet}-${options.host}`;
  let link: Link | null = null;
  let listener: ChannelListener | null = null;
  let isStopped = false;
  const isOpen = () => !isStopped && (link?.up() ?? false);
  const connection = createConnection({
    ...options,
    clientId,
    probeId: `${clientId}-probe-${options.instance}`,
    topics,
    onMessage(topic, payload) {
      if (topics.isNotice(topic)) listener?.notice(payload);
    },
    onUp(opened) {
      link = opened;
      listener?.opened();
    },
    onProblems: () => listener?.problemsChanged(),
  });

  async function publish(topic: string, document: unknown, how: { retain: boolean }): Promise<Answer> {
    if (link === null || !isOpen()) throw unsent('there is no connection to the broker');
    try {
      return (await link.publish(topic, JSON.stringify(document), how)) ? 'taken' : 'refused';
    } catch (thrown) {
      throw unsent(thrown instanceof Error ? thrown.message : String(thrown), thrown);
    }
  }

  return {
    name: BROKER,
    start(given) {
      listener = given;
      connection.start();
    },
    isOpen,
    retain: (name, document) => publish(topics.retained(name), document, { retain: true }),
    send: (event) => publish(topics.events, event, { retain: false }),
    problems: () => connection.problems().map((p) => ({ id: BROKER, ...p, file: null, line: null })),
    stop() {
      isStopped = true;
      return connection.stop();
    },
  };
}

const unsent = (why: string, cause?: unknown): AgentError =>
  new AgentError({
    code: 'PublishFailed',
    phase: 'report',
    message: `cannot report to the broker: ${why}; sent again once it is connected`,
    cause,
  });
