import { pino } from 'pino';
import type { Log } from '../log.ts';
import { tame } from '../tame.ts';

/** syslog(3) severities for the `<n>` prefix that journald reads (sd-daemon(3)). */
const SEVERITY: Record<string, number> = { debug: 7, info: 6, warn: 4, error: 3 };

export interface LoggerOptions {
  level: 'debug' | 'info' | 'warn' | 'error';
  /** journald is reading: prefix the severity, leave the time to it. */
  journal: boolean;
  write(line: string): void;
}

/** One line of text for each message: `message  key=value …`. pino does levels and safe serialisation. */
export function createLogger({ level, journal, write }: LoggerOptions): Log {
  const destination = {
    write(json: string) {
      const { level: label, time, msg, ...fields } = JSON.parse(json) as Record<string, unknown>;
      const pairs = Object.entries(fields).map(([k, v]) => `${k}=${typeof v === 'string' ? v : JSON.stringify(v)}`);
      const text = tame([String(msg ?? ''), ...pairs].join('  ').replaceAll('\n', ' ⏎ '));
      write(journal ? `<${SEVERITY[String(label)] ?? 6}>${text}\n` : `${String(time)} ${String(label)} ${text}\n`);
    },
  };
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination,
  );
}
