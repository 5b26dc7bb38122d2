/** The relay as a process: its settings, its log, its signals. */
import { namesOf } from './cli/fleet/select.ts';
import { runRelay } from './fleet/relay/relay.ts';
import { readSettings } from './fleet/relay/settings.ts';
import { createRedactor } from './secrets/redact.ts';
import { systemClock } from './system/clock.ts';
import { createLogger } from './system/logger.ts';

/** Runs until a signal comes. @param check only reads the settings. Throws AgentError */
export async function relay(file: string, { check }: { check: boolean }): Promise<{ fleet: string }> {
  const settings = await readSettings(file);
  if (check) return { fleet: settings.fleet };
  const redactor = createRedactor();
  const log = createLogger({
    level: 'info',
    journal: process.env.JOURNAL_STREAM !== undefined,
    write: (line) => process.stdout.write(redactor.text(line)),
  });
  const ended = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => ended.abort());
  const outside = { env: process.env, secret: redactor.add, random: Math.random, clock: systemClock };
  const { names, file: list, repo } = settings.hosts ?? {};
  const listHosts = async () => names ?? (await namesOf({ hosts: list, repo }));
  await runRelay({ settings, file, log, listHosts, ...outside }, ended.signal);
  return { fleet: settings.fleet };
}
