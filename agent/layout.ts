/** Paths of a host, and how their files are opened. */
import { accessSync, constants, existsSync, mkdirSync, realpathSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type AgentConfig, parseConfig } from './config.ts';
import { AgentError } from './errors.ts';
import type { Log } from './log.ts';
import { readNamedSync } from './reading.ts';
import { openStore, readStore, type Store } from './store/db.ts';
import { createDiskFullStore } from './store/disk-full-store.ts';
import type { RunReader } from './store/history/run-reader.ts';
import { lockState } from './store/lock.ts';

export interface LayoutOptions {
  config?: string;
  root?: string;
}

export const rootOf = (options: LayoutOptions) => (options.root ? path.resolve(options.root) : '');
export const configFile = (options: LayoutOptions) => options.config ?? `${rootOf(options)}/etc/fairlead/agent.yaml`;
export const stateDir = (options: LayoutOptions) => `${rootOf(options)}/var/lib/fairlead`;
export const runDir = (options: LayoutOptions) => `${rootOf(options)}/run/fairlead`;

/** @param name of the host, if an earlier start fixed it */
export function loadConfig(options: LayoutOptions, name = os.hostname()): AgentConfig {
  const file = configFile(options);
  try {
    return parseConfig(file, String(readNamedSync(file)), name);
  } catch (thrown) {
    if (thrown instanceof AgentError) throw thrown;
    const { code, message: said } = thrown as NodeJS.ErrnoException;
    const hints: Record<string, string> = { ENOENT: '; `fairlead init` writes one', EACCES: '; run fairlead as root' };
    const why = `${said}${hints[code ?? ''] ?? ''}`;
    throw new AgentError({ code: 'InvalidConfig', phase: 'config', message: `cannot read ${file}: ${why}` });
  }
}

/** Directory of the running program. */
export const programDir = (): string => path.dirname(realpathSync(process.argv[1] ?? '.'));

/** The addon beside the bundle. */
function sqliteAddon(): string | undefined {
  // Without this the report resolves the name of each peer.
  (process.report as { excludeNetwork?: boolean }).excludeNetwork = true;
  const libc = (process.report.getReport() as { header: { glibcVersionRuntime?: string } }).header.glibcVersionRuntime
    ? 'linux'
    : 'linuxmusl';
  const file = path.join(programDir(), `better_sqlite3-${libc}-${process.arch}.node`);
  return existsSync(file) ? file : undefined;
}

export interface OpenState {
  store: Store;
  close(): void;
}

/** Opens the state directory for this process only, and creates it if missing. Throws AgentError `AlreadyRunning`, `StateUnwritable`. */
export function openState(options: LayoutOptions, log: Log): OpenState {
  const dir = stateDir(options);
  try {
    return openIn(dir, log);
  } catch (thrown) {
    if (thrown instanceof AgentError) throw thrown;
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    throw new AgentError({
      code: 'StateUnwritable',
      phase: 'config',
      message: `cannot use the state in ${dir}: ${why}; is the disk full or read only, and are you root?`,
      cause: thrown,
    });
  }
}

function openIn(dir: string, log: Log): OpenState {
  const nativeBinding = sqliteAddon();
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const lock = lockState({ dir, nativeBinding });
  try {
    const store = createDiskFullStore(openStore({ dir, nativeBinding, now: () => new Date(), log }), dir);
    return {
      store,
      close() {
        store.close();
        lock.release();
      },
    };
  } catch (thrown) {
    lock.release();
    throw thrown;
  }
}

/** Opens the database read-only, for commands while the agent is down. */
export function readHistory<T>(options: LayoutOptions, read: (runs: RunReader) => T): T {
  const dir = stateDir(options);
  const file = path.join(dir, 'history.db');
  const failed = (why: string) =>
    new AgentError({ code: 'DaemonUnreachable', phase: 'report', message: `the daemon is not running, and ${why}` });
  try {
    accessSync(file, constants.R_OK);
  } catch (thrown) {
    const isForbidden = (thrown as NodeJS.ErrnoException).code === 'EACCES';
    throw failed(isForbidden ? `${file} may be read by root alone` : `there is no history at ${file}`);
  }
  try {
    return readStore({ dir, nativeBinding: sqliteAddon() }, read);
  } catch (thrown) {
    throw failed(`the history at ${file} cannot be read: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  }
}
