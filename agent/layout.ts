/** Where a host keeps its things, and how they are opened. */
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type AgentConfig, parseConfig } from './config.ts';
import { AgentError } from './errors.ts';
import { type Log, silentLog } from './log.ts';
import { openStore, type Store } from './store/db.ts';

export interface LayoutOptions {
  config?: string;
  root?: string;
}

export const rootOf = (options: LayoutOptions) => (options.root ? path.resolve(options.root) : '');
export const configFile = (options: LayoutOptions) => options.config ?? `${rootOf(options)}/etc/fairlead/agent.yaml`;
export const stateDir = (options: LayoutOptions) => `${rootOf(options)}/var/lib/fairlead`;
export const runDir = (options: LayoutOptions) => `${rootOf(options)}/run/fairlead`;

export function loadConfig(options: LayoutOptions): AgentConfig {
  const file = configFile(options);
  try {
    return parseConfig(file, readFileSync(file, 'utf8'), os.hostname());
  } catch (thrown) {
    if (thrown instanceof AgentError) throw thrown;
    const why =
      (thrown as NodeJS.ErrnoException).code === 'ENOENT'
        ? 'there is no such file; docs/install.md shows one'
        : String(thrown);
    throw new AgentError({ code: 'InvalidConfig', phase: 'config', message: `cannot read ${file}: ${why}` });
  }
}

/** The addon that the build put beside the bundle. */
function sqliteAddon(): string | undefined {
  const libc = (process.report.getReport() as { header: { glibcVersionRuntime?: string } }).header.glibcVersionRuntime
    ? 'linux'
    : 'linuxmusl';
  const file = path.join(
    path.dirname(realpathSync(process.argv[1] ?? '.')),
    `better_sqlite3-${libc}-${process.arch}.node`,
  );
  return existsSync(file) ? file : undefined;
}

export function open(options: LayoutOptions, log: Log = silentLog): Store {
  return openStore({ dir: stateDir(options), nativeBinding: sqliteAddon(), now: () => new Date(), log });
}
