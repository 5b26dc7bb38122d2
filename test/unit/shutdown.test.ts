/** The shutdown of the daemon: in order, and within ten seconds even if a part hangs or fails. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type EndingParts, endAll } from '../../agent/daemon/ending.ts';
import type { Log } from '../../agent/log.ts';

beforeEach(() => void vi.useFakeTimers({ now: 0 }));
afterEach(() => void vi.useRealTimers());

const clock = {
  monotonic: () => Date.now(),
  sleep: (ms: number, signal?: AbortSignal) =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      signal?.addEventListener('abort', () => clearTimeout(timer), { once: true });
    }),
};
const hangs = () => new Promise<void>(() => undefined);
const takes = (ms: number) => () => clock.sleep(ms);

/** @returns the log, the order in which the parts ended, and the time until all had */
async function ending(parts: Pick<EndingParts, 'session' | 'others'>) {
  const said: string[] = [];
  const order: string[] = [];
  const say = (_fields: object, message: string) => void said.push(message);
  const log = { debug: say, info: say, warn: say, error: say } as Log;
  const noted = (name: string, work: () => Promise<void> | undefined) => async () => {
    await work();
    order.push(name);
  };
  let afterMs = 0;
  const ended = endAll(
    {
      session: noted('session', parts.session),
      left: () => void order.push('left'),
      others: parts.others.map((one, i) => noted(`other ${i}`, one)),
    },
    clock,
    log,
  ).then((finished) => {
    afterMs = Date.now();
    return finished;
  });
  await vi.advanceTimersByTimeAsync(60_000);
  return { finished: await ended, afterMs, said, order };
}

test('the session ends first, then the others in parallel', async () => {
  const { finished, afterMs, said, order } = await ending({ session: takes(100), others: [takes(300), takes(200)] });
  expect([finished, said, order]).toEqual([true, [], ['session', 'left', 'other 1', 'other 0']]);
  expect(afterMs).toBe(400);
});

describe('within ten seconds', () => {
  const all: Record<string, Pick<EndingParts, 'session' | 'others'>> = {
    'although all of it hangs': { session: hangs, others: [hangs, hangs, hangs] },
    'although the session takes nearly all of its time, and then another part hangs': {
      session: takes(5_400),
      others: [hangs],
    },
    'although another part hangs': { session: takes(0), others: [takes(10), hangs] },
  };
  test.each(Object.entries(all))('%s', async (_what, parts) => {
    expect((await ending(parts)).afterMs).toBeLessThan(10_000);
  });
});

test('a step that hangs is abandoned and logged, and the others still have their time', async () => {
  const { finished, said, order } = await ending({ session: hangs, others: [takes(3_000)] });
  expect(finished).toBe(false);
  expect(said).toEqual(['the current step did not end in time; the next start continues it']);
  expect(order).toEqual(['left', 'other 0']);
});

test('a part that fails is logged, and does not delay the others', async () => {
  const fails = () => Promise.reject(new Error('broken'));
  const { finished, said, order } = await ending({ session: fails, others: [fails, takes(10)] });
  expect(finished).toBe(true);
  expect(said).toHaveLength(2);
  expect(order).toEqual(['left', 'other 1']);
});
