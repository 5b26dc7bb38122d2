/** systemd over D-Bus (org.freedesktop.systemd1(5)): one kept connection, every call bounded in time. */
import type { MessageBus } from 'dbus-native';
import { AgentError } from '../errors.ts';

export interface UnitState {
  name: string;
  /** loaded, not-found, masked, error, bad-setting … */
  load: string;
  /** active, inactive, activating, failed … */
  active: string;
  sub: string;
  /** enabled, disabled, static, masked … ; '' where there is no unit file. */
  file: string;
  needReload: boolean;
  /** Of the last job, e.g. success, exit-code. */
  result: string;
  /** Exit status of the main process of a service, 0 for others. */
  exitStatus: number;
  /** systemd.service(5) Type=, '' for other units. */
  type: string;
  /** Microseconds (CLOCK_REALTIME) of the last start of a service's main process; 0 if never. */
  startedAt: number;
}

export type JobVerb = 'StartUnit' | 'StopUnit' | 'RestartUnit' | 'ReloadOrRestartUnit';

export interface Systemd {
  /** One batched call for all, then a few properties of each that is loaded. */
  units(names: readonly string[]): Promise<UnitState[]>;
  reload(): Promise<void>;
  /** Queues a job and waits for its end. @returns done, failed, dependency, timeout, canceled, skipped …; not-loaded where there is no such unit */
  job(verb: JobVerb, unit: string): Promise<string>;
  /** @returns whether the unit has an [Install] section */
  enable(unit: string): Promise<boolean>;
  disable(unit: string): Promise<void>;
  resetFailed(unit: string): Promise<void>;
  close(): void;
}

const NAME = 'org.freedesktop.systemd1';
const PATH = '/org/freedesktop/systemd1';
const MANAGER = `${NAME}.Manager`;
const CALL_TIMEOUT_MS = 25_000;
/** A unit's own TimeoutStartSec is 90 s by default; systemd ends the job itself then. */
const JOB_TIMEOUT_MS = 120_000;

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
    async units(names) {
      const rows = await call<[string, string, string, string, string, string, string][]>('ListUnitsByNames', 'as', [
        names,
      ]);
      const byName = new Map(rows.map((r) => [r[0], r]));
      const using = await connection();
      return Promise.all(names.map((name) => readUnit(using, name, byName.get(name))));
    },
    reload: () => call('Reload'),
    async job(verb, unit) {
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
      });
    },
    async enable(unit) {
      const answer = await call<[boolean, unknown] | boolean>('EnableUnitFiles', 'asbb', [[unit], false, true]);
      return Array.isArray(answer) ? answer[0] : answer;
    },
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

async function readUnit(using: Connection, name: string, row: readonly string[] | undefined): Promise<UnitState> {
  const [, , load = 'not-found', active = 'inactive', sub = 'dead', , path = ''] = row ?? [];
  const file = await invoke<string>(using, { member: 'GetUnitFileState', signature: 's', body: [name] }).catch(
    () => '',
  );
  const state: UnitState = {
    name,
    load,
    active,
    sub,
    file,
    needReload: false,
    result: '',
    exitStatus: 0,
    type: '',
    startedAt: 0,
  };
  if (load === 'not-found' || !path) return state;
  const get = <T>(iface: string, property: string, otherwise: T): Promise<T> =>
    invoke<unknown>(using, {
      path,
      interface: 'org.freedesktop.DBus.Properties',
      member: 'Get',
      signature: 'ss',
      body: [`${NAME}.${iface}`, property],
    }).then(
      (v) => plain<T>(v),
      () => otherwise,
    );
  state.needReload = await get('Unit', 'NeedDaemonReload', false);
  if (name.endsWith('.service')) {
    [state.result, state.exitStatus, state.type, state.startedAt] = await Promise.all([
      get('Service', 'Result', ''),
      get('Service', 'ExecMainStatus', 0),
      get('Service', 'Type', ''),
      get('Service', 'ExecMainStartTimestamp', 0).then(Number),
    ]);
  }
  return state;
}

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
