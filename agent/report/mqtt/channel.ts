/** MQTT as a channel: retained topics, events at QoS 1, presence with a Last Will, push notices. */
import { type Answer, type Channel, type ChannelListener, UNCONFIRMED } from '../../core/channel.ts';
import { AgentError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import type { Clock } from '../../system/clock.ts';
import type { BrokerSettings } from '../../system/mqtt.ts';
import type { Announced } from './announce.ts';
import { createConnection } from './connection.ts';
import type { Link, Publishing } from './link.ts';
import { topicsOf } from './topics.ts';

export const BROKER = 'broker';

/**
 * The broker forgets a status that was not repeated for this time. A status is repeated every ten minutes, so this concerns
 * hosts that are gone: they stay in the index, `offline`, and keep their last status for a month, as after a holiday or a
 * repair.
 */
const STATUS_EXPIRY_S = 30 * 86_400;

export interface MqttChannelOptions {
  broker: BrokerSettings;
  /** First part of every topic. */
  prefix: string;
  fleet: string;
  host: string;
  /** The ref of which push notices are heard. */
  ref: string;
  /** Whether this host follows any commands. */
  commands?: boolean;
  /** Random, new at every start of the agent. */
  instance: string;
  clock: Clock;
  log: Log;
  random(): number;
  /** Time from a take-over of this host's name to the first check whether the other agent left. */
  probeMs?: number;
  /** Time that the broker has for each answer; default 30 s. */
  answerMs?: number;
  /** Home Assistant's discovery. `prefix` null: the former document is deleted. */
  homeAssistant?: { prefix: string | null; version: string; announced: Announced };
}

export function createMqttChannel(options: MqttChannelOptions): Channel {
  const topics = topicsOf(options);
  const clientId = options.broker.clientId ?? `fairlead-${options.fleet}-${options.host}`;
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
    onCommand: options.commands ? (received) => listener?.command?.(received) : null,
    onUp(opened) {
      link = opened;
      listener?.opened();
      void announceHost(opened);
    },
    onProblems: () => listener?.problemsChanged(),
  });

  /** Load nothing for a host that was never announced. */
  async function announceHost(to: Link): Promise<void> {
    const { homeAssistant, log } = options;
    if (homeAssistant === undefined) return;
    const { prefix, version, announced } = homeAssistant;
    if (prefix === null && announced.topics().length === 0) return;
    const [{ announce }, { discoveryOf }] = await Promise.all([import('./announce.ts'), import('./home-assistant.ts')]);
    const wanted = prefix === null ? null : discoveryOf({ ...options, prefix, version, topics });
    await announce({ link: to, announced, wanted, log });
  }

  async function publish(topic: string, document: unknown, how: Publishing): Promise<Answer> {
    if (link === null || !isOpen()) throw unsent('there is no connection to the broker');
    try {
      return await link.publish(topic, JSON.stringify(document), how);
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
    retain: (name, document) =>
      publish(topics.retained(name), document, {
        retain: true,
        qos: UNCONFIRMED.includes(name) ? 0 : 1,
        ...(name === 'status' ? { expirySeconds: STATUS_EXPIRY_S } : {}),
      }),
    send: (event) => publish(topics.events, event, { retain: false }),
    reply: ({ place, correlation }, result) =>
      publish(place ?? `${topics.replies}/${result.id}`, result, {
        ...{ retain: false, correlation, shownAs: `${topics.replies}/#` },
      }),
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
