/** Reads what the broker keeps, by the reader of the command line, over a connection of its own. */
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import type { MqttClient } from 'mqtt';
import { readKept } from '../../fleet/reader/kept.ts';
import { linkOf } from '../../fleet/reader/link.ts';
import type { FleetStore } from '../model/store.ts';
import type { Settings } from './settings.ts';

export interface KeptOptions {
  /** Connected, and used for nothing else; it is closed at the end. */
  client: MqttClient;
  settings: Settings;
  store: FleetStore;
  /** Random, of letters and digits. */
  word: string;
  /** @param isKept it was given because of a subscription, rather than said just now */
  hear(topic: string, payload: string, isKept: boolean): void;
}

/**
 * @returns the names of all hosts; the store knows those for which the broker delivered no presence or status. Throws AgentError
 */
export async function readAll({ client, settings, store, word, hear }: KeptOptions): Promise<ReadonlySet<string>> {
  const { broker, prefix, fleet, hosts } = settings;
  const base = `${prefix}/${fleet}/hosts/`;
  const read = new Map<string, number>();
  const { names, desk } = await readKept(
    {
      ...{ link: linkOf(client, broker), prefix, fleet, word },
      ...(hosts === null ? {} : { hosts }),
      sha256: (bytes) => bytesToHex(sha256(bytes)),
    },
    {
      onMessage(topic, payload) {
        if (!topic.startsWith(base)) return;
        hear(topic, payload, true);
        const [host = '', leaf] = topic.slice(base.length).split('/');
        read.set(host, (read.get(host) ?? 0) | (leaf === 'presence' ? PRESENCE : STATUS));
      },
      isUnread: (host) => read.get(host) !== (PRESENCE | STATUS),
    },
  );
  await desk.end();
  for (const host of names) {
    const got = read.get(host) ?? 0;
    if (got !== (PRESENCE | STATUS)) store.missing(host, got & PRESENCE ? 'status' : 'presence');
  }
  return names;
}

const PRESENCE = 1;
const STATUS = 2;
