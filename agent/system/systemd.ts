/** systemd over D-Bus (org.freedesktop.systemd1(5)): one kept connection, every call bounded in time. */
import type { MessageBus } from 'dbus-native';
import { AgentError } from '../errors.ts';

export interface UnitRow {
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
  /** One call for all; in the order of `names`. */
  list(names: readonly string[]): Promise<UnitRow[]>;
  /** Names of the units in memory that match a pattern and are neither inactive nor failed. */
  running(pattern: string): Promise<string[]>;
  /** enabled, disabled, static, masked …; '' where there is no unit file. Costs systemd a walk through its directories. */
  fileState(name: string): Promise<string>;
  /** @param iface Unit, Service, Socket … @param otherwise answered where there is no such property */
  property<T>(path: string, iface: string, name: string, otherwise: T): Promise<T>;
  reload(): Promise<void>;
  /** Queues a job and waits for its end. @returns done, failed, dependency, timeout, canceled, skipped …; not-loaded where there is no such unit */
  job(verb: JobVerb, unit: string, signal?: AbortSignal): Promise<string>;
  /** @returns whether the unit has an [Install] section */
  enable(unit: string): Promise<boolean>;
  /** One call for many. @returns those of which links were made; the others had theirs already, or have no [Install] section */
  enableAll(units: readonly string[]): Promise<ReadonlySet<string>>;
  /** Takes its links away and makes them anew, as its [Install] section now says. */
  reenable(unit: string): Promise<boolean>;
  disable(unit: string): Promise<void>;
  resetFailed(unit: string): Promise<void>;
  close(): void;
}

const NAME = 'org.freedesktop.systemd1';
const PATH = '/org/freedesktop/systemd1';
const MANAGER = `${NAME}.Manager`;
const CALL_TIMEOUT_MS = 25_000;
/** systemd ends a job by the unit's own TimeoutStartSec (90 s by default); a oneshot service may have none. */
const JOB_TIMEOUT_MS = 900_000;

interface Connection {
  bus: MessageBus;
  /** Job path → who waits for its result. */
  jobs: Map<string, (result: string) => void>;
  /** Results that came before we knew the job's path. */
  early: Map<string, string>;
}

/** @param socket path of the system bus */
export function createSystemd({ socket }: { socket: string }): Systemd {
  let current: Promise<Connection> | null = null;

  async function connect(): Promise<Connection> {
    const { default: dbus } = await import('dbus-native');
    const bus = dbus.createClient({ busAddress: `unix:path=${socket}`, authMethods: ['EXTERNAL'] });
    const connection: Connection = { bus, jobs: new Map(), early: new Map() };
    const lost = () => {
      current = null;
      for (const done of connection.jobs.values()) done('disconnected');
    };
    bus.connection.on('error', lost);
    bus.connection.on('end', lost);
    bus.connection.on('close', lost);
    bus.on('error', () => undefined);
    bus.connection.on('message', (message: { interface?: string; member?: string; body?: unknown[] }) => {
      if (message.interface !== MANAGER || message.member !== 'JobRemoved') return;
      const [, job, , result] = message.body as [number, string, string, string];
      const waiting = connection.jobs.get(job);
      if (waiting) waiting(result);
      else {
        connection.early.set(job, result);
        if (connection.early.size > 500) connection.early.clear();
      }
    });
    await bounded(
      Promise.resolve(bus.addMatch(`type='signal',sender='${NAME}',interface='${MANAGER}',member='JobRemoved'`)),
      'subscribe',
    );
    await invoke(connection, { member: 'Subscribe' }).catch(() => undefined);
    return connection;
  }

  const connection = async (): Promise<Connection> => {
    current ??= connect();
    try {
      return await current;
    } catch (thrown) {
      current = null;
      throw unreachable(thrown);
    }
  };
  const call = async <T>(member: string, signature?: string, body?: unknown[]): Promise<T> =>
    invoke<T>(await connection(), { member, ...(signature ? { signature } : {}), body: body ?? [] });

  return {
    async list(names) {
      type Raw = [string, string, string, string, string, string, string];
      // A template is no unit: one among them, and systemd answers none.
      const units = names.filter((name) => !/@\.[a-z]+$/.test(name));
      const rows = units.length === 0 ? [] : await call<Raw[]>('ListUnitsByNames', 'as', [units]);
      const byName = new Map(rows.map((r) => [r[0], r]));
      return names.map((name) => {
        const [, , load = 'not-found', active = 'inactive', sub = 'dead', , path = ''] = byName.get(name) ?? [];
        return { name, load, active, sub, path };
      });
    },
    async running(pattern) {
      const rows = await call<[string, string, string, string][]>('ListUnitsByPatterns', 'asas', [[], [pattern]]);
      return rows.filter(([, , , active]) => active !== 'inactive' && active !== 'failed').map(([name]) => name);
    },
    fileState: (name) => call<string>('GetUnitFileState', 's', [name]).catch(unlessUnreachable('')),
    async property<T>(path: string, iface: string, name: string, otherwise: T) {
      const answer = invoke<unknown>(await connection(), {
        path,
        interface: 'org.freedesktop.DBus.Properties',
        member: 'Get',
        signature: 'ss',
        body: [`${NAME}.${iface}`, name],
      });
      return answer.then((v) => plain<T>(v), unlessUnreachable(otherwise));
    },
    reload: () => call('Reload'),
    async job(verb, unit, signal) {
      const using = await connection();
      const path = await unlessGone(
        invoke<string>(using, { member: verb, signature: 'ss', body: [unit, 'replace'] }),
        null,
      );
      if (path === null) return 'not-loaded';
      const before = using.early.get(path);
      if (before !== undefined) {
        using.early.delete(path);
        return before;
      }
      return new Promise((resolve) => {
        const end = (result: string) => {
          clearTimeout(timer);
          using.jobs.delete(path);
          resolve(result);
        };
        const timer = setTimeout(() => end('timeout'), JOB_TIMEOUT_MS);
        using.jobs.set(path, end);
        // systemd goes on with it; only nobody waits any more.
        signal?.addEventListener('abort', () => end('not awaited'), { once: true });
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

/** For questions that systemd may refuse to answer; a bus that is away is still an error. */
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
    if (thrown.dbusName !== `${NAME}.NoSuchUnit`) throw thrown;
    return gone;
  });

interface Call {
  path?: string;
  interface?: string;
  member: string;
  signature?: string;
  body?: unknown[];
}

async function invoke<T>({ bus }: Connection, call: Call): Promise<T> {
  const answer = bus.invoke<T>({ destination: NAME, path: PATH, interface: MANAGER, ...call } as Parameters<
    MessageBus['invoke']
  >[0]);
  return bounded(Promise.resolve(answer), call.member);
}

async function bounded<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(unreachable(new Error(`${what}: no answer within ${CALL_TIMEOUT_MS / 1000} s`))),
      CALL_TIMEOUT_MS,
    );
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function unreachable(cause: unknown): AgentError {
  if (cause instanceof AgentError) return cause;
  const why = cause instanceof Error ? cause.message : String(cause);
  return new AgentError({
    code: 'SystemdUnreachable',
    phase: 'observe',
    retry: true,
    message: `cannot reach systemd over D-Bus: ${why}; is dbus running?`,
    cause,
  });
}
