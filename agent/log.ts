/** Where the daemon says what it does. One line a message; journald adds time and unit. */
export interface Log {
  debug(fields: Record<string, unknown>, message: string): void;
  info(fields: Record<string, unknown>, message: string): void;
  warn(fields: Record<string, unknown>, message: string): void;
  error(fields: Record<string, unknown>, message: string): void;
}

/** A log that says nothing, for tests and for one-shot commands. */
export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} };
