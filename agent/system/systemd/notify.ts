import { spawn } from 'node:child_process';

/** Tells systemd how the daemon is; does nothing where systemd did not start us. */
export interface ServiceNotifier {
  ready(): void;
  /** To be called at each turn of the loop; notifies systemd at most every third of the watchdog interval. */
  alive(): void;
  stopping(): void;
}

/**
 * sd_notify(3) by way of `systemd-notify`, since Node has no datagram unix sockets. The unit needs NotifyAccess=all.
 * @param env the daemon's own environment: NOTIFY_SOCKET, WATCHDOG_USEC (microseconds)
 */
export function createNotifier(env: NodeJS.ProcessEnv, now: () => number): ServiceNotifier {
  const enabled = env.NOTIFY_SOCKET !== undefined;
  const everyMs = Number(env.WATCHDOG_USEC ?? 0) / 3000;
  let last = Number.NEGATIVE_INFINITY;
  const tell = (...words: string[]) => {
    if (!enabled) return;
    spawn('systemd-notify', [`--pid=${process.pid}`, ...words], { stdio: 'ignore' }).on('error', () => undefined);
  };
  return {
    ready: () => tell('--ready'),
    alive() {
      if (everyMs === 0 || now() - last < everyMs) return;
      last = now();
      tell('WATCHDOG=1');
    },
    stopping: () => tell('STOPPING=1'),
  };
}
