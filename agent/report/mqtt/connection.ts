/** The way to the broker: kept open, presence on it, and who else uses this host's name. */
import type { MqttClient } from 'mqtt';
import { asAgentError } from '../../errors.ts';
import type { Log } from '../../log.ts';
import type { Clock } from '../../system/clock.ts';
import { type BrokerSettings, connectBroker } from '../../system/mqtt.ts';

export interface ConnectionOptions {
  broker: BrokerSettings;
  host: string;
  clientId: string;
  /** Of a short look at whether another agent uses this host's name. */
  probeId: string;
  /** Says `online` while we are, `offline` otherwise. */
  presence: string;
  /** Heard while connected. */
  subscription: string;
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

export interface BrokerProblem {
  reason: 'BrokerUnreachable' | 'NameTaken' | 'SubscriptionRefused' | 'PublishRefused';
  message: string;
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
/** For a retained message after its subscription was granted. */
const RETAINED_MS = 2_000;
/** Reason code 0x8E, session taken over (MQTT 5.0, 3.14.2.1): another agent uses this host's name. */
const TAKEN_OVER = 0x8e;

class TakenOver extends Error {}

export function createConnection(options: ConnectionOptions): Connection {
  const { broker, clock, log, presence } = options;
  const stopper = new AbortController();
  const stopped = new Promise<'stopped'>((resolve) =>
    stopper.signal.addEventListener('abort', () => resolve('stopped'), { once: true }),
  );
  /** What the broker did not allow on this connection: topic → problem. */
  const refused = new Map<string, BrokerProblem>();
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
      signal: stopper.signal,
    });
    const ended = endOf(client, options);
    const lost = ended.then((why) => Promise.reject(why));
    // The library calls a connection that was ended by us connected for a while.
    let live = true;
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
      client.on('message', (topic, payload) => options.onMessage(topic, payload.toString('utf8').slice(0, 100)));
      await link.publish(presence, 'online', { retain: true });
      log.info({ broker: broker.url }, 'connected to the broker');
      note(null);
      options.onUp(link);
      await Promise.race([subscribe(client), lost]);
      await Promise.race([lost, stopped]);
    } finally {
      if (stopper.signal.aborted && client.connected) {
        const goodbye = link.publish(presence, 'offline', { retain: true }).then(() => client.endAsync());
        await Promise.race([goodbye.catch(() => undefined), clock.sleep(GOODBYE_MS)]);
      }
      live = false;
      client.end(true);
    }
  }

  /** What is refused is a problem, and no reason to go. */
  async function subscribe(client: MqttClient): Promise<void> {
    const topic = options.subscription;
    try {
      await client.subscribeAsync(topic, { qos: 1 });
      refuse(topic, null);
    } catch (thrown) {
      if (!isRefusal(thrown)) throw thrown;
      const message = `the broker does not let this host hear ${topic} (${said(thrown)}): push notices do not arrive, the schedule goes on; allow it there`;
      refuse(topic, { reason: 'SubscriptionRefused', message });
    }
  }

  async function keepConnected(): Promise<void> {
    for (let wait = FIRST_WAIT_MS; !stopper.signal.aborted; wait = Math.min(wait * 2, LAST_WAIT_MS)) {
      const began = clock.monotonic();
      try {
        await session();
      } catch (thrown) {
        if (stopper.signal.aborted) return;
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
    for (let wait = options.probeMs ?? PROBE_MS; !stopper.signal.aborted; wait = Math.min(wait * 2, LAST_PROBE_MS)) {
      await pause(wait);
      if (stopper.signal.aborted) return;
      const other = await probe().catch(() => 'unknown' as const);
      // Where we may not look, trying is all that is left, seldom.
      if (other === 'gone' || (other === 'unknown' && wait >= LAST_PROBE_MS)) return;
    }
  }

  /** Whether the other agent is still there, seen under an id that takes nothing over. */
  async function probe(): Promise<'there' | 'gone'> {
    const client = await connectBroker({ broker, clientId: options.probeId, timeoutMs: CONNECT_TIMEOUT_MS });
    try {
      const heard = new Promise<string>((resolve) =>
        client.once('message', (_topic, payload) => resolve(payload.toString('utf8'))),
      );
      const ended = endOf(client, options).then((why) => Promise.reject(why));
      ended.catch(() => undefined);
      await Promise.race([client.subscribeAsync(presence, { qos: 1 }), ended]);
      const word = await Promise.race([heard, ended, clock.sleep(RETAINED_MS, stopper.signal).then(() => '')]);
      return word === 'online' ? 'there' : 'gone';
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
            `another agent took over as host ${host}: two machines use one name; give one of them its own \`host:\``,
          ),
        );
    });
    client.once('close', () => resolve(lost));
    if (!client.connected) resolve(lost);
  });
}

/** The broker answered, and the answer was no (MQTT 5.0, 2.4: reason codes from 0x80 on), as opposed to no answer. */
function isRefusal(thrown: unknown): boolean {
  const { code, packet } = (thrown ?? {}) as { code?: unknown; packet?: { cmd?: unknown } };
  return (typeof code === 'number' && code >= 0x80) || packet?.cmd === 'suback';
}

const said = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown));
