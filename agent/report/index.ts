/** The channels that agent.yaml can name; no other module knows which there are. */
import type { AgentConfig } from '../config.ts';
import type { Channel, ChannelProbe } from '../core/channel.ts';
import type { Log } from '../log.ts';
import type { Clock } from '../system/clock.ts';
import type { Announced } from './mqtt/announce.ts';
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
  /** Version of the agent. */
  version: string;
  /** Discovery documents on topics outside `fairlead/`. */
  announced: Announced;
}

type ChannelConfig = Pick<AgentConfig, 'mqtt' | 'repo'>;

/** @returns the channel of this host, not started; null if agent.yaml names none */
export const createChannel = ({ mqtt, repo }: ChannelConfig, options: ChannelOptions): Channel | null =>
  mqtt === undefined
    ? null
    : createMqttChannel({
        ...options,
        ...{ broker: mqtt, prefix: mqtt.prefix, ref: repo.ref, commands: Array.isArray(mqtt.commands) },
        homeAssistant: {
          prefix: discoveryPrefix(mqtt.homeAssistant),
          version: options.version,
          announced: options.announced,
        },
      });

/** null for none */
const discoveryPrefix = (asked: boolean | string): string | null =>
  asked === true ? 'homeassistant' : asked === false ? null : asked;

/**
 * @param about this host, where remarks are asked for
 * @returns a look at its far end; null if agent.yaml names none
 */
export const createChannelProbe = (
  { mqtt }: Pick<ChannelConfig, 'mqtt'>,
  about?: Record<'host' | 'fleet' | 'ref', string>,
): ChannelProbe | null =>
  mqtt === undefined ? null : createMqttProbe(mqtt, about && { ...about, prefix: mqtt.prefix });

/** Whether both settings make the same channel. */
export const isSameChannel = (one: ChannelConfig, other: ChannelConfig): boolean =>
  JSON.stringify([one.mqtt, one.repo.ref]) === JSON.stringify([other.mqtt, other.repo.ref]);
