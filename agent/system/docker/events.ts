/** The engine's event stream (Docker Engine API, GET /events): newline-delimited JSON over its socket, kept up. */
import http from 'node:http';
import type { Log } from '../../log.ts';
import type { Clock } from '../clock.ts';
import { keepUp } from '../watch/keep-up.ts';

export interface DockerEvent {
  Type: string;
  Action: string;
  Actor: { ID: string; Attributes: Record<string, string> };
}

export interface DockerListener {
  /** Types and actions to subscribe to. */
  filters: { type: readonly string[]; event: readonly string[] };
  event(event: DockerEvent): void;
  /** See `KeepUpOptions.gap`. */
  gap(): void;
  /** Whether events are heard from now on. */
  listening(yes: boolean): void;
}

/** The engine's stream of events about containers, networks and volumes. */
export interface DockerEvents {
  /** Resolves once the stream is there, or after the first failed attempt; keeps it up until `signal` aborts. */
  follow(listener: DockerListener, signal: AbortSignal): Promise<void>;
  /** Id → labels of every container there is now. */
  labels(signal: AbortSignal): Promise<ReadonlyMap<string, Readonly<Record<string, string>>>>;
}

export interface DockerEventsOptions {
  /** Path of the engine's socket. */
  socket: string;
  clock: Clock;
  log: Log;
}

const ANSWER_MS = 10_000;
/** An event is a few hundred bytes; a line beyond this is not one. */
const MAX_LINE = 1024 * 1024;

export function createDockerEvents({ socket, clock, log }: DockerEventsOptions): DockerEvents {
  return {
    follow: (listener, signal) =>
      keepUp(
        {
          clock,
          log,
          session: (until, begun) =>
            stream(socket, listener, until, () => {
              listener.listening(true);
              begun();
            }).finally(() => listener.listening(false)),
          gap: listener.gap,
          lost: 'the events of the Docker engine are lost; until they are back, changes of containers are found by the schedule',
          back: 'the events of the Docker engine are heard again',
        },
        signal,
      ),
    labels: (signal) => containerLabels(socket, signal),
  };
}

function containerLabels(socket: string, signal: AbortSignal): Promise<Map<string, Record<string, string>>> {
  return new Promise((resolve, reject) => {
    const path = '/containers/json?all=1';
    const request = http.get({ socketPath: socket, path, agent: false, signal, timeout: ANSWER_MS }, (response) => {
      let text = '';
      response.on('error', reject);
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => {
        try {
          const found = JSON.parse(text) as { Id: string; Labels?: Record<string, string> }[];
          resolve(new Map(found.map((c) => [c.Id, c.Labels ?? {}])));
        } catch (thrown) {
          reject(thrown);
        }
      });
    });
    request.on('timeout', () => request.destroy(new Error('no answer')));
    request.on('error', reject);
  });
}

/** One stream, from its beginning to its end. */
function stream(socket: string, listener: DockerListener, signal: AbortSignal, begun: () => void): Promise<void> {
  const query = new URLSearchParams({ filters: JSON.stringify(listener.filters) });
  return new Promise((resolve, reject) => {
    const request = http.get({ socketPath: socket, path: `/events?${query}`, agent: false, signal });
    const late = setTimeout(() => request.destroy(new Error('no answer')), ANSWER_MS);
    request.on('error', reject);
    request.on('close', () => {
      clearTimeout(late);
      resolve();
    });
    request.on('response', (response) => {
      clearTimeout(late);
      response.on('error', reject);
      if (response.statusCode !== 200) {
        request.destroy(new Error(`the engine answers ${response.statusCode}`));
        return;
      }
      begun();
      let rest = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        const lines = (rest + chunk).split('\n');
        rest = (lines.pop() ?? '').slice(-MAX_LINE);
        for (const line of lines) deliver(line, listener);
      });
    });
  });
}

function deliver(line: string, listener: DockerListener): void {
  try {
    const event: unknown = JSON.parse(line);
    if (typeof event === 'object' && event !== null && 'Actor' in event) listener.event(event as DockerEvent);
  } catch {
    // Half a line of a stream that was cut: what it said is looked at when the stream is back.
  }
}
