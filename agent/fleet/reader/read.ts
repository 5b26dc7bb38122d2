/**
 * Reads a fleet from the retained messages of its broker: the names from the index, slice by slice, then the topics of each host, in
 * windows. It needs nothing of Node, so a page in a browser uses the same code:
 *
 *     const link = linkOf(await mqtt.connectAsync('wss://broker:8884', { protocolVersion: 5, reconnectPeriod: 0 }), url);
 *     const { rows } = await readFleet({ link, prefix: 'fairlead', fleet: 'default', sha256, word: crypto.randomUUID() });
 */
import type { Desk } from './desk.ts';
import { type KeptOptions, type ReadingOptions, readKept, type Taker, type Way } from './kept.ts';
import { type FleetRow, foldMessage, isPartial, notDelivered, sortRows } from './model.ts';

export interface FleetReading {
  rows: FleetRow[];
  /** Source of the names. Hosts that are not in it are unknown. */
  way: Way;
}

/**
 * Every host of the index, or of `hosts`, has a row; the row says if the broker did not deliver its topics.
 * Throws AgentError `BrokerUnreachable`, also if only a part could be read.
 */
export async function readFleet(options: ReadingOptions): Promise<FleetReading> {
  const { desk, rows, way } = await readWhole(options);
  await desk.end();
  return { rows: sortRows(rows), way };
}

export interface WholeOptions extends KeptOptions, Partial<Pick<Taker, 'onMessage' | 'onName' | 'onOver'>> {
  /** Filled, if given. */
  rows?: Map<string, FleetRow>;
}

export interface Whole {
  desk: Desk;
  rows: Map<string, FleetRow>;
  way: FleetReading['way'];
}

/** The same, but leaves the connection open, and closes it only if something fails. */
export async function readWhole(options: WholeOptions): Promise<Whole> {
  const { rows = new Map<string, FleetRow>(), onName, onOver } = options;
  const { onMessage = (topic: string, payload: string) => foldMessage(rows, topic, payload) } = options;
  const isUnread = (host: string) => isPartial(rows.get(host));
  const { desk, names, way } = await readKept(options, { onMessage, isUnread, onName, onOver });
  // A live message of another host may have arrived meanwhile.
  for (const host of rows.keys()) if (!names.has(host)) rows.delete(host);
  for (const host of names) if (isUnread(host)) rows.set(host, notDelivered(host, rows.get(host)));
  return { desk, rows, way };
}
