/** `pause`, `resume` and `rollback`: an operator's decisions about this host (docs/operations.md, "Holds"). */
import type { HoldDocument } from '../control/protocol.ts';
import { type Context, EXIT } from './context.ts';
import { sync } from './sync.ts';

export async function pause(c: Context, options: { for?: string; reason?: string }): Promise<number> {
  const document = await c.client.post<HoldDocument>('pause', options);
  const until = document.pause?.until ? `until ${document.pause.until}` : 'until `fairlead resume`';
  c.print(document, () => `Paused ${until}: neither commits nor repairs change this host.`);
  return EXIT.ok;
}

export async function resume(c: Context): Promise<number> {
  const document = await c.client.post<HoldDocument>('resume', {});
  const ended = [
    document.pause ? 'the pause' : '',
    document.pin ? `the pin to ${document.pin.commit.slice(0, 7)}` : '',
  ].filter(Boolean);
  c.print(document, () =>
    ended.length > 0
      ? `Ended ${ended.join(' and ')}; a sync is under way.`
      : 'This host was neither paused nor pinned.',
  );
  return EXIT.ok;
}

export async function rollback(
  c: Context,
  commit: string | undefined,
  { force = false }: { force?: boolean | undefined },
): Promise<number> {
  const request = { ...(commit === undefined ? {} : { commit }), ...(force ? { force } : {}), watched: true };
  const document = await c.client.post<HoldDocument>('rollback', request);
  if (!c.options.json && document.pin) c.say(`pinned to ${document.pin.commit.slice(0, 7)} until \`fairlead resume\``);
  // A pinned host is held on purpose, so `held` is success here.
  const code = await sync(c, force ? { force } : {}, { wait: true });
  return code === EXIT.pending ? EXIT.ok : code;
}
