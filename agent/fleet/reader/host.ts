/** Reads everything that one host retains on the broker. Runs in a browser as well (read.ts). */
import { type RecentHistoryDocument, recentHistory } from '../../../manifests-schema/history.ts';
import { resourcesDocument, type StatusDocument, statusDocument } from '../../../manifests-schema/payloads.ts';
import { openDesk } from './desk.ts';
import type { ReadingOptions } from './kept.ts';
import { type FleetRow, parseJson } from './model.ts';

export interface HostReading {
  host: string;
  presence: FleetRow['presence'];
  /** Null if the broker has none, or this version cannot read it. */
  status: StatusDocument | null;
  resources: readonly { id: string; sync: string; health: string; reason: string }[] | null;
  history: RecentHistoryDocument | null;
  /** Topics whose content this version cannot read. */
  unreadable: string[];
}

export type HostOptions = Pick<ReadingOptions, 'link' | 'prefix' | 'fleet' | 'word'> & { host: string };

const LIMITS = { maxBytes: 4 * 1024 * 1024, quietMs: 200, timeoutMs: 20_000, answerMs: 10_000 };

/** Throws AgentError `BrokerUnreachable`. */
export async function readHost({ link, prefix, fleet, word, host }: HostOptions): Promise<HostReading> {
  const base = `${prefix}/${fleet}`;
  const texts = new Map<string, string>();
  const desk = await openDesk({
    ...{ ...LIMITS, link, replies: `${base}/replies/${word}` },
    onMessage: (topic, payload) => void texts.set(topic.slice(topic.lastIndexOf('/') + 1), payload),
  });
  try {
    const filters = ['presence', 'status', 'resources', 'history'].map((leaf) => `${base}/hosts/${host}/${leaf}`);
    await desk.take({ filters, expected: filters.length });
  } finally {
    await desk.end();
  }
  const unreadable: string[] = [];
  const read = <T>(leaf: string, schema: { safeParse(value: unknown): { success: boolean; data?: T } }): T | null => {
    const text = texts.get(leaf);
    if (text === undefined) return null;
    const { data } = schema.safeParse(parseJson(text));
    if (data === undefined) unreadable.push(leaf);
    return data ?? null;
  };
  const presence = texts.get('presence');
  return {
    host,
    presence: presence === 'online' || presence === 'offline' ? presence : 'unknown',
    status: read('status', statusDocument),
    resources: read('resources', resourcesDocument)?.resources ?? null,
    history: read('history', recentHistory),
    unreadable,
  };
}
