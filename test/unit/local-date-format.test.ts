import fc from 'fast-check';
import cron from 'node-cron';
import { afterEach, expect, test, vi } from 'vitest';
import { LocalDateFormat } from '../../packaging/local-date-format.ts';

const ZONES = ['UTC', 'Europe/London', 'Europe/Berlin', 'America/St_Johns', 'Asia/Kolkata', 'Pacific/Chatham'];
/** The two formatters of node-cron. */
const TIME = {
  year: 'numeric',
  month: '2-digit',
  day: '2-digit',
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  weekday: 'short',
  hour12: false,
} as const;
const OFFSET = { timeZone: undefined, timeZoneName: 'shortOffset' } as const;

const zone = process.env.TZ;
afterEach(() => {
  vi.unstubAllGlobals();
  if (zone === undefined) delete process.env.TZ;
  else process.env.TZ = zone;
});

test.each(ZONES)('in %s it says what the real one says', (name) => {
  process.env.TZ = name;
  for (const options of [TIME, OFFSET]) {
    const [own, real] = [LocalDateFormat('en-US', options), new Intl.DateTimeFormat('en-US', options)];
    fc.assert(
      fc.property(
        fc.date({ min: new Date('1980-01-01'), max: new Date('2080-01-01'), noInvalidDate: true }),
        (date) => {
          expect(own.formatToParts(date)).toEqual(real.formatToParts(date));
        },
      ),
    );
  }
});

test('an invalid date is refused, as the real one does', () => {
  expect(() => LocalDateFormat('en-US', TIME).formatToParts(new Date(Number.NaN))).toThrow(RangeError);
});

test('other options and languages get a real formatter', () => {
  expect(LocalDateFormat('en-US', { timeZone: 'Asia/Tokyo', ...TIME })).toBeInstanceOf(Intl.DateTimeFormat);
  expect(LocalDateFormat('de', TIME)).toBeInstanceOf(Intl.DateTimeFormat);
  expect(LocalDateFormat()).toBeInstanceOf(Intl.DateTimeFormat);
});

// If node-cron asks for other parts one day, the daemon loads the data of all languages again.
test('node-cron computes the next runs without a real formatter', () => {
  const asked: ReturnType<typeof LocalDateFormat>[] = [];
  function DateTimeFormat(...given: Parameters<typeof LocalDateFormat>) {
    const made = LocalDateFormat(...given);
    asked.push(made);
    return made;
  }
  vi.stubGlobal('Intl', { DateTimeFormat });
  const task = cron.createTask('*/5 3 * * 1', () => undefined);
  expect(task.getNextRuns(3)).toHaveLength(3);
  void task.destroy();
  vi.unstubAllGlobals();
  expect(asked).toHaveLength(2);
  expect(asked.filter((one) => one instanceof Intl.DateTimeFormat)).toEqual([]);
});
