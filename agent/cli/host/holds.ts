/** `pause`, `resume` and `rollback`: an operator's decisions about this host (docs/operations.md, "Holds"). */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import type { StatusDocument } from '../../../manifests-schema/payloads.ts';
import type { HoldDocument } from '../../control/protocol.ts';
import { AgentError } from '../../errors.ts';
import { type Context, EXIT } from '../context.ts';
import { localTime } from '../text/words.ts';
import { sync } from './sync.ts';

interface Paused {
  /** Resources, by id or a part of one; the whole host if there is none. */
  ids: readonly string[];
  /** The resources after `--` are held for as long as the command runs. A mistyped word is never run as a command. */
  command: readonly string[];
}

export async function pause(
  c: Context,
  { ids, command }: Paused,
  options: { for?: string; reason?: string },
): Promise<number> {
  const what = ids.length > 0 ? { ids, ...(command.length > 0 ? { holder: process.pid } : {}) } : {};
  const document = await c.client.post<HoldDocument>('pause', { ...options, ...what });
  if (command.length > 0) return during(c, command, ids);
  // A part of an id was completed by the daemon; what it paused now has the newest time.
  const newest = (document.resources ?? [])
    .map(({ at }) => at)
    .sort()
    .at(-1);
  const paused = ids.length > 0 ? (document.resources ?? []).filter(({ at }) => at === newest) : [];
  const full = paused.map(({ id }) => id);
  const until = ids.length > 0 ? paused[0]?.until : document.pause?.until;
  const limit = until ? `until ${localTime(until)}` : `until \`${['fairlead resume', ...full].join(' ')}\``;
  c.print(document, () =>
    ids.length > 0
      ? `Paused ${full.join(', ')} ${limit}, with what depends on it: neither commits nor repairs change it.`
      : `Paused ${limit}: neither commits nor repairs change this host.`,
  );
  return EXIT.ok;
}

function notRun(program: string, { code, message }: NodeJS.ErrnoException): AgentError {
  const why = code === 'ENOENT' ? 'there is no such program' : code === 'EACCES' ? 'permission denied' : message;
  return new AgentError({ code: 'InvalidArgument', phase: 'report', message: `cannot run ${program}: ${why}` });
}

/** Runs a command, lets go when it has ended, and answers its exit code. */
async function during(c: Context, [program = '', ...args]: readonly string[], ids: readonly string[]): Promise<number> {
  try {
    return await new Promise<number>((resolve, reject) => {
      const child = spawn(program, args, { stdio: 'inherit' });
      // A signal of the terminal reaches the command as well, which decides what becomes of it.
      const pass = (signal: NodeJS.Signals) => void child.kill(signal);
      process.on('SIGINT', pass).on('SIGTERM', pass);
      child.once('error', (error) => reject(notRun(program, error)));
      child.once('close', (code, signal) => resolve(code ?? 128 + (constants.signals[signal ?? 'SIGTERM'] ?? 0)));
    });
  } finally {
    await c.client.post<HoldDocument>('resume', ids.length > 0 ? { ids } : {});
  }
}

export async function resume(c: Context, named: readonly string[] = []): Promise<number> {
  const before = named.length > 0 ? ((await c.client.get<StatusDocument>('status'))?.paused ?? []) : [];
  const document = await c.client.post<HoldDocument>('resume', named.length > 0 ? { ids: named } : {});
  const left = document.resources ?? [];
  const freed = before.map(({ id }) => id).filter((id) => !left.some((pause) => pause.id === id));
  const ended = [
    document.pause ? 'the pause' : '',
    document.pin ? `the pin to ${document.pin.commit.slice(0, 7)}` : '',
  ].filter(Boolean);
  c.print(document, () => {
    if (named.length > 0)
      return freed.length > 0
        ? `Ended the pause of ${freed.join(', ')}; a sync is under way.`
        : `Nothing was paused of ${named.join(', ')}.`;
    return ended.length > 0
      ? `Ended ${ended.join(' and ')}; a sync is under way.`
      : 'This host was neither paused nor pinned.';
  });
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
