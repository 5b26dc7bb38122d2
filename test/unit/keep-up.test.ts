import { expect, test } from 'vitest';
import type { Log } from '../../agent/log.ts';
import type { Clock } from '../../agent/system/clock.ts';
import { keepUp } from '../../agent/system/watch/keep-up.ts';

/** Runs sessions one after the other, in a time that passes only during waits. @returns the log and the calls, in order */
async function story(sessions: ((begun: () => void) => Promise<void>)[]): Promise<string[]> {
  const told: string[] = [];
  const stopper = new AbortController();
  let now = 0;
  const clock: Clock = {
    now: () => new Date(0),
    monotonic: () => now,
    async sleep(ms) {
      told.push(`wait ${ms}`);
      now += ms;
      if (sessions.length === 0) stopper.abort();
    },
  };
  const say = (_fields: unknown, text: string) => void told.push(text);
  const log = { info: say, warn: say } as unknown as Log;
  await new Promise<void>((resolve) => {
    stopper.signal.addEventListener('abort', () => resolve(), { once: true });
    void keepUp(
      {
        ...{ clock, log, lost: 'lost', back: 'back' },
        session: (_signal, begun) => sessions.shift()?.(begun) ?? Promise.resolve(),
        gap: () => void told.push('gap'),
      },
      stopper.signal,
    );
  });
  return told;
}

const heard = async (begun: () => void) => begun();
const refused = () => Promise.reject(new Error('refused'));

test('every loss and every return is reported', async () => {
  const once = ['lost', 'wait 200', 'back', 'gap'];
  expect(await story([heard, heard, heard])).toEqual(['gap', ...once, ...once, 'lost', 'wait 200']);
});

test('an outage is reported once, retried at growing intervals, and observed once', async () => {
  const told = await story(Array.from({ length: 8 }, () => refused));
  expect(told.filter((t) => t === 'lost')).toHaveLength(1);
  expect(told.filter((t) => t.startsWith('wait'))).toEqual(
    [200, 400, 800, 1600, 3200, 6400, 12_800, 25_600].map((ms) => `wait ${ms}`),
  );
  expect(told.filter((t) => t === 'gap')).toHaveLength(1);
});
