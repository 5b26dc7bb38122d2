/** The topics of one host, below `<prefix>/<fleet>/`. Pure. */
import { createHash } from 'node:crypto';
import { sliceOf } from '../../core/fleet-index.ts';
import { concerns, isPattern, shortName } from '../../git/trust/refs.ts';

export interface Topics {
  presence: string;
  /** Where this host stands among those of its fleet; the payload is its name. */
  index: string;
  /** Whoever asks here with a word hears it back from the agent that has this host's name, if there is one. */
  ask: string;
  answers: string;
  /** Of a retained document. */
  retained(name: string): string;
  events: string;
  /** To be subscribed to for push notices; some of what comes may not concern this host. */
  notices: string;
  /** Whether what came on this topic is a push notice for the ref of this host. */
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
    isNotice(topic) {
      try {
        return concerns(ref, decodeURIComponent(topic.slice(topic.lastIndexOf('/') + 1)));
      } catch {
        return false;
      }
    },
  };
}
