/** What systemd tells over D-Bus (org.freedesktop.systemd1(5)): a connection of its own, kept up. */
import type { MessageBus } from 'dbus-native';
import type { Log } from '../log.ts';
import type { Clock } from './clock.ts';
import { keepUp } from './keep-up.ts';

export interface SystemdListener {
  /** A property of this unit changed: its state, its result. */
  unit(name: string): void;
  /** Unit files or the manager's view of them changed, or signals may have been missed. */
  all(): void;
}

export interface SystemdSignalsOptions extends SystemdListener {
  /** Path of the system bus. */
  socket: string;
  clock: Clock;
  log: Log;
}

export interface SystemdSignals {
  /** Resolves once subscribed, or after the first failed attempt; keeps the connection up until `signal` aborts. */
  start(signal: AbortSignal): Promise<void>;
  /** The units to hear of, instead of those before. */
  units(names: readonly string[]): void;
}

const NAME = 'org.freedesktop.systemd1';
const PATH = '/org/freedesktop/systemd1';
const MANAGER = `${NAME}.Manager`;
const PROPERTIES = 'org.freedesktop.DBus.Properties';
const CALL_TIMEOUT_MS = 10_000;
/** The bus grants 512 rules a connection by default (dbus-daemon(1), max_match_rules_per_connection). */
const MAX_RULES = 400;

interface Signal {
  path?: string;
  interface?: string;
  member?: string;
  body?: unknown[];
}

export function createSystemdSignals(options: SystemdSignalsOptions): SystemdSignals {
  const { clock, log } = options;
  /** Object path → unit. */
  let wanted = new Map<string, string>();
  let bus: MessageBus | null = null;
  let rules = new Set<string>();

  const onMessage = (message: Signal) => {
    if (message.interface === PROPERTIES && message.member === 'PropertiesChanged') {
      const unit = wanted.get(message.path ?? '');
      if (unit !== undefined) options.unit(unit);
    } else if (message.interface === MANAGER) {
      // A reload is told twice: `true` as it begins, `false` when the new view is there.
      if (message.member === 'UnitFilesChanged') options.all();
      else if (message.member === 'Reloading' && message.body?.[0] === false) options.all();
    }
  };

  /** Brings the bus's rules in line with what is wanted. UnitNew and UnitRemoved are left out: looking at a unit makes them. */
  const subscribe = async (on: MessageBus): Promise<void> => {
    const signal = `type='signal',sender='${NAME}'`;
    const changed = `${signal},interface='${PROPERTIES}',member='PropertiesChanged'`;
    const each = [...wanted.keys()].map((path) => `${changed},path='${path}'`);
    const next = new Set([
      `${signal},interface='${MANAGER}',member='UnitFilesChanged'`,
      `${signal},interface='${MANAGER}',member='Reloading'`,
      ...(each.length <= MAX_RULES ? each : [`${changed},path_namespace='${PATH}/unit'`]),
    ]);
    const before = rules;
    rules = next;
    await Promise.all([
      ...[...next].filter((rule) => !before.has(rule)).map((rule) => bounded(Promise.resolve(on.addMatch(rule)))),
      ...[...before].filter((rule) => !next.has(rule)).map((rule) => bounded(Promise.resolve(on.removeMatch(rule)))),
    ]);
  };

  /** One connection, from its beginning to its end. */
  async function session(signal: AbortSignal, subscribed: () => void): Promise<void> {
    const { default: dbus } = await import('dbus-native');
    const on = dbus.createClient({ busAddress: `unix:path=${options.socket}`, authMethods: ['EXTERNAL'] });
    const ended = new Promise<void>((resolve) => {
      for (const event of ['error', 'end', 'close']) on.connection.on(event, () => resolve());
    });
    on.on('error', () => undefined);
    on.connection.on('message', onMessage);
    const stop = () => on.connection.end();
    signal.addEventListener('abort', stop, { once: true });
    try {
      rules = new Set();
      const ready = async () => {
        await subscribe(on);
        // Without a subscriber systemd sends none of its signals.
        await bounded(
          Promise.resolve(on.invoke({ destination: NAME, path: PATH, interface: MANAGER, member: 'Subscribe' })),
        ).catch((thrown: unknown) => {
          if (!/AlreadySubscribed/.test(String((thrown as { dbusName?: unknown }).dbusName))) throw thrown;
        });
      };
      const lost = ended.then(() => Promise.reject(new Error('the connection was closed')));
      lost.catch(() => undefined);
      await Promise.race([ready(), lost]);
      bus = on;
      subscribed();
      await ended;
    } finally {
      bus = null;
      signal.removeEventListener('abort', stop);
      on.connection.end();
    }
  }

  return {
    start: (signal) =>
      keepUp(
        {
          clock,
          log,
          session,
          gap: options.all,
          lost: 'the connection to D-Bus is away; changes of units are found by the schedule until it is back',
          back: 'systemd is heard again over D-Bus',
        },
        signal,
      ),
    units(names) {
      wanted = new Map(names.map((name) => [`${PATH}/unit/${escapeLabel(name)}`, name]));
      if (bus) void subscribe(bus).catch((thrown) => log.warn({ error: String(thrown) }, 'cannot subscribe to units'));
    },
  };
}

/** A unit's name as the last part of its object path: what is no ASCII letter or digit as `_xx`, and a leading digit too. */
export const escapeLabel = (name: string): string =>
  [...new TextEncoder().encode(name)]
    .map((byte, i) => {
      const char = String.fromCharCode(byte);
      const plain = /[A-Za-z]/.test(char) || (i > 0 && /[0-9]/.test(char));
      return plain ? char : `_${byte.toString(16).padStart(2, '0')}`;
    })
    .join('');

async function bounded<T>(promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${CALL_TIMEOUT_MS / 1000} s`)), CALL_TIMEOUT_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
