/** Reads a fleet over a connection of this process; gives the reader what it needs of Node. */
import { createHash, randomBytes } from 'node:crypto';
import { Socket } from 'node:net';
import { type BrokerSettings, connectBroker } from '../system/mqtt.ts';
import type { ReadingOptions } from './reader/kept.ts';
import { type BrokerLink, linkOf } from './reader/link.ts';
import { type FleetReading, readFleet as readOver } from './reader/read.ts';

export interface ReadFleetOptions extends Omit<ReadingOptions, 'link' | 'sha256' | 'word'> {
  broker: BrokerSettings;
}

/** Larger than the largest possible status. */
const MAX_PACKET_BYTES = 1024 * 1024;
const CONNECT_MS = 10_000;

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
export const randomWord = (): string => randomBytes(6).toString('hex');

/**
 * @param role what the client does, as part of its id
 * @param answerMs for each answer of the broker; default see system/mqtt-answers.ts
 * Throws AgentError `BrokerUnreachable`
 */
export async function openLink(broker: BrokerSettings, role: string, answerMs?: number): Promise<BrokerLink> {
  const clientId = `fairlead-${role}-${randomWord()}`;
  const client = await connectBroker({
    ...{ broker, clientId, timeoutMs: CONNECT_MS, maxPacketBytes: MAX_PACKET_BYTES },
    ...(answerMs === undefined ? {} : { answerMs }),
  });
  // Send small packets without waiting for acknowledgements (reader/desk.ts says why).
  if (client.stream instanceof Socket) client.stream.setNoDelay(true);
  return linkOf(client, broker.url);
}

/** See reader/read.ts. Throws AgentError `BrokerUnreachable`. */
export async function readFleet({ broker, ...options }: ReadFleetOptions): Promise<FleetReading> {
  return readOver({ ...options, link: await openLink(broker, 'cli'), sha256, word: randomWord() });
}
