/** Receives signals of systemd over D-Bus (org.freedesktop.systemd1(5)) on a connection of its own, which is kept up. */
import type { MessageBus } from 'dbus-native';
import type { Log } from '../../log.ts';
import type { Clock } from '../clock.ts';
import { keepUp } from '../watch/keep-up.ts';
import { isRefusal, openSystemdBus, type Signal, SYSTEMD, SYSTEMD_MANAGER, SYSTEMD_PATH, within } from './bus.ts';
import { type RawUnitRow, rowsByName } from './unit-rows.ts';

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

const PROPERTIES = 'org.freedesktop.DBus.Properties';
const CALL_TIMEOUT_MS = 10_000;
/** The bus grants 512 rules a connection by default (dbus-daemon(1), max_match_rules_per_connection). */
const MAX_RULES = 400;

/** One connection to the bus, from its beginning to its end. */
interface Session {
  bus: MessageBus;
  /** Match rules that it was asked for. */
  rules: ReadonlySet<string>;
  /** Ends it, so that the next one begins anew: a rule or a subscription that was not granted would stay silent for good. */
  fail(why: unknown): void;
}

export function createSystemdSignals(options: SystemdSignalsOptions): SystemdSignals {
  const { clock, log } = options;
  let units: readonly string[] = [];
  /** Object path → the names by which its unit was declared, aliases among them. */
  let wanted = new Map<string, ReadonlySet<string>>();
  /** Alias → object path of the unit behind it, from which its signals come. */
  let aliases = new Map<string, string>();
  let current: Session | null = null;

  const onMessage = (message: Signal) => {
    if (message.interface === PROPERTIES && message.member === 'PropertiesChanged') {
      for (const unit of wanted.get(message.path ?? '') ?? []) options.unit(unit);
    } else if (message.interface === SYSTEMD_MANAGER) {
      // A reload is signalled twice: `true` when it begins, `false` when the new state is loaded.
      if (message.member === 'UnitFilesChanged') options.all();
      else if (message.member === 'Reloading' && message.body?.[0] === false) {
        options.all();
        // A reload may have brought an alias, or have given it to another unit.
        if (current) follow(current);
      }
    }
  };

  const follow = (to: Session): void => void subscribe(to).catch(to.fail);

  /** Subscribes to the units by their own names, and to those behind an alias once systemd has named them. */
  const subscribe = async (to: Session): Promise<void> => {
    const names = units;
    await match(to);
    const rows = await rowsByName(names, (asked) => listUnits(to.bus, asked));
    // Otherwise a later call asks for the newer ones.
    if (names !== units) return;
    const before = aliases;
    aliases = new Map([...rows].flatMap(([name, [id, , , , , , path]]) => (id === name ? [] : [[name, path]])));
    wanted = pathsOf(names, aliases);
    await match(to);
    // Until now a change of theirs went unheard.
    for (const [name, path] of aliases) if (before.get(name) !== path) options.unit(name);
  };

  /** Updates the match rules on the bus. UnitNew and UnitRemoved are left out: observing a unit causes them. */
  const match = async (to: Session): Promise<void> => {
    const signal = `type='signal',sender='${SYSTEMD}'`;
    const changed = `${signal},interface='${PROPERTIES}',member='PropertiesChanged'`;
    const each = [...wanted.keys()].map((path) => `${changed},path='${path}'`);
    const next = new Set([
      `${signal},interface='${SYSTEMD_MANAGER}',member='UnitFilesChanged'`,
      `${signal},interface='${SYSTEMD_MANAGER}',member='Reloading'`,
      ...(each.length <= MAX_RULES ? each : [`${changed},path_namespace='${SYSTEMD_PATH}/unit'`]),
    ]);
    const before = to.rules;
    to.rules = next;
    await Promise.all([
      ...[...next].filter((rule) => !before.has(rule)).map((rule) => bounded('AddMatch', to.bus.addMatch(rule))),
      ...[...before].filter((rule) => !next.has(rule)).map((rule) => bounded('RemoveMatch', to.bus.removeMatch(rule))),
    ]);
  };

  /** One connection, from its beginning to its end. */
  async function session(signal: AbortSignal, subscribed: () => void): Promise<void> {
    const listen = async (to: MessageBus) => {
      const call = { destination: SYSTEMD, path: SYSTEMD_PATH, interface: SYSTEMD_MANAGER, member: 'Subscribe' };
      await bounded('Subscribe', to.invoke(call)).catch((thrown: unknown) => {
        if (!/AlreadySubscribed/.test(String((thrown as { dbusName?: unknown }).dbusName))) throw thrown;
      });
    };
    const { bus, ended, identify } = await openSystemdBus({
      socket: options.socket,
      timeoutMs: CALL_TIMEOUT_MS,
      heard: onMessage,
      replaced() {
        listen(bus).catch(mine.fail);
        options.all();
      },
    });
    let fail: Session['fail'] = () => undefined;
    const failed = new Promise<never>((_, reject) => {
      fail = reject;
    });
    const mine: Session = { bus, rules: new Set(), fail };
    const lost = ended.then(() => Promise.reject(new Error('the connection was closed')));
    for (const end of [failed, lost]) end.catch(() => undefined);
    const stop = () => bus.connection.end();
    signal.addEventListener('abort', stop, { once: true });
    try {
      // From now on `units` subscribes as well: units that are declared before this is through are heard, too.
      current = mine;
      const ready = async () => {
        await identify();
        await subscribe(mine);
        // systemd sends signals only while somebody has subscribed.
        await listen(bus);
      };
      await Promise.race([ready(), lost, failed]);
      subscribed();
      await Promise.race([ended, failed]);
    } finally {
      current = null;
      signal.removeEventListener('abort', stop);
      bus.connection.end();
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
          lost: 'the connection to D-Bus is lost; until it is back, changes of units are found by the schedule',
          back: 'systemd is heard again over D-Bus',
        },
        signal,
      ),
    units(names) {
      units = [...names];
      wanted = pathsOf(units, aliases);
      if (current) follow(current);
    },
  };
}

/** Object path → the names that are heard from there: their own, and that of the unit behind an alias. */
function pathsOf(names: readonly string[], aliases: ReadonlyMap<string, string>): Map<string, ReadonlySet<string>> {
  const paths = new Map<string, Set<string>>();
  for (const name of names) {
    const own = `${SYSTEMD_PATH}/unit/${escapeLabel(name)}`;
    for (const path of [own, aliases.get(name) ?? own]) paths.set(path, (paths.get(path) ?? new Set()).add(name));
  }
  return paths;
}

/** @returns none if systemd refuses to answer: then the units are heard by their own names only */
const listUnits = (bus: MessageBus, names: string[]): Promise<RawUnitRow[]> => {
  const call = { destination: SYSTEMD, path: SYSTEMD_PATH, interface: SYSTEMD_MANAGER, member: 'ListUnitsByNames' };
  const answer = bus.invoke<RawUnitRow[]>({ ...call, signature: 'as', body: [names] });
  return bounded('ListUnitsByNames', answer).catch((thrown: unknown) => {
    if (!isRefusal(thrown)) throw thrown;
    return [];
  });
};

/** A unit's name as the last part of its object path: what is no ASCII letter or digit as `_xx`, and a leading digit too. */
export const escapeLabel = (name: string): string =>
  [...new TextEncoder().encode(name)]
    .map((byte, i) => {
      const char = String.fromCharCode(byte);
      const plain = /[A-Za-z]/.test(char) || (i > 0 && /[0-9]/.test(char));
      return plain ? char : `_${byte.toString(16).padStart(2, '0')}`;
    })
    .join('');

const bounded = <T>(what: string, answer: PromiseLike<T>): Promise<T> => within(CALL_TIMEOUT_MS, what, answer);
