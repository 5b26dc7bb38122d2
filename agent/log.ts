/** The daemon's log. One line a message; journald adds time and unit. */
export interface Log {
  debug(fields: Record<string, unknown>, message: string): void;
  info(fields: Record<string, unknown>, message: string): void;
  warn(fields: Record<string, unknown>, message: string): void;
  error(fields: Record<string, unknown>, message: string): void;
}

/** A log that says nothing, for tests and for one-shot commands. */
export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} };

/** The same log, with these fields in every line of it. */
export const withFields = (log: Log, fields: Record<string, unknown>): Log => ({
  debug: (more, message) => log.debug({ ...fields, ...more }, message),
  info: (more, message) => log.info({ ...fields, ...more }, message),
  warn: (more, message) => log.warn({ ...fields, ...more }, message),
  error: (more, message) => log.error({ ...fields, ...more }, message),
});
