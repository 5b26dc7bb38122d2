/** `fairlead sync`: requests a run and shows its progress. */
import type { SyncLine, SyncRequest } from '../../control/protocol.ts';
import { AgentError } from '../../errors.ts';
import { type Context, EXIT } from '../context.ts';
import { statusText } from '../text/status-text.ts';
import { exitOfSync, isHeadUnread } from './exits.ts';
import { createLive } from './live.ts';

type Done = Extract<SyncLine, { type: 'done' }>;

export async function sync(c: Context, request: SyncRequest, { wait }: { wait: boolean }): Promise<number> {
  const left = c.terminal.interrupted();
  const live = createLive(c);
  let begun = false;
  let acted = false;
  let done: Done | null = null;
  try {
    const take = (line: SyncLine) => {
      begun = true;
      // Also what the run did that was waited for.
      if (line.type === 'action') acted = true;
      if (line.type === 'done') done = line;
      else if (!c.options.json) live.take(line);
    };
    await c.client.sync(request, { wait, line: take, signal: left });
  } finally {
    live.end();
  }
  if (done !== null) return tell(c, done, { acted });
  if (left.aborted) {
    const how = 'the run continues; `fairlead status` shows how it ends, `fairlead pause` holds later runs';
    c.complain(
      begun
        ? `interrupted: ${how}`
        : 'interrupted before the daemon answered; `fairlead status` shows what it is doing',
    );
    return EXIT.interrupted;
  }
  if (!wait) {
    c.print({ schema: 1, accepted: true }, () => 'The run was accepted; `fairlead status` shows how it ends.');
    return EXIT.ok;
  }
  throw new AgentError({
    code: 'DaemonUnreachable',
    phase: 'report',
    message: 'the daemon ended before the run did; see `journalctl -u fairlead`',
  });
}

function tell(c: Context, { type, run, status }: Done, { acted }: { acted: boolean }): number {
  const nothing = !acted && run.changed + run.failed === 0 && run.sync === 'synced' && !isHeadUnread(status);
  c.print({ schema: 1, type, run, status }, () =>
    [...(nothing ? ['Nothing to do: the host matches its commit.'] : []), statusText(status, c)].join('\n'),
  );
  return exitOfSync(run, status);
}
