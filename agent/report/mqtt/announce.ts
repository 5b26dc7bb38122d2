/** Retained documents outside of the fleet's own topics: published at each connection, and deleted when no longer wanted. */
import type { Log } from '../../log.ts';
import type { Link } from './link.ts';

/** The topics on which documents were left; survives a restart. */
export interface Announced {
  topics(): readonly string[];
  remember(topics: readonly string[]): void;
}

export interface AnnounceOptions {
  link: Pick<Link, 'publish'>;
  announced: Announced;
  /** null: nothing is to be there any more. */
  wanted: { topic: string; document: unknown } | null;
  log: Log;
}

/**
 * Publishes the wanted documents, and clears earlier ones under other topics. A topic that the broker refuses is tried again
 * at the next connection.
 */
export async function announce({ link, announced, wanted, log }: AnnounceOptions): Promise<void> {
  try {
    const before = announced.topics();
    // Record first, so that a document that a crash leaves is known.
    if (wanted !== null && !before.includes(wanted.topic)) announced.remember([...before, wanted.topic]);
    const left: string[] = wanted === null ? [] : [wanted.topic];
    for (const topic of before)
      if (topic !== wanted?.topic && (await link.publish(topic, '', { retain: true })) !== 'taken') left.push(topic);
    if (left.join('\n') !== announced.topics().join('\n')) announced.remember(left);
    if (wanted !== null) await link.publish(wanted.topic, JSON.stringify(wanted.document), { retain: true });
  } catch (thrown) {
    log.debug({ error: thrown instanceof Error ? thrown.message : String(thrown) }, 'announcing was interrupted');
  }
}
