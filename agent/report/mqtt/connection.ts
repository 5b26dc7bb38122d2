/**
 * Keeps the connection to the broker open, with presence on it, and yields to another agent with this host's name.
 * Publishing itself is in link.ts.
 */
import type { ReceivedCommand } from '../../core/channel.ts';
import { asAgentError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import type { Clock } from '../../system/clock.ts';
import { type BrokerSettings, connectBroker } from '../../system/mqtt.ts';
import { TooLarge } from '../../system/mqtt-limit.ts';
import { createBrokerProblems } from './broker-problems.ts';
import { createCommandSubscription } from './commands.ts';
import { createLink, type Link } from './link.ts';
import { createName, writtenBy } from './name.ts';
import { createNameConflict, endOf, LAST_PROBE_MS, TakenOver } from './name-conflict.ts';
import { createNotices } from './notices.ts';
import type { BrokerProblem } from './refusals.ts';
import { createRetry } from './retry.ts';
import type { Topics } from './topics.ts';

export interface ConnectionOptions {
  broker: BrokerSettings;
  host: string;
  /** Random id of this agent: presence carries it. */
  instance: string;
  clientId: string;
  /** Client id of a short check whether another agent uses this host's name. */
  probeId: string;
  /** `presence` says `online` while we are, `offline` otherwise. */
  topics: Pick<Topics, 'presence' | 'index' | 'ask' | 'answers' | 'notices' | 'commands' | 'replies'>;
  clock: Clock;
  log: Log;
  random(): number;
  onMessage(topic: string, payload: string): void;
  /** Null if this host follows no commands: then it does not subscribe. */
  onCommand: ((received: ReceivedCommand) => void) | null;
  /** A connection is there, and presence has been said. */
  onUp(link: Link): void;
  /** Called if the result of `problems` has changed. */
  onProblems(): void;
  /** Time from a take-over to the first check whether the other agent left. */
  probeMs?: number;
  /** Time that the broker has for each answer. */
  answerMs?: number;
}

export interface Connection {
  start(): void;
  problems(): readonly BrokerProblem[];
  /** Publishes `offline` and ends, within 3 s. */
  stop(): Promise<void>;
}

const CONNECT_TIMEOUT_MS = 10_000;
const GOODBYE_MS = 3_000;
const NAME_DEAF_MS = 600_000;
/** A connection to a broker of 3.1.1 that ends sooner, twice in a row, may have been taken over: such a broker does not say so. */
const BRIEF_MS = 60_000;
/** A push notice is a topic and 40 letters. */
const MAX_PACKET_BYTES = 16 * 1024;
/** Letters of a notice that count. */
const MAX_TEXT = 100;

export function createConnection(options: ConnectionOptions): Connection {
  const { broker, clock, log } = options;
  const { presence } = options.topics;
  const stopper = new AbortController();
  const problems = createBrokerProblems({ log, changed: options.onProblems });
  const notices = createNotices({
    topic: options.topics.notices,
    clock,
    report: (problem) => problems.refused(options.topics.notices, problem),
  });
  let nameDeafUntil = Number.NEGATIVE_INFINITY;
  const [commandTopic = ''] = options.topics.commands;
  const commands =
    options.onCommand &&
    createCommandSubscription({
      ...{ topics: options.topics, clock, heard: options.onCommand },
      report: (problem) => problems.refused(commandTopic, problem),
    });
  /** When the connection that there is, or was last, was made; null for an attempt that made none. */
  let upSince: number | null = null;
  /** The broker of the last connection knows MQTT 3.1.1 only. */
  let isOld = false;
  let finished: Promise<void> = Promise.resolve();
  const reach = {
    ...{ broker, timeoutMs: CONNECT_TIMEOUT_MS, maxPacketBytes: MAX_PACKET_BYTES, signal: stopper.signal },
    ...(options.answerMs === undefined ? {} : { answerMs: options.answerMs }),
  };
  const nameConflict = createNameConflict({
    ...options,
    connect: { ...reach, clientId: options.probeId },
    signal: stopper.signal,
  });

  /** Until it ends; throws the cause, or returns when we are stopped. */
  async function session(): Promise<void> {
    const client = await connectBroker({
      ...reach,
      clientId: options.clientId,
      will: { topic: presence, payload: 'offline', user: writtenBy(options.instance) },
    });
    upSince = clock.monotonic();
    isOld = client.options.protocolVersion !== 5;
    const ended = endOf(client, options);
    const lost = ended.then((why) => Promise.reject(why));
    const over = new AbortController();
    // One for each connection: a promise that outlives them would keep a listener of each.
    const stopped = new Promise<void>((resolve) =>
      stopper.signal.addEventListener('abort', () => resolve(), { once: true, signal: over.signal }),
    );
    /** The name is left to another agent. */
    let isOthers = false;
    const link = createLink({ client, lost, refused: problems.refused });
    try {
      if (stopper.signal.aborted) return;
      const { topics, instance } = options;
      const name = createName({ client, topics, instance, clock, signal: stopper.signal });
      client.on('message', (topic, payload, packet) => {
        if (commands?.receive(topic, payload, packet)) return;
        const text = payload
          .subarray(0, MAX_TEXT * 4)
          .toString('utf8')
          .slice(0, MAX_TEXT);
        if (name.heard(topic, text, packet)) return;
        if (notices.takes(topic.length + payload.length)) options.onMessage(topic, text);
      });
      await link.publish(presence, 'online', { retain: true, user: writtenBy(instance) });
      await link.publish(topics.index, options.host, { retain: true });
      log.info({ broker: broker.url }, 'connected to the broker');
      problems.trouble(null);
      options.onUp(link);
      await Promise.race([notices.listen(client), lost]);
      await Promise.race([commands?.listen(client), lost]);
      if (isNameHeard()) await Promise.race([name.listen(), lost]);
      const other = name.taken.then(() => {
        isOthers = true;
        throw new TakenOver(options.host);
      });
      const ears = [notices, ...(commands ? [commands] : [])];
      await Promise.race([...ears.map((one) => one.stayTuned(client, over.signal)), lost, other, stopped]);
    } finally {
      if (stopper.signal.aborted && client.connected) {
        const goodbye = link
          .publish(presence, 'offline', { retain: true, user: writtenBy(options.instance) })
          .then(() => client.endAsync());
        await Promise.race([goodbye.catch(() => undefined), clock.sleep(GOODBYE_MS)]);
      }
      link.down();
      over.abort();
      // A connection that is cut leaves its will, which would be no true word on the other one.
      if (isOthers) await Promise.race([client.endAsync().catch(() => undefined), clock.sleep(GOODBYE_MS)]);
      client.end(true);
    }
  }

  async function keepConnected(): Promise<void> {
    const retry = createRetry(options.random);
    /** Number of take-overs soon after a return: somebody uses this client id and does not answer. */
    let returned = false;
    let yields = 0;
    let brief = 0;
    while (!stopper.signal.aborted) {
      upSince = null;
      try {
        await session();
      } catch (thrown) {
        if (stopper.signal.aborted) return;
        if (thrown instanceof TooLarge) tooLarge();
        const { message } = asAgentError(thrown, { code: 'BrokerUnreachable', phase: 'report' });
        problems.trouble({ reason: thrown instanceof TakenOver ? 'NameTaken' : 'BrokerUnreachable', message });
        if (thrown instanceof TakenOver) {
          yields = returned && upFor() < LAST_PROBE_MS ? yields + 1 : 0;
          returned = true;
          await nameConflict.giveWay(yields);
          continue;
        }
        if (upSince !== null) {
          retry.lost(upFor());
          brief = isOld && upFor() < BRIEF_MS ? brief + 1 : 0;
        }
      }
      await clock.sleep(retry.next(), stopper.signal);
      if (brief < 2 || stopper.signal.aborted || (await nameConflict.look()) !== 'there') continue;
      problems.trouble({ reason: 'NameTaken', message: new TakenOver(options.host).message });
      await nameConflict.giveWay(0);
      brief = 0;
    }
  }

  /** The oversized packet came most likely on a topic of the push notices; if those were not subscribed, on one of the name. */
  function tooLarge(): void {
    if (notices.isDeaf()) nameDeafUntil = clock.monotonic() + NAME_DEAF_MS;
    notices.deafen();
    commands?.deafen();
  }
  const isNameHeard = () => clock.monotonic() >= nameDeafUntil;
  const upFor = (): number => (upSince === null ? 0 : clock.monotonic() - upSince);
  return {
    start() {
      finished = keepConnected();
    },
    problems: problems.all,
    async stop() {
      stopper.abort();
      await Promise.race([finished, clock.sleep(GOODBYE_MS)]);
    },
  };
}
