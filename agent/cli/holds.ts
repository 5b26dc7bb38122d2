/** `pause`, `resume` and `rollback`: an operator's decisions about this host (docs/operations.md, "Holds"). */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { KINDS } from '../../manifests-schema/kinds/index.ts';
import type { HoldDocument } from '../control/protocol.ts';
import { type Context, EXIT } from './context.ts';
import { sync } from './sync.ts';
import { localTime } from './words.ts';

/** @param words ids of resources (the whole host if there is none), and then perhaps a command, for as long as which they are held */
export async function pause(
  c: Context,
  words: readonly string[],
  options: { for?: string; reason?: string },
): Promise<number> {
  const first = words.findIndex((word) => !isId(word));
  const ids = first === -1 ? words : words.slice(0, first);
  const command = first === -1 ? [] : words.slice(first);
  const what = ids.length > 0 ? { ids, ...(command.length > 0 ? { holder: process.pid } : {}) } : {};
  const document = await c.client.post<HoldDocument>('pause', { ...options, ...what });
  if (command.length > 0) return during(c, command, ids);
  const until = ids.length > 0 ? document.resources?.find(({ id }) => id === ids[0])?.until : document.pause?.until;
  const limit = until ? `until ${localTime(until)}` : `until \`${['fairlead resume', ...ids].join(' ')}\``;
  c.print(document, () =>
    ids.length > 0
      ? `Paused ${ids.join(', ')} ${limit}, with what depends on it: neither commits nor repairs change it.`
      : `Paused ${limit}: neither commits nor repairs change this host.`,
  );
  return EXIT.ok;
}

/** Runs a command, lets go when it has ended, and answers its exit code. */
async function during(c: Context, [program = '', ...args]: readonly string[], ids: readonly string[]): Promise<number> {
  try {
    return await new Promise<number>((resolve, reject) => {
      const child = spawn(program, args, { stdio: 'inherit' });
      // A signal of the terminal reaches the command as well, which decides what becomes of it.
      const pass = (signal: NodeJS.Signals) => void child.kill(signal);
      process.on('SIGINT', pass).on('SIGTERM', pass);
      child.once('error', (error) => reject(new Error(`cannot run ${program}: ${error.message}`)));
      child.once('close', (code, signal) => resolve(code ?? 128 + (constants.signals[signal ?? 'SIGTERM'] ?? 0)));
    });
  } finally {
    await c.client.post<HoldDocument>('resume', ids.length > 0 ? { ids } : {});
  }
}

const isId = (word: string): boolean => KINDS.some((kind) => word.startsWith(`${kind}:`));

export async function resume(c: Context, ids: readonly string[] = []): Promise<number> {
  const document = await c.client.post<HoldDocument>('resume', ids.length > 0 ? { ids } : {});
  const ended = [
    document.pause ? 'the pause' : '',
    document.pin ? `the pin to ${document.pin.commit.slice(0, 7)}` : '',
  ].filter(Boolean);
  c.print(document, () => {
    if (ids.length > 0) return `Ended the pause of ${ids.join(', ')}; a sync is under way.`;
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
