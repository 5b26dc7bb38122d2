/** Answers without an end: what a run does, and events as they happen. */
import type http from 'node:http';
import type { ControlApi, SyncRequest } from './protocol.ts';
import { refusal, type Traffic } from './traffic.ts';

/** Bytes that a listener to events may fall behind before it is cut off. */
const MAX_BEHIND = 1024 * 1024;

/** The feed of one run. The run goes on when the listener leaves. */
export async function feedRun(api: ControlApi, options: SyncRequest, response: http.ServerResponse): Promise<void> {
  response.writeHead(200, { 'content-type': 'application/x-ndjson' });
  response.flushHeaders();
  let told = '';
  // Lines of the same turn of the event loop, such as those of a thousand files, are written together.
  const write = () => {
    if (told !== '' && !response.destroyed) response.write(told);
    told = '';
  };
  await api.sync(options, 'manual', (line) => {
    if (told === '') queueMicrotask(write);
    told += `${JSON.stringify(line)}\n`;
  });
  write();
  response.end();
}

/** The feed of events, until the listener leaves or the daemon ends. */
export function feedEvents(
  api: ControlApi,
  traffic: Traffic,
  after: string | null,
  response: http.ServerResponse,
): void {
  if (after !== null && !/^\d{1,15}$/.test(after)) {
    traffic.send(response, 400, { error: '`after` is the seq of an event' });
    return;
  }
  if (!traffic.listen(response)) {
    traffic.send(response, 503, refusal('as many listen to events of this socket as may'));
    return;
  }
  response.writeHead(200, { 'content-type': 'application/x-ndjson' });
  response.flushHeaders();
  const end = api.events(after === null ? null : Number(after), (event) => {
    // A listener that does not read must not fill the daemon's memory.
    if (response.writableLength > MAX_BEHIND) response.destroy();
    else response.write(`${JSON.stringify(event)}\n`);
  });
  response.on('close', end);
}
