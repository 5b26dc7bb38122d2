/**
 * A relay as a process that can be killed: `node relay-process.ts SETTINGS`. Its time passes faster; its log goes to its output,
 * one JSON object a line.
 */
import { runRelay } from '../../agent/fleet/relay/relay.ts';
import { readSettings } from '../../agent/fleet/relay/settings.ts';
import type { Log } from '../../agent/log.ts';
import { createFasterClock } from '../fakes/faster-clock.ts';

const file = process.argv[2] ?? '';
const say = (fields: Record<string, unknown>, message: string) =>
  void process.stdout.write(`${JSON.stringify({ ...fields, message })}\n`);
const log: Log = { debug: () => undefined, info: say, warn: say, error: say };
const ended = new AbortController();
process.once('SIGTERM', () => ended.abort());
await runRelay(
  {
    ...{ settings: await readSettings(file), file, log, clock: createFasterClock(4), random: Math.random },
    ...{ env: {}, secret: () => undefined, listHosts: async () => null },
    onListening: ({ port }) => say({ port }, 'listening'),
  },
  ended.signal,
);
