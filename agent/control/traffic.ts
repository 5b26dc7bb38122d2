/**
 * What one socket may cost the daemon, whoever asks: answers that were given and not read, listeners, and questions that read
 * much of the history. Each socket has its own, so that nobody at status.sock takes anything from root at agent.sock.
 */
import type http from 'node:http';
import { setImmediate } from 'node:timers/promises';
import type { ErrorBody } from './protocol.ts';

/** Of one socket; connections beyond it are closed at once. */
export const MAX_CONNECTIONS = 64;
/** Listeners to the feed of events at one time. */
const MAX_FEEDS = 32;
/** Bytes of answers that were not taken yet. A larger answer goes out where there is no other. */
const MAX_UNREAD = 16 * 1024 * 1024;
/** Questions that wait for their turn. */
const MAX_WAITING = 64;
/** How long a reader may take nothing of an answer. */
const STALL_MS = 30_000;

export interface Traffic {
  /** Answers with a document, or says that too much waits to be read. */
  send(response: http.ServerResponse, status: number, body: object | ErrorBody): void;
  /** One after the other: `work` may read much, and gives way to other things in between. null: too much waits already. */
  turn<T>(work: () => Promise<T>): Promise<T> | null;
  /** @returns false where too many listen already */
  listen(response: http.ServerResponse): boolean;
}

export function createTraffic(): Traffic {
  const feeds = new Set<http.ServerResponse>();
  let unread = 0;
  let waiting = 0;
  let last: Promise<unknown> = Promise.resolve();

  function answer(response: http.ServerResponse, status: number, text: string): void {
    const bytes = Buffer.byteLength(text);
    unread += bytes;
    response.once('close', () => {
      unread -= bytes;
    });
    response.setTimeout(STALL_MS, () => response.destroy());
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(text);
  }

  return {
    send(response, status, body) {
      if (response.destroyed) return;
      const text = JSON.stringify(body);
      if (unread > 0 && unread + text.length > MAX_UNREAD)
        answer(response, 503, JSON.stringify(refusal('too much waits to be read of this socket')));
      else answer(response, status, text);
    },
    turn(work) {
      // What nobody takes is not even looked up.
      if (waiting >= MAX_WAITING || unread > MAX_UNREAD / 4) return null;
      waiting++;
      const turn = last
        .then(() => setImmediate())
        .then(work)
        .finally(() => {
          waiting--;
        });
      last = turn.catch(() => undefined);
      return turn;
    },
    listen(response) {
      if (feeds.size >= MAX_FEEDS) return false;
      feeds.add(response);
      response.once('close', () => feeds.delete(response));
      return true;
    },
  };
}

/** The body of a 503. */
export const refusal = (why: string): ErrorBody => ({ error: `${why}; ask again in a moment` });
