/**
 * Used while another agent has this host's name: leaves the name to that agent, and checks now and then whether it has gone.
 */
import type { MqttClient } from 'mqtt';
import type { Clock } from '../../system/clock.ts';
import { type ConnectOptions, connectBroker } from '../../system/mqtt.ts';
import { Unanswered } from '../../system/mqtt-answers.ts';
import { TooLarge } from '../../system/mqtt-limit.ts';
import { createWord } from './name.ts';
import type { Topics } from './topics.ts';

export interface NameConflictOptions {
  host: string;
  /** How to reach the broker with the client id of a check. */
  connect: ConnectOptions;
  topics: Pick<Topics, 'ask' | 'answers'>;
  clock: Clock;
  random(): number;
  signal: AbortSignal;
  /** Time from a take-over to the first check whether the other agent left. */
  probeMs?: number | undefined;
}

export interface NameConflict {
  /**
   * Two that take over from each other would go on for ever: whoever was first leaves the name to the other. Resolves when it is
   * to be tried again.
   * @param before take-overs in a row, each of which makes the first wait twice as long
   */
  giveWay(before: number): Promise<void>;
  /** Whether an agent is there under our name now: it answers a word that nobody can know before. Asked under another id. */
  look(): Promise<'there' | 'gone' | 'unknown'>;
}

const PROBE_MS = 60_000;
export const LAST_PROBE_MS = 600_000;
/** Number of questions to the agent with our name, and the time for each answer: it may only just have connected. */
const ASKED = 5;
const ASK_MS = 1_000;
/** After this time the name is tried all the same, because a message on a topic is no proof. */
const RETURN_MS = 3_600_000;
/** Reason code 0x8E, session taken over (MQTT 5.0, 3.14.2.1): another agent uses this host's name. */
const TAKEN_OVER = 0x8e;
/** Packet too large (MQTT 5.0, 3.14.2.1). */
const PACKET_TOO_LARGE = 0x95;

export class TakenOver extends Error {
  constructor(host: string) {
    super(
      `another agent took over as host ${host}: two machines use one name, or one \`mqtt.clientId\`; run \`systemctl disable --now fairlead\` on the one that was replaced, or give one of them its own \`host:\` (and \`clientId:\`) in agent.yaml`,
    );
  }
}

export function createNameConflict({
  host,
  connect,
  topics,
  clock,
  random,
  signal,
  probeMs = PROBE_MS,
}: NameConflictOptions): NameConflict {
  async function ask(): Promise<'there' | 'gone'> {
    const word = createWord();
    const client = await connectBroker(connect);
    try {
      const heard = new Promise<'there'>((resolve) =>
        client.on('message', (_topic, payload) => payload.toString('utf8') === word && resolve('there')),
      );
      const ended = endOf(client, { broker: connect.broker, host }).then((why) => Promise.reject(why));
      ended.catch(() => undefined);
      await client.subscribeAsync(topics.answers, { qos: 1 });
      for (let times = 0; times < ASKED; times++) {
        await client.publishAsync(topics.ask, word, { qos: 1 });
        const late = clock.sleep(ASK_MS, signal).then(() => 'gone' as const);
        if ((await Promise.race([heard, ended, late])) === 'there') return 'there';
      }
      return 'gone';
    } finally {
      client.end(true);
    }
  }
  const look = (): ReturnType<NameConflict['look']> => ask().catch(() => 'unknown' as const);

  return {
    look,
    async giveWay(before) {
      const began = clock.monotonic();
      const first = Math.min(probeMs * 2 ** before, LAST_PROBE_MS);
      for (let wait = first; !signal.aborted; wait = Math.min(wait * 2, LAST_PROBE_MS)) {
        await clock.sleep(wait * (0.5 + random() / 2), signal);
        if (signal.aborted) return;
        const other = await look();
        // If the broker refuses the check, connecting is the only way to find out; it is tried seldom, so that nobody keeps
        // this host away for ever.
        if (other === 'gone' || (other === 'unknown' && wait >= LAST_PROBE_MS)) return;
        if (clock.monotonic() - began >= RETURN_MS) return;
      }
    },
  };
}

/** Resolves with the reason when the connection has ended. */
export function endOf(client: MqttClient, { broker, host }: { broker: { url: string }; host: string }): Promise<Error> {
  return new Promise((resolve) => {
    const lost = new Error(`the connection to ${broker.url} was lost`);
    let last = 'a topic of this host';
    client.on('packetsend', (packet) => {
      if (packet.cmd === 'publish') last = packet.topic;
    });
    client.on('disconnect', (packet) => {
      if (packet.reasonCode === TAKEN_OVER) resolve(new TakenOver(host));
      if (packet.reasonCode === PACKET_TOO_LARGE)
        resolve(
          new Error(
            `the broker ${broker.url} ended the connection, because the message on ${last} is larger than it takes; raise its limit (mosquitto: \`max_packet_size\`)`,
          ),
        );
    });
    client.on('error', (error) => {
      if (error instanceof TooLarge || error instanceof Unanswered) resolve(error);
    });
    client.once('close', () => resolve(lost));
    if (!client.connected) resolve(lost);
  });
}
