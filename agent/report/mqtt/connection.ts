/** The way to the broker: kept open, presence on it, and who else uses this host's name. */
import { randomBytes } from 'node:crypto';
import type { MqttClient } from 'mqtt';
import { asAgentError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import type { Clock } from '../../system/clock.ts';
import { type BrokerSettings, connectBroker } from '../../system/mqtt.ts';
import { TooLarge } from '../../system/mqtt-limit.ts';
import { createName } from './name.ts';
import { createNotices } from './notices.ts';
import { type BrokerProblem, isRefusal, said } from './refusals.ts';
import type { Topics } from './topics.ts';

export interface ConnectionOptions {
  broker: BrokerSettings;
  host: string;
  clientId: string;
  /** Of a short look at whether another agent uses this host's name. */
  probeId: string;
  /** `presence` says `online` while we are, `offline` otherwise. */
  topics: Pick<Topics, 'presence' | 'index' | 'ask' | 'answers' | 'notices'>;
  clock: Clock;
  log: Log;
  random(): number;
  onMessage(topic: string, payload: string): void;
  /** A connection is there, and presence has been said. */
  onUp(link: Link): void;
  /** `problems` answers otherwise than before. */
  onProblems(): void;
  /** How soon after a take-over to look whether the other one left. */
  probeMs?: number;
}

/** One connection, from its beginning to its end. */
export interface Link {
  up(): boolean;
  /** True when the broker took it, false when it refused it, which is a problem from then on. Throws when the connection ends first. */
  publish(topic: string, payload: string, how: { retain: boolean }): Promise<boolean>;
}

export interface Connection {
  start(): void;
  problems(): readonly BrokerProblem[];
  /** Says `offline` and ends, within 3 s. */
  stop(): Promise<void>;
}

const CONNECT_TIMEOUT_MS = 10_000;
const FIRST_WAIT_MS = 1_000;
const LAST_WAIT_MS = 60_000;
const GOODBYE_MS = 3_000;
const PROBE_MS = 60_000;
const LAST_PROBE_MS = 600_000;
/** Whoever has our name is asked so often, and has so long for each answer: it may only just be connected. */
const ASKED = 5;
const ANSWER_MS = 1_000;
/** A name that somebody seems to have is tried all the same so often: what is said on a topic is no proof. */
const RETURN_MS = 3_600_000;
/** A push notice is a topic and 40 letters. */
const MAX_PACKET_BYTES = 16 * 1024;
/** Letters of a notice that count. */
const MAX_TEXT = 100;
/** Reason code 0x8E, session taken over (MQTT 5.0, 3.14.2.1): another agent uses this host's name. */
const TAKEN_OVER = 0x8e;

class TakenOver extends Error {}

export function createConnection(options: ConnectionOptions): Connection {
  const { broker, clock, log } = options;
  const { presence, ask, answers } = options.topics;
  const stopper = new AbortController();
  const stopped = new Promise<'stopped'>((resolve) =>
    stopper.signal.addEventListener('abort', () => resolve('stopped'), { once: true }),
  );
  /** What the broker did not allow on this connection: topic → problem. */
  const refused = new Map<string, BrokerProblem>();
  const notices = createNotices({
    topic: options.topics.notices,
    clock,
    report: (problem) => refuse(options.topics.notices, problem),
  });
  let trouble: BrokerProblem | null = null;
  let finished: Promise<void> = Promise.resolve();

  function note(problem: BrokerProblem | null): void {
    if (problem && problem.message !== trouble?.message) log.warn({ reason: problem.reason }, problem.message);
    const changed = problem?.message !== trouble?.message;
    trouble = problem;
    if (changed) options.onProblems();
  }

  function refuse(topic: string, problem: BrokerProblem | null): void {
    if (refused.get(topic)?.message === problem?.message) return;
    if (problem) log.warn({ reason: problem.reason }, problem.message);
    if (problem) refused.set(topic, problem);
    else refused.delete(topic);
    options.onProblems();
  }

  /** Until it ends; throws why, or returns when we are stopped. */
  async function session(): Promise<void> {
    const client = await connectBroker({
      broker,
      clientId: options.clientId,
      will: { topic: presence, payload: 'offline' },
      timeoutMs: CONNECT_TIMEOUT_MS,
      maxPacketBytes: MAX_PACKET_BYTES,
      signal: stopper.signal,
    });
    const ended = endOf(client, options);
    const lost = ended.then((why) => Promise.reject(why));
    // The library calls a connection that was ended by us connected for a while.
    let live = true;
    const over = new AbortController();
    lost.catch(() => {
      live = false;
    });
    const link: Link = {
      up: () => live && client.connected,
      async publish(topic, payload, { retain }) {
        try {
          // The library leaves what it could not send unanswered when the connection ends.
          await Promise.race([client.publishAsync(topic, payload, { qos: 1, retain }), lost]);
          refuse(topic, null);
          return true;
        } catch (thrown) {
          if (!isRefusal(thrown)) throw thrown;
          const message = `the broker refuses what this host says on ${topic} (${said(thrown)}); allow it there`;
          refuse(topic, { reason: 'PublishRefused', message });
          return false;
        }
      },
    };
    try {
      if (stopper.signal.aborted) return;
      const name = createName({ client, topics: options.topics, clock, signal: stopper.signal });
      client.on('message', (topic, payload) => {
        const text = payload
          .subarray(0, MAX_TEXT * 4)
          .toString('utf8')
          .slice(0, MAX_TEXT);
        if (topic === presence || topic === ask) name.heard(topic, text);
        else if (notices.takes(topic.length + payload.length)) options.onMessage(topic, text);
      });
      await link.publish(presence, 'online', { retain: true });
      await link.publish(options.topics.index, options.host, { retain: true });
      log.info({ broker: broker.url }, 'connected to the broker');
      note(null);
      options.onUp(link);
      await Promise.race([notices.listen(client), lost]);
      if (!notices.isDeaf()) await Promise.race([name.listen(), lost]);
      await Promise.race([notices.stayTuned(client, over.signal), lost, stopped]);
    } finally {
      if (stopper.signal.aborted && client.connected) {
        const goodbye = link.publish(presence, 'offline', { retain: true }).then(() => client.endAsync());
        await Promise.race([goodbye.catch(() => undefined), clock.sleep(GOODBYE_MS)]);
      }
      live = false;
      over.abort();
      client.end(true);
    }
  }

  async function keepConnected(): Promise<void> {
    for (let wait = FIRST_WAIT_MS; !stopper.signal.aborted; wait = Math.min(wait * 2, LAST_WAIT_MS)) {
      const began = clock.monotonic();
      try {
        await session();
      } catch (thrown) {
        if (stopper.signal.aborted) return;
        if (thrown instanceof TooLarge) notices.deafen();
        const { message } = asAgentError(thrown, { code: 'BrokerUnreachable', phase: 'report' });
        note({ reason: thrown instanceof TakenOver ? 'NameTaken' : 'BrokerUnreachable', message });
        if (thrown instanceof TakenOver) {
          await standAside();
          wait = FIRST_WAIT_MS / 2;
          continue;
        }
        if (clock.monotonic() - began > LAST_WAIT_MS) wait = FIRST_WAIT_MS;
      }
      await pause(wait);
    }
  }

  const pause = (ms: number) => clock.sleep(ms * (0.5 + options.random() / 2), stopper.signal);

  /** Two that take over from each other would go on for ever: whoever was first leaves the name to the other. */
  async function standAside(): Promise<void> {
    const began = clock.monotonic();
    for (let wait = options.probeMs ?? PROBE_MS; !stopper.signal.aborted; wait = Math.min(wait * 2, LAST_PROBE_MS)) {
      await pause(wait);
      if (stopper.signal.aborted) return;
      const other = await probe().catch(() => 'unknown' as const);
      // Where we may not look, trying is all that is left, seldom; and nobody keeps us away for ever.
      if (other === 'gone' || (other === 'unknown' && wait >= LAST_PROBE_MS)) return;
      if (clock.monotonic() - began >= RETURN_MS) return;
    }
  }

  /** Whether an agent is there under our name now: it answers a word that nobody can know before. Asked under another id. */
  async function probe(): Promise<'there' | 'gone'> {
    const clientId = options.probeId;
    const word = randomBytes(16).toString('hex');
    const client = await connectBroker({
      broker,
      clientId,
      timeoutMs: CONNECT_TIMEOUT_MS,
      maxPacketBytes: MAX_PACKET_BYTES,
      signal: stopper.signal,
    });
    try {
      const heard = new Promise<'there'>((resolve) =>
        client.on('message', (_topic, payload) => payload.toString('utf8') === word && resolve('there')),
      );
      const ended = endOf(client, options).then((why) => Promise.reject(why));
      ended.catch(() => undefined);
      await Promise.race([client.subscribeAsync(answers, { qos: 1 }), ended]);
      for (let times = 0; times < ASKED; times++) {
        await Promise.race([client.publishAsync(ask, word, { qos: 1 }), ended]);
        const late = clock.sleep(ANSWER_MS, stopper.signal).then(() => 'gone' as const);
        if ((await Promise.race([heard, ended, late])) === 'there') return 'there';
      }
      return 'gone';
    } finally {
      client.end(true);
    }
  }

  return {
    start() {
      finished = keepConnected();
    },
    problems: () => [...(trouble ? [trouble] : []), ...refused.values()],
    async stop() {
      stopper.abort();
      await Promise.race([finished, clock.sleep(GOODBYE_MS)]);
    },
  };
}

/** Resolves with the reason when the connection has ended. */
function endOf(client: MqttClient, { broker, host }: ConnectionOptions): Promise<Error> {
  return new Promise((resolve) => {
    const lost = new Error(`the connection to ${broker.url} was lost`);
    client.on('disconnect', (packet) => {
      if (packet.reasonCode === TAKEN_OVER)
        resolve(
          new TakenOver(
            `another agent took over as host ${host}: two machines use one name; run \`systemctl disable --now fairlead\` on the one that was replaced, or give one of them its own \`host:\` in agent.yaml`,
          ),
        );
    });
    client.on('error', (error) => {
      if (error instanceof TooLarge) resolve(error);
    });
    client.once('close', () => resolve(lost));
    if (!client.connected) resolve(lost);
  });
}
