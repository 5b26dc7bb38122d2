/**
 * One connection to the broker: MQTT 5 by TCP, TLS or a websocket, a clean session, a retained Last Will. Policy is the
 * caller's.
 */
import type { IClientOptions, MqttClient } from 'mqtt';
import { isRefusedByDate, reachOf } from '../core/reach.ts';
import { AgentError } from '../errors.ts';
import { readNamed, Unread } from '../reading.ts';
import { ANSWER_MS, endWaits } from './mqtt-answers.ts';
import { watchPackets } from './mqtt-limit.ts';
import { keepToLimits } from './mqtt-sending.ts';
import { websocketOptions } from './mqtt-websocket.ts';

const MAX_PACKET_BYTES = 64 * 1024;

export interface BrokerSettings {
  /** mqtt://, mqtts://, ws:// or wss:// */
  url: string;
  username?: string | undefined;
  passwordFile?: string | undefined;
  /** File that these settings come from, for messages; default agent.yaml. */
  namedIn?: string | undefined;
  ca?: string | undefined;
  cert?: string | undefined;
  key?: string | undefined;
  /** Client id for the agent alone: a command or a check with the same id would take the connection over. */
  clientId?: string | undefined;
}

export interface ConnectOptions {
  broker: BrokerSettings;
  clientId: string;
  will?: { topic: string; payload: string; user?: Readonly<Record<string, string>> };
  timeoutMs: number;
  /** Breaks the attempt off. */
  signal?: AbortSignal;
  /** The largest packet that the broker may send; a larger one ends the connection with a `TooLarge`. Default 64 KiB. */
  maxPacketBytes?: number;
  /** Time that the broker has for each later answer before the connection ends; default 30 s. */
  answerMs?: number;
  /** Default 5, or 4 (3.1.1) where the broker knows no better. */
  protocolVersion?: 4 | 5;
}

/** Connects once; reconnecting is the caller's affair. Throws AgentError `BrokerUnreachable`. Secrets are read at each call. */
export async function connectBroker(options: ConnectOptions): Promise<MqttClient> {
  try {
    return await connectOnce(options);
  } catch (thrown) {
    // A broker of the 3.1.1 days: all that fairlead sends works there too, but for the reason codes.
    const refusal = thrown instanceof AgentError ? reasonCodeOf(thrown.cause) : null;
    if (!options.protocolVersion && refusal !== null && OLD_PROTOCOL.includes(refusal))
      return connectOnce({ ...options, protocolVersion: 4 });
    // Some of them (RabbitMQ 3.10) end the connection instead; if this attempt fails as well, the error is that of the first one.
    if (!options.protocolVersion && thrown instanceof AgentError && thrown.cause instanceof Closed)
      return connectOnce({ ...options, protocolVersion: 4 }).catch(() => Promise.reject(thrown));
    throw thrown;
  }
}

async function connectOnce({
  broker,
  clientId,
  will,
  timeoutMs,
  signal,
  answerMs = ANSWER_MS,
  maxPacketBytes = MAX_PACKET_BYTES,
  protocolVersion = 5,
}: ConnectOptions): Promise<MqttClient> {
  const [{ default: mqtt }, { default: packet }] = await Promise.all([import('mqtt'), import('mqtt-packet')]);
  // The library would keep a buffer for each of the 65,536 numbers of two bytes: 7 MB for a few packets a minute.
  packet.writeToStream.cacheNumbers = false;
  const read = async (file: string | undefined) =>
    file === undefined
      ? undefined
      : await readNamed(file).catch((thrown: Error) => {
          throw new Unread(`${file} cannot be read: ${thrown.message}`, thrown);
        });
  try {
    const [password, ca, cert, key] = await Promise.all(
      [broker.passwordFile, broker.ca, broker.cert, broker.key].map(read),
    );
    const way: Way = { isTaken: false };
    const taken = () => {
      way.isTaken = true;
    };
    const options: IClientOptions = {
      protocolVersion,
      clientId,
      clean: true,
      keepalive: 15,
      reconnectPeriod: 0,
      connectTimeout: timeoutMs,
      queueQoSZero: false,
      ...(protocolVersion === 5 ? { properties: { maximumPacketSize: maxPacketBytes } } : {}),
      // mqtt would take a client id from there, in place of ours.
      query: {},
      ...websocketOptions({ url: broker.url, maxPacketBytes, taken }),
      ...(broker.username === undefined ? {} : { username: broker.username }),
      ...(password === undefined ? {} : { password: password.toString('utf8').trim() }),
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      ...(will ? { will: willOf(will, protocolVersion) } : {}),
    };
    const client = mqtt.connect(broker.url, options);
    // TCP's own handshake (net.Socket, tls.TLSSocket); a websocket says it otherwise.
    client.stream.once('connect', taken);
    watchPackets(client.stream, maxPacketBytes, (error) => {
      client.emit('error', error);
      client.end(true);
    });
    return keepToLimits(endWaits(await established(client, { way, timeoutMs, signal }), { url: broker.url, answerMs }));
  } catch (thrown) {
    const said = thrown instanceof Error ? thrown.message : String(thrown);
    const why = isRefusedByDate(thrown) ? `${said} (or this host's clock is wrong: compare \`date\`)` : said;
    throw new AgentError({
      code: 'BrokerUnreachable',
      phase: 'report',
      reach: thrown instanceof Unread ? 'here' : hasAnswered(thrown) ? 'answered' : reachOf(thrown),
      message: `cannot reach the broker ${broker.url}: ${why}; check ${broker.namedIn ?? 'mqtt in agent.yaml'} and the way there`,
      cause: thrown,
    });
  }
}

interface Way {
  /** The far end took the connection: TCP's handshake is over. */
  isTaken: boolean;
}

interface Establishing {
  way: Way;
  timeoutMs: number;
  signal: AbortSignal | undefined;
}

/** Retained, as what it takes the place of; a broker of 3.1.1 knows no properties. */
const willOf = (
  { topic, payload, user }: NonNullable<ConnectOptions['will']>,
  protocolVersion: number,
): NonNullable<IClientOptions['will']> => ({
  ...{ topic, payload: Buffer.from(payload), qos: 1, retain: true },
  ...(user !== undefined && protocolVersion === 5 ? { properties: { userProperties: { ...user } } } : {}),
});

/** The far end took the connection, and closed it or said nothing more: the way to it is open. */
class Answered extends Error {}
/** The broker closed the connection without an answer to the first packet. */
class Closed extends Answered {}

const hasAnswered = (thrown: unknown): boolean => reasonCodeOf(thrown) !== null || thrown instanceof Answered;

/** CONNACK of MQTT 3.1.1 (3.2.2.3) and of 5.0 (3.2.2.2): unacceptable, or unsupported, protocol version. */
const OLD_PROTOCOL = [0x01, 0x84];

/** The reason code of a CONNACK that refuses; null if the failure was not an answer of the broker. */
function reasonCodeOf(thrown: unknown): number | null {
  const { code } = (thrown ?? {}) as { code?: unknown };
  return typeof code === 'number' ? code : null;
}

function established(client: MqttClient, { way, timeoutMs, signal }: Establishing): Promise<MqttClient> {
  return new Promise((resolve, reject) => {
    // Only our own listeners go again: the client hears its own events, and forgets its timers by them.
    const timer = setTimeout(() => fail(new Error(`no answer within ${timeoutMs / 1000} s`)), timeoutMs);
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', stopped);
      client.stream.off('error', fail);
      client.off('error', fail).off('close', closed).off('connect', connected);
      client.on('error', () => undefined);
    };
    const fail = (error: Error) => {
      const isSilence = !(error instanceof Answered) && reasonCodeOf(error) === null && reachOf(error) === 'silent';
      const answered = isSilence && way.isTaken;
      done();
      client.end(true);
      reject(answered ? new Answered(`connected, but ${error.message}`) : error);
    };
    const stopped = () => fail(new Error('the attempt was broken off'));
    const closed = () => fail(new Closed('the connection was closed'));
    const connected = () => {
      done();
      resolve(client);
    };
    if (signal?.aborted) stopped();
    signal?.addEventListener('abort', stopped, { once: true });
    client.once('error', fail);
    // mqtt keeps what has no code for itself, such as the HTTP status with which a websocket was refused.
    client.stream.once('error', fail);
    client.once('close', closed);
    client.once('connect', connected);
  });
}
