import { randomBytes } from 'node:crypto';
import { type BrokerSettings, connectBroker } from '../system/mqtt.ts';
import { type FleetRow, foldMessage, sortRows } from './model.ts';

export interface ReadFleetOptions {
  broker: BrokerSettings;
  prefix: string;
  fleet: string;
  /** The fleet has been read when nothing more has come for this long. */
  quietMs?: number;
  /** At the latest after this. */
  timeoutMs?: number;
}

/** Reads the retained statuses of all hosts. Throws AgentError `BrokerUnreachable`. */
export async function readFleet(options: ReadFleetOptions): Promise<FleetRow[]> {
  const { quietMs = 300, timeoutMs = 10_000 } = options;
  const client = await connectBroker({
    broker: options.broker,
    clientId: `fairlead-cli-${randomBytes(6).toString('hex')}`,
    timeoutMs,
  });
  let rows: ReadonlyMap<string, FleetRow> = new Map();
  const read = new Promise<void>((resolve) => {
    let quiet: NodeJS.Timeout | undefined;
    const settle = () => {
      clearTimeout(quiet);
      quiet = setTimeout(resolve, quietMs);
    };
    setTimeout(resolve, timeoutMs).unref();
    client.on('message', (topic, payload) => {
      rows = foldMessage(rows, topic, payload.toString('utf8'));
      settle();
    });
    client.on('close', resolve);
    const hosts = `${options.prefix}/${options.fleet}/hosts/+`;
    client.subscribeAsync([`${hosts}/presence`, `${hosts}/status`], { qos: 1 }).then(settle, resolve);
  });
  await read;
  client.end(true);
  return sortRows(rows);
}
