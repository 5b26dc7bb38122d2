/** systemd over D-Bus (org.freedesktop.systemd1(5)): one kept connection, every call bounded in time. */
import type { MessageBus } from 'dbus-native';
import { AgentError } from '../../errors.ts';
import { createLanes } from '../side-by-side.ts';
import { isRefusal, openSystemdBus, type Signal, SYSTEMD, SYSTEMD_MANAGER, SYSTEMD_PATH, within } from './bus.ts';
import { type RawUnitRow, rowsByName } from './unit-rows.ts';

export interface UnitRow {
  /** As it was asked, which may be an alias; the rest is of the unit behind it. */
  name: string;
  /** loaded, not-found, masked, error, bad-setting …; not-found for templates, too */
  load: string;
  /** active, inactive, activating, failed … */
  active: string;
  sub: string;
  /** D-Bus object path; '' where systemd has no such unit in memory. */
  path: string;
}

export type JobVerb =
  | 'StartUnit'
  | 'StopUnit'
  | 'RestartUnit'
  | 'TryRestartUnit'
  | 'ReloadOrRestartUnit'
  | 'ReloadOrTryRestartUnit';

export interface Systemd {
  /** One call for all units; results in the order of `names`. */
  list(names: readonly string[]): Promise<UnitRow[]>;
  /** Names of the units in memory that match a pattern and are neither inactive nor failed. */
  running(pattern: string): Promise<string[]>;
  /** enabled, disabled, static, masked …; '' if there is no unit file. Costs systemd a walk through its directories. */
  fileState(name: string): Promise<string>;
  /** @param iface Unit, Service, Socket … @param otherwise answered where there is no such property */
  property<T>(path: string, iface: string, name: string, otherwise: T): Promise<T>;
  reload(): Promise<void>;
  /**
   * Queues a job and waits for its end.
   * @returns done, failed, dependency, timeout, canceled, skipped …; not-loaded where there is no such unit; unknown if
   * systemd reported the end of the job while nobody could hear it, or the bus was lost
   */
  job(verb: JobVerb, unit: string, signal?: AbortSignal): Promise<string>;
  /** @returns whether the unit has an [Install] section */
  enable(unit: string): Promise<boolean>;
  /**
   * One call for many units.
   * @returns the units for which links were created; the others were enabled already, or have no [Install] section
   */
  enableAll(units: readonly string[]): Promise<ReadonlySet<string>>;
  /** Removes its links and makes them again, as its [Install] section now says. */
  reenable(unit: string): Promise<boolean>;
  disable(unit: string): Promise<void>;
  resetFailed(unit: string): Promise<void>;
  /** Keeps a unit in systemd's memory, with the result of its last start, until `release`; does nothing if that is impossible. */
  keep(unit: string): Promise<void>;
  release(unit: string): Promise<void>;
  close(): void;
}

const CALL_TIMEOUT_MS = 25_000;
/** The timeout of systemctl (DAEMON_RELOAD_TIMEOUT_SEC of systemd): systemd reads all unit files and runs all generators. */
const RELOAD_TIMEOUT_MS = 180_000;
/** systemd ends a job by the unit's own TimeoutStartSec (90 s by default); a oneshot service may have none. */
const JOB_TIMEOUT_MS = 900_000;

/**
 * Calls without an answer yet. The bus refuses more than 128 of a connection (dbus-daemon(1), max_replies_per_connection), and
 * systemd answers one after another anyway.
 */
const WIDTH = 64;

interface Connection {
  bus: MessageBus;
  /** Bounds the number of calls that wait for their answers. */
  inLane: ReturnType<typeof createLanes>;
  /** Job path → who waits for its result: systemd merges jobs of one unit, so several calls may have the same path. */
  jobs: Map<string, Set<(result: string) => void>>;
  /** Calls that queue a job and have not been answered yet. */
  asking: number;
  /** Results that came before the answer with the job's path; kept only while a call is under way. */
  early: Map<string, string>;
}

/** systemd reports the jobs of everybody, and a transaction may have hundreds: the oldest result gives way. */
const MAX_EARLY = 1_000;

/** @param socket path of the system bus */
export function createSystemd({ socket }: { socket: string }): Systemd {
  let current: Promise<Connection> | null = null;
  /** Leaves a newer connection alone, which another caller may have begun. */
  const forget = (old: Promise<Connection>) => {
    if (current === old) current = null;
  };

  /** @param lost called once the connection is of no more use */
  async function connect(lost: () => void): Promise<Connection> {
    const jobs: Connection['jobs'] = new Map();
    const early: Connection['early'] = new Map();
    const settle = (job: string, result: string) => {
      for (const end of jobs.get(job) ?? []) end(result);
    };
    const heard = ({ interface: from, member, body }: Signal) => {
      if (from !== SYSTEMD_MANAGER || member !== 'JobRemoved') return;
      const [, job, , result] = body as [number, string, string, string];
      settle(job, result);
      // Another call may have the same path, which is not known yet.
      if (opened.asking > 0) {
        early.set(job, result);
        const [oldest] = early.keys();
        if (early.size > MAX_EARLY && oldest !== undefined) early.delete(oldest);
      }
    };
    // systemd refuses who has subscribed already.
    const subscribe = () => invoke(opened, { member: 'Subscribe' }).catch(unlessUnreachable(undefined));
    /** Jobs outlive `systemctl daemon-reexec`; the end of one is not reported before the agent has subscribed again. */
    const takeUp = async () => {
      await subscribe();
      for (const job of [...jobs.keys()]) {
        const state = get(opened, job, 'Job', 'State').catch(unlessUnreachable(null));
        if ((await state) === null) settle(job, 'unknown');
      }
    };
    const { bus, ended, identify } = await openSystemdBus({
      socket,
      timeoutMs: CALL_TIMEOUT_MS,
      heard,
      // Without a subscription no job would ever end.
      replaced: () => void takeUp().catch(() => bus.connection.end()),
    });
    const opened: Connection = { bus, inLane: createLanes(WIDTH), jobs, early, asking: 0 };
    void ended.then(() => {
      lost();
      for (const job of [...jobs.keys()]) settle(job, 'unknown');
    });
    const closed = ended.then(() => Promise.reject(new Error('the connection was closed')));
    closed.catch(() => undefined);
    try {
      await Promise.race([identify(), closed]);
      await bounded(
        bus.addMatch(`type='signal',sender='${SYSTEMD}',interface='${SYSTEMD_MANAGER}',member='JobRemoved'`),
        'subscribe',
      );
      await subscribe();
    } catch (thrown) {
      // The bus has room for 256 connections of a user (dbus-daemon(1), max_connections_per_user), and root's programs share it.
      bus.connection.end();
      throw thrown;
    }
    return opened;
  }

  const begin = (): Promise<Connection> => {
    const begun: Promise<Connection> = connect(() => forget(begun));
    return begun;
  };
  const connection = async (): Promise<Connection> => {
    current ??= begin();
    const mine = current;
    try {
      return await mine;
    } catch (thrown) {
      forget(mine);
      throw unreachable(thrown);
    }
  };
  const call = async <T>(member: string, signature?: string, body?: unknown[]): Promise<T> =>
    invoke<T>(await connection(), { member, ...(signature ? { signature } : {}), body: body ?? [] });

  return {
    async list(names) {
      const rows = await rowsByName(names, (units) => call<RawUnitRow[]>('ListUnitsByNames', 'as', [units]));
      return names.map((name) => {
        const [, , load = 'not-found', active = 'inactive', sub = 'dead', , path = ''] = rows.get(name) ?? [];
        return { name, load, active, sub, path };
      });
    },
    async running(pattern) {
      const rows = await call<[string, string, string, string][]>('ListUnitsByPatterns', 'asas', [[], [pattern]]);
      return rows.filter(([, , , active]) => active !== 'inactive' && active !== 'failed').map(([name]) => name);
    },
    fileState: (name) => call<string>('GetUnitFileState', 's', [name]).catch(unlessUnreachable('')),
    async property<T>(path: string, iface: string, name: string, otherwise: T) {
      const answer = get(await connection(), path, iface, name);
      return answer.then((v) => plain<T>(v), unlessUnreachable(otherwise));
    },
    reload: async () => invoke<void>(await connection(), { member: 'Reload' }, RELOAD_TIMEOUT_MS),
    async job(verb, unit, signal) {
      const using = await connection();
      using.asking++;
      let before: string | undefined;
      let path: string | null;
      try {
        const asked = invoke<string>(using, { member: verb, signature: 'ss', body: [unit, 'replace'] });
        path = await unlessGone(asked, null);
        before = using.early.get(path ?? '');
      } finally {
        // Nobody waits for the job before its path is known, so earlier results are of no use.
        if (--using.asking === 0) using.early.clear();
      }
      if (path === null) return 'not-loaded';
      if (before !== undefined) return before;
      // Nobody tells a listener of an abort that is over already.
      if (signal?.aborted) return 'not awaited';
      const waiting = using.jobs.get(path) ?? new Set();
      return new Promise((resolve) => {
        const end = (result: string) => {
          clearTimeout(timer);
          signal?.removeEventListener('abort', aborted);
          waiting.delete(end);
          if (waiting.size === 0) using.jobs.delete(path);
          resolve(result);
        };
        const timer = setTimeout(() => end('timeout'), JOB_TIMEOUT_MS);
        using.jobs.set(path, waiting.add(end));
        // systemd continues with it; only nobody waits any more.
        const aborted = () => end('not awaited');
        signal?.addEventListener('abort', aborted, { once: true });
      });
    },
    enable: (unit) => installed(call('EnableUnitFiles', 'asbb', [[unit], false, true])),
    async enableAll(units) {
      type Link = [type: string, at: string, to: string];
      const answer = await call<[boolean, Link[]]>('EnableUnitFiles', 'asbb', [units, false, true]);
      const [, links] = answer;
      return new Set(links.flatMap(([, at, to]) => [at, to].map((path) => path.slice(path.lastIndexOf('/') + 1))));
    },
    reenable: (unit) => installed(call('ReenableUnitFiles', 'asbb', [[unit], false, true])),
    disable: (unit) => unlessGone(call<void>('DisableUnitFiles', 'asb', [[unit], false]), undefined),
    resetFailed: (unit) => call<void>('ResetFailedUnit', 's', [unit]).catch(() => undefined),
    keep: (unit) => call<void>('RefUnit', 's', [unit]).catch(() => undefined),
    release: (unit) => call<void>('UnrefUnit', 's', [unit]).catch(() => undefined),
    close() {
      void current?.then(
        ({ bus }) => bus.connection.end(),
        () => undefined,
      );
      current = null;
    },
  };
}

/** Two answers come as a list, of which the first says whether there is an [Install] section. */
const installed = async (answer: Promise<[boolean, unknown] | boolean>): Promise<boolean> => {
  const got = await answer;
  return Array.isArray(got) ? got[0] : got;
};

/** For questions that systemd may refuse to answer. No answer at all is still an error. */
const unlessUnreachable =
  <T>(otherwise: T) =>
  (thrown: unknown): T => {
    if (thrown instanceof AgentError) throw thrown;
    return otherwise;
  };

/** A variant as the library hands it over: [signature, [value]]. */
function plain<T>(value: unknown): T {
  return Array.isArray(value) && value.length === 2 && Array.isArray(value[1]) ? (value[1][0] as T) : (value as T);
}

/** The answer, or `gone` where systemd knows no such unit. */
const unlessGone = <T, G>(answer: Promise<T>, gone: G): Promise<T | G> =>
  answer.catch((thrown: { dbusName?: string }) => {
    if (thrown.dbusName !== `${SYSTEMD}.NoSuchUnit`) throw thrown;
    return gone;
  });

interface Call {
  path?: string;
  interface?: string;
  member: string;
  signature?: string;
  body?: unknown[];
}

/** @throws AgentError `SystemdUnreachable` if systemd does not answer; the error of systemd if it refuses */
async function invoke<T>({ bus, inLane }: Connection, call: Call, timeoutMs = CALL_TIMEOUT_MS): Promise<T> {
  const message = { destination: SYSTEMD, path: SYSTEMD_PATH, interface: SYSTEMD_MANAGER, ...call };
  return inLane(() => {
    const answer = bus.invoke<T>(message as Parameters<MessageBus['invoke']>[0], { timeout: timeoutMs });
    return bounded(answer, call.member, timeoutMs);
  });
}

const get = (on: Connection, path: string, iface: string, name: string): Promise<unknown> =>
  invoke<unknown>(on, {
    path,
    interface: 'org.freedesktop.DBus.Properties',
    member: 'Get',
    signature: 'ss',
    body: [`${SYSTEMD}.${iface}`, name],
  });

/** @throws AgentError `SystemdUnreachable` after this time, in ms */
const bounded = <T>(answer: PromiseLike<T>, what: string, timeoutMs = CALL_TIMEOUT_MS): Promise<T> =>
  within(timeoutMs, what, answer).catch((thrown: unknown) => {
    throw isRefusal(thrown) ? thrown : unreachable(thrown);
  });

function unreachable(cause: unknown): AgentError {
  if (cause instanceof AgentError) return cause;
  const why = cause instanceof Error ? cause.message : String(cause);
  return new AgentError({
    code: 'SystemdUnreachable',
    phase: 'observe',
    message: `cannot reach systemd over D-Bus: ${why}; is dbus running?`,
    cause,
  });
}
