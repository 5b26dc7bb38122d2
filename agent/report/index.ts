/** The channels that agent.yaml can name. Nobody else knows which there are. */
import type { AgentConfig } from '../config.ts';
import type { Channel, ChannelProbe } from '../core/channel.ts';
import type { Log } from '../log.ts';
import type { Clock } from '../system/clock.ts';
import { createMqttChannel } from './mqtt/channel.ts';
import { createMqttProbe } from './mqtt/probe.ts';

export interface ChannelOptions {
  host: string;
  fleet: string;
  /** Random, new at every start of the agent. */
  instance: string;
  clock: Clock;
  log: Log;
  random(): number;
}

type ChannelConfig = Pick<AgentConfig, 'mqtt' | 'repo'>;

/** @returns the channel of this host, not started; null if agent.yaml names none */
export const createChannel = ({ mqtt, repo }: ChannelConfig, options: ChannelOptions): Channel | null =>
  mqtt === undefined ? null : createMqttChannel({ ...options, broker: mqtt, prefix: mqtt.prefix, ref: repo.ref });

/** @returns a look at its far end; null if agent.yaml names none */
export const createChannelProbe = ({ mqtt }: Pick<ChannelConfig, 'mqtt'>): ChannelProbe | null =>
  mqtt === undefined ? null : createMqttProbe(mqtt);

/** Whether both settings make the same channel. */
export const isSameChannel = (one: ChannelConfig, other: ChannelConfig): boolean =>
  JSON.stringify([one.mqtt, one.repo.ref]) === JSON.stringify([other.mqtt, other.repo.ref]);
