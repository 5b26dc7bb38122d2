/**
 * Bounds the cost of one socket for the daemon, whoever asks: unread answers, listeners, and requests that read much of the
 * history. Each socket has its own limits, so that a client of status.sock takes nothing from root at agent.sock.
 */
import type http from 'node:http';
import { setImmediate } from 'node:timers/promises';
import type { ErrorBody } from './protocol.ts';

/** Connections per socket; more are closed at once. */
export const MAX_CONNECTIONS = 64;
/** Listeners to the feed of events at one time. */
const MAX_FEEDS = 32;
/** Bytes of answers that were not taken yet. A larger answer goes out where there is no other. */
const MAX_UNREAD = 16 * 1024 * 1024;
/** Questions that wait for their turn. */
const MAX_WAITING = 64;
/** Time after which a client that does not read its answer is cut off. */
const STALL_MS = 30_000;

export interface Traffic {
  /** Answers with a document, or says that too much waits to be read. */
  send(response: http.ServerResponse, status: number, body: object | ErrorBody): void;
  /** The same with a text of that media type. */
  sendText(response: http.ServerResponse, type: string, text: string): void;
  /**
   * Runs `work` after the requests before it; it may read much, and yields in between. null if too many requests wait
   * already.
   */
  turn<T>(work: () => Promise<T>): Promise<T> | null;
  /** @returns false where too many listen already */
  listen(response: http.ServerResponse): boolean;
}

export function createTraffic(): Traffic {
  const feeds = new Set<http.ServerResponse>();
  let unread = 0;
  let waiting = 0;
  let last: Promise<unknown> = Promise.resolve();

  function answer(response: http.ServerResponse, status: number, text: string, type = 'application/json'): void {
    const bytes = Buffer.byteLength(text);
    unread += bytes;
    response.once('close', () => {
      unread -= bytes;
    });
    response.setTimeout(STALL_MS, () => response.destroy());
    response.writeHead(status, { 'content-type': type });
    response.end(text);
  }

  function offer(response: http.ServerResponse, status: number, text: string, type?: string): void {
    if (response.destroyed) return;
    if (unread > 0 && unread + text.length > MAX_UNREAD)
      answer(response, 503, JSON.stringify(refusal('too much waits to be read of this socket')));
    else answer(response, status, text, type);
  }

  return {
    send: (response, status, body) => offer(response, status, JSON.stringify(body)),
    sendText: (response, type, text) => offer(response, 200, text, type),
    turn(work) {
      // An answer that nobody waits for is not computed.
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
