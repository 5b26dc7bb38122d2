import { randomBytes } from 'node:crypto';
import { AgentError } from '../errors.ts';
import { type BrokerSettings, connectBroker } from '../system/mqtt.ts';
import { type FleetRow, foldMessage, sortRows } from './model.ts';

export interface ReadFleetOptions {
  broker: BrokerSettings;
  prefix: string;
  fleet: string;
  /** The fleet has been read when nothing more that was retained has come for this long. */
  quietMs?: number;
  /** To be read by then. */
  timeoutMs?: number;
  /** Bytes of all messages together; more is no fleet. */
  maxBytes?: number;
}

/** A status has some kilobytes: room for tens of thousands of hosts. */
const MAX_BYTES = 256 * 1024 * 1024;

/** Reads the retained statuses of all hosts. Throws AgentError `BrokerUnreachable`, also where only a part could be read. */
export async function readFleet(options: ReadFleetOptions): Promise<FleetRow[]> {
  const { quietMs = 300, timeoutMs = 30_000, maxBytes = MAX_BYTES } = options;
  const client = await connectBroker({
    broker: options.broker,
    clientId: `fairlead-cli-${randomBytes(6).toString('hex')}`,
    timeoutMs: 10_000,
    // A status with all that it may hold is smaller.
    maxPacketBytes: 1024 * 1024,
  });
  const rows = new Map<string, FleetRow>();
  const hosts = `${options.prefix}/${options.fleet}/hosts/+`;
  let bytes = 0;
  let quiet: NodeJS.Timeout | undefined;
  let late: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      const failed = (why: string) => reject(unreadable(options.broker.url, why));
      const settle = () => {
        clearTimeout(quiet);
        quiet = setTimeout(resolve, quietMs);
      };
      late = setTimeout(() => failed(`it was still sending after ${timeoutMs / 1_000} s`), timeoutMs);
      client.on('message', (topic, payload, packet) => {
        bytes += topic.length + payload.length;
        if (bytes > maxBytes)
          return failed(`it sent more than ${maxBytes} bytes; let each host publish its own status alone`);
        foldMessage(rows, topic, payload.toString('utf8'));
        // What hosts say meanwhile goes on for ever; only what was retained comes to an end.
        if (packet.retain) settle();
      });
      client.on('close', () => failed('it closed the connection'));
      // QoS 0: brokers bound the queue of acknowledged messages, and a fleet does not fit into it.
      client.subscribeAsync([`${hosts}/presence`, `${hosts}/status`], { qos: 0 }).then(settle, (thrown) => {
        const said = thrown instanceof Error ? thrown.message : String(thrown);
        failed(`it does not let this user subscribe to ${hosts}/status (${said}); allow it there`);
      });
    });
  } finally {
    clearTimeout(quiet);
    clearTimeout(late);
    client.end(true);
  }
  return sortRows(rows);
}

const unreadable = (url: string, why: string) =>
  new AgentError({
    code: 'BrokerUnreachable',
    phase: 'report',
    message: `cannot read the fleet from the broker ${url}: ${why}`,
  });
