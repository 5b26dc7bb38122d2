/** Resource ids as people type them: the whole id, or the part of it that they remember. Pure. */
import { nearest } from '../../../manifests-schema/check.ts';

/** At most this many ids are suggested if none matches. */
const OFFERED = 5;

export interface Found {
  /** Ids that `text` may mean: the id itself; or ids that end in it as a whole word of a path; or ids that contain it. */
  matches: string[];
  /** If nothing matches: similar ids, nearest first. */
  near: string[];
}

/**
 * `motd` finds `file:/etc/motd`, `shop/web` and `web` find `service:shop/web`, `app` finds `unit:app.service`.
 * @param text what was typed
 */
export function findId(text: string, ids: readonly string[]): Found {
  const word = text.toLowerCase();
  const lower = (id: string) => id.toLowerCase();
  const rules: ((id: string) => boolean)[] = [
    (id) => id === text,
    (id) => lower(id) === word,
    (id) => locatorOf(id) === word || lower(id).endsWith(`/${word}`),
    (id) =>
      lower(id)
        .replace(/\.[a-z]+$/, '')
        .endsWith(`/${word}`) || stemOf(id) === word,
    (id) => lower(id).includes(word),
  ];
  for (const fits of word === '' ? [] : rules) {
    const matches = ids.filter(fits).sort();
    if (matches.length > 0) return { matches, near: [] };
  }
  return { matches: [], near: nearIds(word, ids) };
}

const locatorOf = (id: string): string => id.slice(id.indexOf(':') + 1).toLowerCase();
const stemOf = (id: string): string => locatorOf(id).replace(/\.[a-z]+$/, '');

/** Ids by edit distance, of the whole id or of its last part. */
function nearIds(word: string, ids: readonly string[]): string[] {
  const found: string[] = [];
  let left = [...ids].sort();
  while (found.length < OFFERED) {
    const whole = nearest(word, left);
    const last = nearest(word.slice(word.search(/[^/:]*$/)), left.map(lastOf));
    const id = whole ?? left.find((candidate) => last !== undefined && lastOf(candidate) === last);
    if (id === undefined) return found;
    found.push(id);
    left = left.filter((other) => other !== id);
  }
  return found;
}

const lastOf = (id: string): string => id.slice(id.search(/[^/:]*$/)).toLowerCase();
