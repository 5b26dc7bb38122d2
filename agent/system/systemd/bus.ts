/**
 * A connection to the system bus that hears systemd, and nobody else. Every local user may send a signal of any name to
 * any connection (dbus-daemon(1), `<allow send_type="signal"/>`), and match rules bind broadcasts only. So each signal
 * is checked for its sender, which the bus itself stamps, and a large one is not even read (see bus-socket.ts).
 */
import type { MessageBus } from 'dbus-native';
import { openBusSocket } from './bus-socket.ts';

export const SYSTEMD = 'org.freedesktop.systemd1';
export const SYSTEMD_PATH = '/org/freedesktop/systemd1';
export const SYSTEMD_MANAGER = `${SYSTEMD}.Manager`;

export const BUS = 'org.freedesktop.DBus';
const BUS_PATH = '/org/freedesktop/DBus';

/** A signal as the library delivers it. */
export interface Signal {
  sender?: string;
  path?: string;
  interface?: string;
  member?: string;
  body?: unknown[];
}

export interface SystemdBusOptions {
  /** Path of the system bus. */
  socket: string;
  /** Time that the bus has for an answer, in milliseconds. */
  timeoutMs: number;
  /** A signal that systemd itself sent. */
  heard(signal: Signal): void;
  /** systemd came back under another name on the bus, as after `systemctl daemon-reexec`. */
  replaced?(): void;
}

export interface SystemdBus {
  bus: MessageBus;
  /** Resolves when the connection is closed, by whomever. */
  ended: Promise<void>;
  /**
   * Finds out who systemd is. Signals before that are dropped, so it comes before all subscriptions.
   * @throws Error if the bus does not answer in time, or nobody owns systemd's name
   */
  identify(): Promise<void>;
}

/** Opens the connection; the caller ends it with `bus.connection.end()`. */
export async function openSystemdBus({ socket, timeoutMs, heard, replaced }: SystemdBusOptions): Promise<SystemdBus> {
  const { default: dbus } = await import('dbus-native');
  // `direct`: else the library greets the bus, and throws where nobody can catch it when the bus refuses or is slower than 25 s.
  const bus = dbus.createClient({ stream: openBusSocket(socket), authMethods: ['EXTERNAL'], direct: true });
  const greeting = { destination: BUS, path: BUS_PATH, interface: BUS, member: 'Hello' };
  const greeted = Promise.resolve(bus.invoke<string>(greeting)).then((name) => {
    bus.name = name;
  });
  // `identify` tells it; who closes the connection before that need not hear of it.
  greeted.catch(() => undefined);
  const ended = new Promise<void>((resolve) => {
    for (const event of ['error', 'end', 'close']) bus.connection.on(event, () => resolve());
  });
  bus.on('error', () => undefined);
  /** Unique name of the connection that owns systemd's name; '' while nobody does. */
  let owner = '';
  bus.connection.on('message', (signal: Signal) => {
    const { sender, interface: from, member, body = [] } = signal;
    if (sender === BUS && from === BUS && member === 'NameOwnerChanged' && body[0] === SYSTEMD) {
      owner = String(body[2] ?? '');
      if (owner !== '') replaced?.();
    } else if (owner !== '' && sender === owner) heard(signal);
  });
  return {
    bus,
    ended,
    async identify() {
      await within(timeoutMs, 'Hello', greeted);
      const changed = `type='signal',sender='${BUS}',interface='${BUS}',member='NameOwnerChanged',arg0='${SYSTEMD}'`;
      await within(timeoutMs, 'AddMatch', bus.addMatch(changed));
      const call = { destination: BUS, path: BUS_PATH, interface: BUS, member: 'GetNameOwner' };
      const name = bus.invoke<string>({ ...call, signature: 's', body: [SYSTEMD] });
      const found = await within(timeoutMs, 'GetNameOwner', name);
      // A change that the bus reported meanwhile is newer than this answer.
      if (owner === '') owner = found;
    },
  };
}

/** systemd itself refused the call. An error of the bus, or of the connection, says nothing about a unit. */
export const isRefusal = (thrown: unknown): boolean => {
  const reply = (thrown as { reply?: { sender?: string } } | null)?.reply;
  return reply !== undefined && reply.sender !== BUS;
};

/** No answer came in time. */
export class NoAnswer extends Error {}

/** The library's own limit of time was the first to end. */
const isLate = (thrown: unknown): boolean => (thrown as { code?: unknown } | null)?.code === 'ETIMEDOUT';

/**
 * @param answer of a call that the library bounds in the same way, so that it forgets one that is never answered
 * @returns the answer @throws NoAnswer, which names `what`, after so many milliseconds
 */
export async function within<T>(timeoutMs: number, what: string, answer: PromiseLike<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const none = new NoAnswer(`${what}: no answer within ${timeoutMs / 1000} s`);
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(none), timeoutMs);
  });
  try {
    return await Promise.race([answer, late]);
  } catch (thrown) {
    throw isLate(thrown) ? none : thrown;
  } finally {
    clearTimeout(timer);
  }
}
