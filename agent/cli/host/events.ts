/** `fairlead events`: what happens on this host, as it happens, until Ctrl-C. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { EventDocument } from '../../../manifests-schema/payloads.ts';
import { AgentError } from '../../errors.ts';
import { type Context, EXIT } from '../context.ts';
import { EVENT_INDENT, eventText } from '../text/event-text.ts';
import { wrap } from '../text/table.ts';

/** Pause between two attempts to reach a daemon that is being restarted, in ms. */
const RETRY_MS = 500;

export async function events(c: Context): Promise<number> {
  const left = c.terminal.interrupted();
  let last: number | null = null;
  const tell = (event: EventDocument) => {
    if (last !== null && event.seq > last + 1) c.complain(`${event.seq - last - 1} events were missed`);
    last = event.seq;
    if (c.options.json) c.write(JSON.stringify(event));
    else c.say(wrap(eventText(event, c.style), c.columns, EVENT_INDENT));
  };
  let feed = await c.client.events(last, left);
  for (;;) {
    for await (const event of feed) tell(event);
    if (left.aborted) return EXIT.ok;
    c.complain('the daemon ended; waiting for it to come back …');
    const again = await reconnect(c, last, left);
    if (again === null) return EXIT.ok;
    c.complain('the daemon is back');
    feed = again;
  }
}

/** Waits for a daemon that was there once to come back. @returns null if the listener stops first */
async function reconnect(
  { client }: Context,
  after: number | null,
  left: AbortSignal,
): Promise<AsyncIterable<EventDocument> | null> {
  while (!left.aborted) {
    try {
      return await client.events(after, left);
    } catch (thrown) {
      if (!left.aborted && !(thrown instanceof AgentError && thrown.code === 'DaemonUnreachable')) throw thrown;
    }
    await sleep(RETRY_MS, undefined, { signal: left }).catch(() => undefined);
  }
  return null;
}
