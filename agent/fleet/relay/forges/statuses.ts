/** Reports the progress of each commit to forges, as long as this relay holds the lease. */
import type { StatusSettings } from '../../../../manifests-schema/relay.ts';
import type { Log } from '../../../log.ts';
import { readWhole } from '../../../reading.ts';
import { replaceFile } from '../../../store/disk/durable-file.ts';
import { type Clock, endsWithin } from '../../../system/clock.ts';
import type { FleetRow } from '../../reader/model.ts';
import type { Turn } from '../turns.ts';
import type { Worker } from '../work.ts';
import { type Caller, createCaller } from './call.ts';
import { gitea } from './gitea.ts';
import { github } from './github.ts';
import { gitlab } from './gitlab.ts';
import { emptyMemory, type Memory, readMemory } from './memory.ts';
import { type Progress, progressOf } from './progress.ts';
import type { ForgeRules } from './rules.ts';
import { createSender } from './sender.ts';

export interface StatusesOptions {
  forges: readonly StatusSettings[];
  fleet: string;
  /** File with a second copy, for a broker that loses its retained messages. */
  file: string;
  turn: Turn;
  env: Record<string, string | undefined>;
  secret(text: string): void;
  clock: Clock;
  log: Log;
  random(): number;
  /** Sends a request; default: over HTTP. */
  callerOf?(settings: StatusSettings, rules: ForgeRules): Caller;
}

/** Commits do not wait for a host that has been offline this long, in ms. */
const PATIENCE_MS = 5 * 60_000;
/** Time for which a stop waits for the request in progress, in ms. */
const GRACE_MS = 3_000;

export const RULES: Readonly<Record<StatusSettings['forge'], ForgeRules>> = { github, gitlab, gitea };

export function createStatuses(options: StatusesOptions): Worker {
  const { clock, log, turn, env, secret } = options;
  const board = createBoard(clock);
  const names = options.forges.map((settings) => nameOf(settings));
  const kept = readShelf(turn.left('statuses')) ?? readShelf(textOf(options.file)) ?? {};
  const memories = Object.fromEntries(names.map((name) => [name, kept[name] ?? emptyMemory()]));
  const { callerOf = (settings, rules) => createCaller({ settings, rules, env, secret, now: nowOf(clock) }) } = options;

  async function save(): Promise<void> {
    const text = JSON.stringify({ schema: 1, forges: memories });
    try {
      replaceFile(options.file, text);
      await turn.share('statuses', text);
    } catch (thrown) {
      log.warn(
        { error: thrown instanceof Error ? thrown.message : String(thrown) },
        'the record of commit statuses cannot be stored; after a restart they are sent again',
      );
    }
  }

  const senders = options.forges.map((settings, at) => {
    const rules = RULES[settings.forge];
    return createSender({
      ...{ name: names[at] ?? '', fleet: options.fleet, settings, rules, clock, log, save, random: options.random },
      ...{ call: callerOf(settings, rules), memory: memories[names[at] ?? ''] ?? emptyMemory() },
      progress: board.progress,
    });
  });
  const stopper = new AbortController();
  /** Aborts the request in progress. */
  const cutter = new AbortController();
  let work: Promise<unknown> = Promise.resolve();
  const changed = () => {
    for (const sender of senders) sender.changed();
  };
  return {
    start() {
      work = Promise.all(senders.map((sender) => sender.run(stopper.signal, cutter.signal)));
      work.catch((thrown: unknown) =>
        log.error(
          { error: thrown instanceof Error ? thrown.stack : String(thrown) },
          'no commit statuses are sent any more: a bug',
        ),
      );
    },
    see(rows, how) {
      board.see(rows, how);
      changed();
    },
    forget(hosts) {
      if (hosts.length === 0) return;
      board.forget(hosts);
      changed();
    },
    async stop() {
      stopper.abort();
      const ended = work.catch(() => undefined);
      if (!(await endsWithin(GRACE_MS, ended, clock))) cutter.abort();
      await ended;
    },
  };
}

/** The rows, and the progress of the fleet in them. */
function createBoard(clock: Clock) {
  const rows = new Map<string, FleetRow>();
  /** Monotonic time since which a host has been offline. */
  const offlineSince = new Map<string, number>();
  let found: { progress: readonly Progress[]; until: number } | null = null;
  const put = (row: FleetRow) => {
    rows.set(row.host, row);
    if (row.presence !== 'offline') offlineSince.delete(row.host);
    else if (!offlineSince.has(row.host)) offlineSince.set(row.host, clock.monotonic());
  };
  return {
    see(seen: readonly FleetRow[], { isWhole }: { isWhole: boolean }): void {
      found = null;
      if (isWhole) {
        const hosts = new Set(seen.map(({ host }) => host));
        for (const host of rows.keys()) if (!hosts.has(host)) rows.delete(host);
        for (const host of offlineSince.keys()) if (!hosts.has(host)) offlineSince.delete(host);
      }
      seen.forEach(put);
    },
    forget(hosts: readonly string[]): void {
      found = null;
      for (const host of hosts) {
        rows.delete(host);
        offlineSince.delete(host);
      }
    },
    progress(): readonly Progress[] {
      const now = clock.monotonic();
      if (found !== null && now < found.until) return found.progress;
      const goneAt = (host: string) => (offlineSince.get(host) ?? Number.POSITIVE_INFINITY) + PATIENCE_MS;
      const progress = progressOf([...rows.values()], (host) => goneAt(host) <= now);
      const next = [...offlineSince.keys()].map(goneAt).filter((at) => at > now);
      found = { progress, until: next.reduce((first, at) => Math.min(first, at), Number.POSITIVE_INFINITY) };
      return progress;
    },
  };
}

const nowOf = (clock: Clock) => () => clock.now().getTime();
const textOf = (file: string): string => Buffer.from(readWhole(file) ?? []).toString('utf8');

/** Name of a forge in logs, and the key of its memory; contains no secret. */
const nameOf = ({ forge, url, repository, environment }: StatusSettings): string =>
  [forge, URL.parse(RULES[forge].rootOf(url))?.host ?? '', repository, ...(environment ? [environment] : [])].join(' ');

/** @returns null for text that no relay of this version wrote */
function readShelf(text: string): Record<string, Memory> | null {
  try {
    const value = JSON.parse(text) as { schema?: unknown; forges?: unknown } | null;
    if (value?.schema !== 1 || typeof value.forges !== 'object' || value.forges === null) return null;
    return Object.fromEntries(
      Object.entries(value.forges).map(([name, memory]) => [name, readMemory(memory) ?? emptyMemory()]),
    );
  } catch {
    return null;
  }
}
