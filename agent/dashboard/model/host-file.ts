/** All that the page keeps about the one host that is open. Pure. */
import { type Detail, detailOf, type Resource, resourcesOf } from './detail.ts';
import { createFeed } from './feed.ts';
import { type Happening, happeningOf, historyOf, type PastRun } from './history.ts';
import { type Sample, sampleOf } from './metrics.ts';

export interface HostFile {
  readonly host: string;
  readonly detail: Detail | null;
  /** null: the broker has none. */
  readonly resources: readonly Resource[] | null;
  readonly history: readonly PastRun[] | null;
  /** The oldest first, as far as this page has seen them. */
  readonly metrics: readonly Sample[];
  readonly events: readonly Happening[];
}

export interface HostReader {
  /** A new one after each change. */
  readonly file: HostFile;
  /** @param leaf last level of the topic @returns whether anything changed */
  take(leaf: string, payload: string): boolean;
}

/** Documents that are requested for the host on show. */
export const LEAVES = ['status', 'resources', 'history', 'metrics', 'events'] as const;

const EVENTS = 200;
/** A sample each minute: four hours. */
const SAMPLES = 240;

export function createHostReader(host: string): HostReader {
  const feed = createFeed(EVENTS);
  let file: HostFile = { host, detail: null, resources: null, history: null, metrics: [], events: [] };
  const set = (change: Partial<HostFile>) => {
    file = { ...file, ...change };
    return true;
  };
  return {
    get file() {
      return file;
    },
    take(leaf, payload) {
      if (payload === '') return false;
      switch (leaf) {
        case 'status':
          return set({ detail: detailOf(payload) });
        case 'resources':
          return set({ resources: resourcesOf(payload) });
        case 'history':
          return set({ history: historyOf(payload) });
        case 'metrics': {
          const sample = sampleOf(payload);
          const last = file.metrics.at(-1);
          if (sample === null || (last !== undefined && sample.at <= last.at)) return false;
          return set({ metrics: [...file.metrics, sample].slice(-SAMPLES) });
        }
        case 'events': {
          const event = happeningOf(host, payload);
          if (event !== null) feed.add(event);
          return set({ events: feed.list });
        }
        default:
          return false;
      }
    },
  };
}
