/** Tells the broker: presence, retained status and resources, and the events of the outbox, in order. */
import type { MqttClient } from 'mqtt';
import type { StatusDocument } from '../../manifests-schema/payloads.ts';
import type { AgentEvent, ResourceStatus } from '../core/types.ts';
import { asAgentError } from '../errors.ts';
import { concerns, isPattern, shortName } from '../git/refs.ts';
import type { Log } from '../log.ts';
import type { Outbox } from '../store/outbox.ts';
import type { Clock } from '../system/clock.ts';
import { type BrokerSettings, connectBroker } from '../system/mqtt.ts';

export interface ReporterOptions {
  broker: BrokerSettings;
  prefix: string;
  host: string;
  fleet: string;
  /** The ref of which push notices are heard. */
  ref: string;
  outbox: Outbox;
  clock: Clock;
  log: Log;
  random(): number;
  /** A push notice for our ref came: the payload, as anybody may have sent it. */
  onPush(payload: string): void;
}

export interface Reporter {
  start(): void;
  /** Latest wins; sent now, or as soon as there is a broker. */
  status(document: StatusDocument): void;
  resources(resources: readonly ResourceStatus[]): void;
  /** There may be new events in the outbox. */
  wake(): void;
  /** Why the broker is not reached, or null. */
  problem(): string | null;
  /** Says `offline` and ends, within 3 s. */
  stop(): Promise<void>;
}

const CONNECT_TIMEOUT_MS = 10_000;
const FIRST_WAIT_MS = 1_000;
const LAST_WAIT_MS = 60_000;
/** Reason code 0x8E, session taken over (MQTT 5.0, 3.14.2.1): another agent uses this host's name. */
const TAKEN_OVER = 0x8e;
/** Replay after an outage: this many events, then a pause. */
const BATCH = 50;
const BATCH_PAUSE_MS = 250;

export function createReporter(options: ReporterOptions): Reporter {
  const { outbox, clock, log } = options;
  const base = `${options.prefix}/${options.fleet}/hosts/${options.host}`;
  const stopper = new AbortController();
  const latest = new Map<string, string>();
  const unsent = new Set<string>();
  let client: MqttClient | null = null;
  let trouble: string | null = 'not connected yet';
  let draining = false;
  let finished: Promise<void> = Promise.resolve();

  const retain = (topic: string, payload: string) => {
    latest.set(topic, payload);
    unsent.add(topic);
    void drain();
  };

  async function publish(to: MqttClient, topic: string, payload: string, retained: boolean): Promise<void> {
    await to.publishAsync(topic, payload, { qos: 1, retain: retained });
  }

  /** Sends what is retained, then the outbox, one event after another: a row goes only after its acknowledgement. */
  async function drain(): Promise<void> {
    if (draining) return;
    draining = true;
    try {
      while (client?.connected) {
        const to = client;
        const topic = unsent.values().next().value;
        if (topic !== undefined) {
          const payload = latest.get(topic) ?? '';
          await publish(to, topic, payload, true);
          if (latest.get(topic) === payload) unsent.delete(topic);
          continue;
        }
        const events = outbox.peek(BATCH);
        if (events.length === 0) break;
        for (const event of events) {
          if (!to.connected) break;
          await publish(to, `${base}/events`, JSON.stringify(eventPayload(options, event)), false);
          outbox.ack(event.seq);
        }
        if (events.length === BATCH) await clock.sleep(BATCH_PAUSE_MS, stopper.signal);
      }
    } catch (thrown) {
      log.debug(
        { error: asAgentError(thrown, { code: 'PublishFailed', phase: 'report' }).message },
        'publishing was interrupted',
      );
    } finally {
      draining = false;
    }
  }

  async function session(): Promise<void> {
    const connected = await connectBroker({
      broker: options.broker,
      clientId: `fairlead-${options.fleet}-${options.host}`,
      will: { topic: `${base}/presence`, payload: 'offline' },
      timeoutMs: CONNECT_TIMEOUT_MS,
    });
    let takenOver = false;
    connected.on('disconnect', (packet) => {
      takenOver = packet.reasonCode === TAKEN_OVER;
    });
    const closed = new Promise<void>((resolve) => connected.once('close', resolve));
    connected.on('message', (topic, payload) => {
      if (isForUs(topic, options.ref)) options.onPush(payload.toString('utf8').slice(0, 100));
    });
    client = connected;
    trouble = null;
    log.info({ broker: options.broker.url }, 'connected to the broker');
    await publish(connected, `${base}/presence`, 'online', true);
    await connected.subscribeAsync(`${options.prefix}/${options.fleet}/refs/${refFilter(options.ref)}`, { qos: 1 });
    for (const topic of latest.keys()) unsent.add(topic);
    void drain();
    await closed;
    client = null;
    connected.end(true);
    if (takenOver)
      throw new Error(
        `another agent took over as host ${options.host}: two machines use one name; give one of them its own \`host:\``,
      );
    throw new Error(`the connection to ${options.broker.url} was lost`);
  }

  async function keepConnected(): Promise<void> {
    for (let wait = FIRST_WAIT_MS; !stopper.signal.aborted; wait = Math.min(wait * 2, LAST_WAIT_MS)) {
      const began = clock.now().getTime();
      try {
        await session();
      } catch (thrown) {
        if (stopper.signal.aborted) return;
        const { message } = asAgentError(thrown, { code: 'BrokerUnreachable', phase: 'report' });
        if (trouble !== message) log.warn({}, message);
        trouble = message;
        if (message.includes('took over')) wait = LAST_WAIT_MS;
        else if (clock.now().getTime() - began > LAST_WAIT_MS) wait = FIRST_WAIT_MS;
      }
      await clock.sleep(wait * (0.5 + options.random() / 2), stopper.signal);
    }
  }

  return {
    start() {
      finished = keepConnected();
    },
    status: (document) => retain(`${base}/status`, JSON.stringify(document)),
    resources(resources) {
      const payload = JSON.stringify({ schema: 1, resources });
      if (latest.get(`${base}/resources`) !== payload) retain(`${base}/resources`, payload);
    },
    wake: () => void drain(),
    problem: () => trouble,
    async stop() {
      const last = client;
      if (last?.connected) {
        const goodbye = publish(last, `${base}/presence`, 'offline', true).then(() => last.endAsync());
        await Promise.race([goodbye.catch(() => undefined), clock.sleep(3_000)]);
      }
      stopper.abort();
      last?.end(true);
      await finished;
    },
  };
}

/** The last level of the topic to subscribe; a pattern, and the default branch, may be announced under any name. */
const refFilter = (ref: string) => (isPattern(ref) || ref === 'HEAD' ? '+' : encodeURIComponent(shortName(ref)));

function isForUs(topic: string, ref: string): boolean {
  try {
    return concerns(ref, decodeURIComponent(topic.slice(topic.lastIndexOf('/') + 1)));
  } catch {
    return false;
  }
}

function eventPayload({ host, fleet }: ReporterOptions, event: AgentEvent): Record<string, unknown> {
  const { id, seq, at, type, run, data } = event;
  return { schema: 1, host, fleet, id, seq, at, type, run, data };
}
