/** State of the page's connection to its broker, and the words for it. Pure. */
import { ahead } from '../../core/names/span.ts';
import { ago } from '../model/words.ts';

export type LinkState =
  /** The user has to log in, or to name a broker. */
  | { readonly kind: 'asking'; readonly why: string }
  | { readonly kind: 'connecting' }
  /** Connected; what the broker keeps is being read. */
  | { readonly kind: 'reading' }
  | { readonly kind: 'live'; readonly since: number }
  /** The shown data was last updated at `since`. */
  | { readonly kind: 'lost'; readonly since: number; readonly why: string; readonly again: number };

/** Short, for the corner of the page. */
export function linkText(state: LinkState, hosts: number): string {
  switch (state.kind) {
    case 'asking':
      return 'not connected';
    case 'connecting':
      return 'connecting …';
    case 'reading':
      return hosts === 0 ? 'reading …' : `reading … ${hosts.toLocaleString('en')} hosts`;
    case 'live':
      return 'live';
    case 'lost':
      return 'connection lost';
  }
}

/**
 * A browser tells a page nothing of why a websocket did not open. It asks for a client certificate, and whether it shall believe one
 * of an unknown CA, on a page load alone.
 */
export function unreachableText(broker: string): string {
  const text = `The broker at ${broker} cannot be reached.`;
  if (!broker.startsWith('wss:')) return text;
  const page = broker.replace(/^wss:/, 'https:');
  return `${text} If it asks for a client certificate, or has one that this browser does not know, open ${page} once, whatever that shows.`;
}

/** A sentence if the shown data may be outdated; empty otherwise. */
export function noticeOf(state: LinkState, now: number): string {
  if (state.kind !== 'lost') return '';
  return `No connection to the broker since ${ago(state.since, now)}: what you see is as old as that. ${state.why} Tried again ${ahead(state.again, now)}.`;
}
