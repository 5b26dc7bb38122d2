/** One connection to the broker over a websocket, by the mqtt library. */
import mqtt, { type MqttClient } from 'mqtt';
import { keepToLimits } from '../../system/mqtt-sending.ts';
import type { Credentials } from './credentials.ts';
import { unreachableText } from './state.ts';

export interface SocketOptions {
  credentials: Credentials;
  clientId: string;
  version: 4 | 5;
  timeoutMs: number;
}

export class Refused extends Error {
  /** The broker wants to know who this is, or does not let them in. */
  readonly isAboutUser: boolean;
  /** The broker does not speak this version of the protocol. */
  readonly isAboutVersion: boolean;
  constructor(message: string, about: 'user' | 'version' | null) {
    super(message);
    this.isAboutUser = about === 'user';
    this.isAboutVersion = about === 'version';
  }
}

/** CONNACK of MQTT 3.1.1 (table 3.1) and of 5.0 (3.2.2.2). */
const ABOUT_USER = [4, 5, 0x86, 0x87, 0x8a, 0x8c];
const ABOUT_VERSION = [1, 0x84];

/** @returns a client that is connected and does not connect again by itself. Throws `Refused` */
export function openSocket({ credentials, clientId, version, timeoutMs }: SocketOptions): Promise<MqttClient> {
  const { broker, username, password } = credentials;
  return new Promise((resolve, reject) => {
    const client = mqtt.connect(broker, {
      ...{ clientId, protocolVersion: version, clean: true, keepalive: 30, connectTimeout: timeoutMs },
      ...{ reconnectPeriod: 0, resubscribe: false, queueQoSZero: false },
      // The other kind would start a worker from a blob, which the page's policy forbids.
      timerVariant: 'native',
      ...(username === '' ? {} : { username }),
      ...(password === '' ? {} : { password }),
    });
    let refusal: Refused | null = null;
    client.once('connect', () => resolve(keepToLimits(client)));
    client.on('error', (error) => {
      const code = 'code' in error && typeof error.code === 'number' ? error.code : -1;
      const about = ABOUT_USER.includes(code) ? 'user' : ABOUT_VERSION.includes(code) ? 'version' : null;
      const said = about === 'user' ? `The broker does not let this user in: ${error.message}.` : error.message;
      refusal ??= new Refused(said, about);
      client.end(true);
    });
    client.once('close', () => {
      client.end(true);
      reject(refusal ?? new Refused(unreachableText(broker), null));
    });
  });
}
