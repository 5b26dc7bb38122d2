/** The record of sent reports for the relay that takes over: retained on the broker, with a copy in a file. Pure except for the file. */

import type { Memory } from '../../notify/model/memory.ts';
import { readWhole } from '../../reading.ts';

export type Memories = Readonly<Record<string, Memory>>;

/** Maximum size of the record, because some brokers refuse larger messages. */
export const MOST_BYTES = 900 * 1024;

/** Without unreported trouble, which every relay observes itself. */
export function sharedText(memories: Memories): string {
  const shared = Object.fromEntries(
    Object.entries(memories).map(([name, memory]) => {
      const hosts = Object.entries(memory.hosts)
        .filter(([, { told, endedAt }]) => told.length > 0 || endedAt !== undefined)
        .map(([host, { pending: _, ...rest }]) => [host, rest]);
      const groups = Object.entries(memory.groups)
        .filter(([, { toldAt }]) => toldAt !== null)
        .map(([key, group]) => [key, { ...group, first: group.toldAt, last: group.toldAt, size: 0 }]);
      return [name, { ...memory, hosts: Object.fromEntries(hosts), groups: Object.fromEntries(groups) }];
    }),
  );
  return JSON.stringify({ schema: 1, memories: shared });
}

/** @returns null for text that no relay of this version wrote */
export function readShared(text: string): Memories | null {
  try {
    const value = JSON.parse(text) as { schema?: unknown; memories?: unknown } | null;
    if (value?.schema !== 1 || typeof value.memories !== 'object' || value.memories === null) return null;
    const isWhole = Object.values(value.memories).every(
      (memory) =>
        memory?.schema === 1 &&
        Array.isArray(memory.queue) &&
        typeof memory.hosts === 'object' &&
        typeof memory.groups === 'object',
    );
    return isWhole ? (value.memories as Memories) : null;
  } catch {
    return null;
  }
}

export const readKept = (file: string): Memories | null =>
  readShared(Buffer.from(readWhole(file) ?? []).toString('utf8'));
