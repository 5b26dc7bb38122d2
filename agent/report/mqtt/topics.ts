/** The topics of one host, below `<prefix>/<fleet>/`. Pure. */
import { createHash } from 'node:crypto';
import { sliceOf } from '../../core/reporting/fleet-index.ts';
import { concerns, isPattern, shortName } from '../../git/trust/refs.ts';

export interface Topics {
  presence: string;
  /** Entry of this host in the index of its fleet; the payload is its name. */
  index: string;
  /** The agent with this host's name echoes on its answer topic what is published here. */
  ask: string;
  answers: string;
  /** Topic of a retained document. */
  retained(name: string): string;
  events: string;
  /** Filters for push notices; some messages may not concern this host. */
  notices: string;
  /** Topics of push notices: for this host, and for all hosts of its fleet. */
  commands: readonly string[];
  /** Answers go below this one. */
  replies: string;
  /** Whether a message on this topic is a push notice for the ref of this host. */
  isNotice(topic: string): boolean;
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** @param ref that the host follows: a branch, a tag, a pattern of tags or HEAD */
export function topicsOf({ prefix, fleet, host, ref }: Record<'prefix' | 'fleet' | 'host' | 'ref', string>): Topics {
  const base = `${prefix}/${fleet}/hosts/${host}`;
  // A pattern, and the default branch, may be announced under any name.
  const filter = isPattern(ref) || ref === 'HEAD' ? '+' : encodeURIComponent(shortName(ref));
  return {
    presence: `${base}/presence`,
    index: `${prefix}/${fleet}/index/${sliceOf(host, sha256)}/${host}`,
    ask: `${base}/presence/ask`,
    answers: `${base}/presence/answers`,
    retained: (name) => `${base}/${name}`,
    events: `${base}/events`,
    notices: `${prefix}/${fleet}/refs/${filter}`,
    commands: [`${base}/commands`, `${prefix}/${fleet}/commands`],
    replies: `${prefix}/${fleet}/replies`,
    isNotice(topic) {
      try {
        return concerns(ref, decodeURIComponent(topic.slice(topic.lastIndexOf('/') + 1)));
      } catch {
        return false;
      }
    },
  };
}
